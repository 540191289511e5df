package main

import (
	"maps"
	"testing"
)

// TestReadMetrics reads counters and histograms as a controller serves them, without the end of the last line, which exec cuts off.
func TestReadMetrics(t *testing.T) {
	const served = `# HELP controller_runtime_reconcile_total Total number of reconciliations per controller
# TYPE controller_runtime_reconcile_total counter
controller_runtime_reconcile_total{controller="pod",result="error"} 2
controller_runtime_reconcile_total{controller="pod",result="success"} 40
controller_runtime_reconcile_total{controller="subnet",result="success"} 7
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.5
# TYPE woven_ovs_transact_duration_seconds histogram
woven_ovs_transact_duration_seconds_bucket{db="OVN_Northbound",le="0.5"} 3
woven_ovs_transact_duration_seconds_bucket{db="OVN_Northbound",le="+Inf"} 4
woven_ovs_transact_duration_seconds_sum{db="OVN_Northbound"} 0.9
woven_ovs_transact_duration_seconds_count{db="OVN_Northbound"} 4`
	got := map[string]float64{}
	err := readMetrics(served, func(name string, labels map[string]string, value float64) {
		got[name+" "+labels["controller"]+labels["db"]] += value
	})
	want := map[string]float64{
		"controller_runtime_reconcile_total pod": 42, "controller_runtime_reconcile_total subnet": 7,
		"process_cpu_seconds_total ": 1.5, "woven_ovs_transact_duration_seconds OVN_Northbound": 4,
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
	grown := since(map[string]float64{"a": 1, "b": 2}, map[string]float64{"a": 5, "b": 2, "c": 2}, 2)
	if !maps.Equal(grown, map[string]float64{"a": 2, "c": 1}) {
		t.Errorf("grown by %v", grown)
	}
}
