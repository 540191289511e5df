package engine

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the numbers of one DB. The label db is the database's name.
type metrics struct {
	transact *prometheus.HistogramVec
	owners   *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	drift    *prometheus.CounterVec
	sessions *prometheus.CounterVec
	db       string
}

func newMetrics(db string, registry prometheus.Registerer) (*metrics, error) {
	label := []string{"db"}
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "woven", Subsystem: "ovs", Name: name, Help: help}
	}
	m := &metrics{
		db: db,
		transact: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "woven", Subsystem: "ovs", Name: "transact_duration_seconds",
			Help:    "Time from sending a transaction to its reply.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, label),
		owners: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "woven", Subsystem: "ovs", Name: "transact_owners",
			Help: "Owners that shared one transaction.", Buckets: []float64{1, 2, 5, 10, 20, 50, 100},
		}, label),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts(opts("refusals_total", "Transactions that the database refused.")), label),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts(opts("drift_total", "Changes by others to rows of ours.")),
			[]string{"db", "feature"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts(opts("sessions_total", "Sessions begun with the database.")), label),
	}
	if registry == nil {
		return m, nil
	}
	var err error
	m.transact = register(registry, m.transact, &err)
	m.owners = register(registry, m.owners, &err)
	m.refusals = register(registry, m.refusals, &err)
	m.drift = register(registry, m.drift, &err)
	m.sessions = register(registry, m.sessions, &err)
	return m, err
}

// register registers c, or finds the one that another DB of the process has registered.
func register[C prometheus.Collector](registry prometheus.Registerer, c C, err *error) C {
	var already prometheus.AlreadyRegisteredError
	switch e := registry.Register(c); {
	case e == nil:
	case errors.As(e, &already):
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
		*err = e
	default:
		*err = fmt.Errorf("registering metrics: %w", e)
	}
	return c
}

// rowsCollector counts rows when it is asked.
type rowsCollector struct {
	desc      *prometheus.Desc
	connected *prometheus.Desc
	db        *DB
}

func newRowsCollector(d *DB) *rowsCollector {
	labels := prometheus.Labels{"db": d.database.Name}
	return &rowsCollector{
		desc:      prometheus.NewDesc("woven_ovs_rows", "Rows of ours in the database.", []string{"table", "feature"}, labels),
		connected: prometheus.NewDesc("woven_ovs_connected", "1 while there is a session with the database.", nil, labels),
		db:        d,
	}
}

// Describe implements prometheus.Collector.
func (c *rowsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.desc
	ch <- c.connected
}

// Collect implements prometheus.Collector.
func (c *rowsCollector) Collect(ch chan<- prometheus.Metric) {
	v := c.db.view()
	if v == nil {
		ch <- prometheus.MustNewConstMetric(c.connected, prometheus.GaugeValue, 0)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.connected, prometheus.GaugeValue, 1)
	v.cache.RLock()
	defer v.cache.RUnlock()
	for k, n := range v.cache.Counts() {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), k.Table, k.Feature)
	}
}
