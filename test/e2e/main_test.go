//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// cluster is what all tests share.
var cluster *framework.Cluster

// Two nodes of the cluster, for what concerns one node or goes from one to another.
var here, there string

// startTime bounds the way to the tools on all nodes.
const startTime = 10 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	stop, err := prepare(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	ctx, cancel = context.WithTimeout(context.Background(), cluster.Patience(time.Minute))
	defer cancel()
	crashes, err := cluster.Crashes(ctx)
	for _, c := range crashes {
		err = errors.Join(err, fmt.Errorf("%s has crashed", c))
	}
	if err := errors.Join(err, stop(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func prepare(ctx context.Context) (stop func(context.Context) error, err error) {
	if cluster, err = framework.Connect(ctx); err != nil {
		return nil, err
	}
	if len(cluster.Nodes) < 2 {
		return nil, fmt.Errorf("the tests need two nodes or more, and the cluster has %v", cluster.Nodes)
	}
	here, there = cluster.Nodes[0], cluster.Nodes[1]
	if err := cluster.BuildProbe(ctx); err != nil {
		return nil, err
	}
	return cluster.StartTools(ctx)
}

// within is a context for a step that must not take longer, unless the cluster is slow.
func within(t *testing.T, limit time.Duration, what string) context.Context {
	t.Helper()
	return bounded(t, t.Context(), limit, what)
}

// background is within for what follows a test, when its own context has ended.
func background(t *testing.T, limit time.Duration, what string) context.Context {
	t.Helper()
	return bounded(t, context.Background(), limit, what)
}

//nolint:revive // the test comes first, as in all helpers
func bounded(t *testing.T, ctx context.Context, limit time.Duration, what string) context.Context {
	t.Helper()
	limit = cluster.Patience(limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s took more than %s", what, limit))
	t.Cleanup(cancel)
	return ctx
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do is must for what also returns something.
func do[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// second is the error of a call whose other result does not matter.
func second[T any](_ T, err error) error { return err }

// What curl exits with when nobody took the connection, and when nobody answered at all.
const (
	curlRefused  = "curl: (7)"
	curlTimedOut = "curl: (28)"
)

// silence is how long one waits to find that nobody answers.
const silence = 2 * time.Second

// unserved checks that a pod gets nothing from an address, not even a connection.
func unserved(t *testing.T, from *corev1.Pod, url string) {
	t.Helper()
	if out, err := cluster.FetchWithin(t.Context(), silence, from, url); !unreached(err) {
		t.Errorf("%s got %q, %v from %s, want silence", from.Name, out, err, url)
	}
}

// unreached says whether curl failed before it could speak to anybody.
func unreached(err error) bool {
	return err != nil && (strings.Contains(err.Error(), curlRefused) || strings.Contains(err.Error(), curlTimedOut))
}
