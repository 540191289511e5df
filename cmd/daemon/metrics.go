package main

import "github.com/prometheus/client_golang/prometheus"

// datapathInfo is a gauge that is always 1, and tells the node's datapath by its label.
func datapathInfo(kind string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "woven_datapath_info",
		Help:        "1, with what switches the node's packets as a label: kernel or userspace.",
		ConstLabels: prometheus.Labels{"type": kind},
	}, func() float64 { return 1 })
}
