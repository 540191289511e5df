package pool

import (
	"github.com/prometheus/client_golang/prometheus"
)

var addressesDesc = prometheus.NewDesc("woven_ipam_addresses",
	"Addresses of a subnet, by family and by whether they are available or in use.",
	[]string{"subnet", "family", "state"}, nil)

// Describe implements prometheus.Collector.
func (p *Pools) Describe(ch chan<- *prometheus.Desc) { ch <- addressesDesc }

// Collect implements prometheus.Collector. It costs one look at each subnet, however many addresses are in use.
func (p *Pools) Collect(ch chan<- prometheus.Metric) {
	for name, pool := range p.subnets.All() {
		v4, v6 := pool.Usage()
		for _, m := range []struct {
			family, state string
			value         float64
		}{
			{"v4", "available", v4.Available},
			{"v4", "using", v4.Using},
			{"v6", "available", v6.Available},
			{"v6", "using", v6.Using},
		} {
			ch <- prometheus.MustNewConstMetric(addressesDesc, prometheus.GaugeValue, m.value, name, m.family, m.state)
		}
	}
}
