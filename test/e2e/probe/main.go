// Command probe is what the end-to-end tests run inside pods to count packets: an echo server, a stream of numbered
// messages that says how many came back, the same as calls of their own, and one packet of an
// exact size. The images at hand have nothing that counts. It also attacks: it knocks at ports, and forges tunnel packets.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"time"
)

const usage = `usage:
  probe echo PORT                     answer TCP and UDP with what they say
  probe stream udp|tcp ADDR INTERVAL  send numbered messages until standard input ends, then print a report
  probe calls ADDR INTERVAL           send each number over UDP from a socket of its own, then print a report
  probe watch ADDR INTERVAL           the same, and print a line whenever answers begin or end
  probe size ADDR BYTES               send one unfragmentable UDP packet of BYTES, and await its echo
  probe knock ADDR...                 print which of them take a TCP connection
  probe knock-cut ADDR...             the same with a first segment that comes in fragments; needs a raw socket
  probe sink PORT                     print each UDP packet that comes, until standard input ends
  probe geneve JSON...                send tunnel packets with forged frames in them`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "echo":
		return echo(ctx, args[1])
	case len(args) == 4 && args[0] == "stream":
		every, err := time.ParseDuration(args[3])
		if err != nil {
			return fmt.Errorf("reading the interval: %w", err)
		}
		s := stream{Network: args[1], Address: args[2], Every: every}
		return report(ctx, args[2], s.run)
	case len(args) == 3 && args[0] == "calls":
		every, err := time.ParseDuration(args[2])
		if err != nil {
			return fmt.Errorf("reading the interval: %w", err)
		}
		c := calls{Address: args[1], Every: every, Limit: countedAnswer, book: newLedger()}
		return report(ctx, args[1], c.run)
	case len(args) == 3 && args[0] == "watch":
		every, err := time.ParseDuration(args[2])
		if err != nil {
			return fmt.Errorf("reading the interval: %w", err)
		}
		c := calls{Address: args[1], Every: every, Limit: watchedAnswer, book: &watcher{out: json.NewEncoder(os.Stdout)}}
		return report(ctx, args[1], c.run)
	case len(args) == 3 && args[0] == "size":
		size, err := strconv.Atoi(args[2])
		if err != nil {
			return fmt.Errorf("reading the size: %w", err)
		}
		return sendSized(ctx, args[1], size)
	case len(args) > 1 && args[0] == "knock":
		return knock(ctx, args[1:])
	case len(args) > 1 && args[0] == "knock-cut":
		return knockCut(args[1:])
	case len(args) == 2 && args[0] == "sink":
		return sink(args[1])
	case len(args) > 1 && args[0] == "geneve":
		return sendAll(args[1:])
	}
	return fmt.Errorf("%s", usage)
}

// report runs a stream or calls until standard input ends, which is how the test that started it says stop, and prints
// the outcome as JSON.
func report(ctx context.Context, address string, run func(context.Context) (outcome, error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	out, err := run(ctx)
	if err != nil {
		return fmt.Errorf("streaming to %s: %w", address, err)
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
