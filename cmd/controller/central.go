package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/woven-cni/woven/pkg/central"
)

// runCentral is the subcommand `central begin|tend`, for the members of a raft cluster of ovn-central. It is part of this
// program, rather than one more, because both would be the same client of the API server.
func runCentral(args []string) error {
	fs := flag.NewFlagSet("woven-controller central", flag.ContinueOnError)
	m := central.Member{
		Namespace: os.Getenv("POD_NAMESPACE"),
		Seat:      central.Seat{Address: firstOf(os.Getenv("POD_IPS")), Pod: os.Getenv("POD_UID")},
	}
	fs.IntVar(&m.Replicas, "replicas", 3, "how many members the cluster shall have")
	fs.StringVar(&m.DatabaseDir, "database-dir", "/etc/ovn", "where the databases are")
	fs.StringVar(&m.RunDir, "run-dir", "/run/ovn", "where the servers have their sockets and read their plans")
	if len(args) == 0 {
		return fmt.Errorf("central: say begin or tend")
	}
	if err := fs.Parse(args[1:]); err != nil {
		return fmt.Errorf("central: %w", err)
	}
	if m.Namespace == "" || m.Seat.Address == "" || m.Seat.Pod == "" {
		return fmt.Errorf("central: the environment lacks POD_NAMESPACE, POD_IPS or POD_UID")
	}
	ctrl.SetLogger(zap.New())
	m.Log = ctrl.Log.WithName("central")
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("central: building the scheme: %w", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("central: finding the API server: %w", err)
	}
	if m.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("central: making a client: %w", err)
	}
	step, ok := map[string]func(context.Context) error{"begin": m.Begin, "tend": m.Tend}[args[0]]
	if !ok {
		return fmt.Errorf("central: %q is neither begin nor tend", args[0])
	}
	if err := step(ctrl.SetupSignalHandler()); err != nil {
		return fmt.Errorf("central: %w", err)
	}
	return nil
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return first
}
