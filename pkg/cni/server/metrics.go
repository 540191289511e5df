package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Phases of an ADD.
const (
	phaseWaitPod   = "wait_pod"
	phaseVeth      = "veth"
	phaseOVS       = "ovs"
	phaseNetNS     = "netns"
	phaseInstalled = "ovn_installed"
)

// Metrics are the server's histograms.
type Metrics struct {
	phases   *prometheus.HistogramVec
	requests *prometheus.HistogramVec
}

func newMetrics() *Metrics {
	return &Metrics{
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "woven_cni_phase_duration_seconds",
			Help:    "Time that each phase of attaching a pod took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"phase"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "woven_cni_request_duration_seconds",
			Help:    "Time that each call of the container runtime took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 18),
		}, []string{"command", "result"}),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	m.phases.Describe(ch)
	m.requests.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.phases.Collect(ch)
	m.requests.Collect(ch)
}

func (m *Metrics) request(command string, err error, took time.Duration) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	switch command {
	case "ADD", "DEL", "CHECK", "GC", "STATUS":
	default:
		command = "unknown" // never a label that a caller chooses
	}
	m.requests.WithLabelValues(command, result).Observe(took.Seconds())
}

// stopwatch times phases that follow one another.
type stopwatch struct {
	metrics *Metrics
	since   time.Time
}

func (m *Metrics) start() *stopwatch { return &stopwatch{metrics: m, since: time.Now()} }

// lap ends a phase and begins the next.
func (s *stopwatch) lap(phase string) {
	now := time.Now()
	s.metrics.phases.WithLabelValues(phase).Observe(now.Sub(s.since).Seconds())
	s.since = now
}
