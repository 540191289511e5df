// Command controller maps Subnets, Vpcs, Pods, Nodes, Services and policies onto the OVN northbound database.
package main

import (
	"flag"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	var o Options
	o.AddFlags(flag.CommandLine)
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	if err := start(&o); err != nil {
		fmt.Fprintln(os.Stderr, "woven-controller:", err)
		os.Exit(1)
	}
}

func start(o *Options) error {
	if err := o.Complete(); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	return run(ctrl.SetupSignalHandler(), o)
}
