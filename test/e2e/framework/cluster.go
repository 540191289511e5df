// Package framework is what the end-to-end tests stand on: a running cluster, a namespace for each test, waiting by
// watch, commands inside pods and on nodes, streams of counted packets, and a view of OVN's northbound database.
//
// It takes any cluster that runs Woven and is reached as administrator; nothing in it knows how the cluster was made.
package framework

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// System is the namespace of Woven's own pods.
const System = "kube-system"

// Cluster is a running cluster.
type Cluster struct {
	client.WithWatch
	// Config is how to reach it.
	Config *rest.Config
	// Nodes are its nodes, by name, but for fake ones.
	Nodes []string

	slow  bool                   // see Patience
	tools map[string]*corev1.Pod // by node; see OnNode
	probe []byte                 // the program cmd/probe; see Namespace.Stream
}

// Connect finds the cluster that $KUBECONFIG names, or else the local one of this checkout.
func Connect(ctx context.Context) (*Cluster, error) {
	path, err := kubeconfig()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	config.QPS = -1 // the tests are meant to hurry
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1.AddToScheme(scheme), v1alpha1.Install(scheme), v1alpha2.Install(scheme)); err != nil {
		return nil, fmt.Errorf("making the scheme: %w", err)
	}
	c := &Cluster{Config: config}
	if c.WithWatch, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return nil, fmt.Errorf("connecting to the cluster of %s: %w", path, err)
	}
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing the nodes of the cluster of %s: %w", path, err)
	}
	for _, n := range nodes.Items {
		if n.Labels[FakeLabel] != "" {
			continue
		}
		c.Nodes = append(c.Nodes, n.Name)
		c.slow = c.slow || slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == slowTaint })
	}
	slices.Sort(c.Nodes)
	return c, nil
}

// slowTaint is on nodes that are emulated.
const slowTaint = "woven-sandbox/slow"

// Patience is how long to wait for what takes other clusters at most a limit: one with an emulated node takes longer.
func (c *Cluster) Patience(limit time.Duration) time.Duration {
	if c.slow {
		return 4 * limit
	}
	return limit
}

// kubeconfig looks for the local cluster's file from here upwards, since tests run in the folder of their package.
func kubeconfig() (string, error) {
	if path := os.Getenv("KUBECONFIG"); path != "" {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the current folder: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".sandbox", "kubeconfig")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no .sandbox/kubeconfig here or above, and no $KUBECONFIG: make up starts a cluster")
		}
	}
}

// NodeAddress is a node's InternalIP, IPv4 if it has one.
func (c *Cluster) NodeAddress(ctx context.Context, node string) (string, error) {
	var n corev1.Node
	if err := c.Get(ctx, client.ObjectKey{Name: node}, &n); err != nil {
		return "", fmt.Errorf("reading node %s: %w", node, err)
	}
	var internal []string
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			internal = append(internal, a.Address)
		}
	}
	if len(internal) == 0 {
		return "", fmt.Errorf("node %s has no InternalIP", node)
	}
	slices.SortStableFunc(internal, func(a, b string) int { return cmp.Compare(colons(a), colons(b)) })
	return internal[0], nil
}

func colons(address string) int {
	n := 0
	for _, r := range address {
		if r == ':' {
			n++
		}
	}
	return n
}

// Pods lists the pods of a namespace that carry a label.
func (c *Cluster) Pods(ctx context.Context, namespace, label, value string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{label: value}); err != nil {
		return nil, fmt.Errorf("listing pods %s=%s of %s: %w", label, value, namespace, err)
	}
	return list.Items, nil
}
