// Command controller maps Subnets, Vpcs, Pods, Nodes, Services and policies onto the OVN northbound database. As
// `controller central` it starts and tends a member of that database's cluster.
package main

import (
	"flag"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "central" {
		exit(runCentral(os.Args[2:]))
	}
	var o Options
	o.AddFlags(flag.CommandLine)
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	exit(start(&o))
}

// exit ends the process, and says why if it failed.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "woven-controller:", err)
		os.Exit(1)
	}
	os.Exit(0)
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
