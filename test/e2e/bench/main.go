// Command bench measures Woven beside the `bridge` plugin on one running cluster, in turns, and prints their figures
// with the goals. The README beside it says how, and what may be concluded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// options are how much is measured.
type options struct {
	rounds, single, burst int
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 4, "how often the plugins take turns")
	flag.IntVar(&o.single, "single", 25, "pods that each plugin starts one by one in a round")
	flag.IntVar(&o.burst, "burst", 90, "pods that each plugin starts at once in a round")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	cluster, err := framework.Connect(ctx)
	if err != nil {
		return err
	}
	stop, err := cluster.StartTools(ctx)
	if err != nil {
		return err
	}
	b := &bench{Cluster: cluster, options: o}
	defer func() {
		// Also after an interruption the cluster is left as it was.
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		err = errors.Join(err, b.restore(ctx), stop(ctx))
	}()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	results := map[contender]*result{woven: {}, bridge: {}}
	for round := range o.rounds {
		turns := []contender{woven, bridge}
		if round%2 == 1 {
			turns = []contender{bridge, woven}
		}
		for _, who := range turns {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, who)
			if err := b.turn(ctx, who, results[who]); err != nil {
				return fmt.Errorf("measuring %s: %w", who, err)
			}
		}
	}
	if err := b.collect(ctx, results); err != nil {
		return err
	}
	table(os.Stdout, o, results)
	return nil
}
