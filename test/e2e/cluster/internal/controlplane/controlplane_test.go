package controlplane

import (
	"slices"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

func TestControllerManagerNodeCIDRs(t *testing.T) {
	for _, tc := range []struct {
		cluster spec.Cluster
		want    []string
	}{
		{spec.Cluster{Family: spec.IPv4, CNI: spec.Woven}, []string{"--allocate-node-cidrs=false"}},
		{spec.Cluster{Family: spec.IPv4, CNI: spec.Bridge}, []string{"--allocate-node-cidrs", "--node-cidr-mask-size=24"}},
		{spec.Cluster{Family: spec.IPv6, CNI: spec.Bridge}, []string{"--node-cidr-mask-size=64", "--cluster-cidr=fd00:10:16::/48"}},
		{spec.Cluster{Family: spec.Dual, CNI: spec.Bridge}, []string{"--node-cidr-mask-size-ipv4=24", "--node-cidr-mask-size-ipv6=64"}},
	} {
		argv := controllerManager(tc.cluster)
		for _, arg := range tc.want {
			if !slices.Contains(argv, arg) {
				t.Errorf("%v: %s is missing from %v", tc.cluster, arg, argv)
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	s, err := NewSecrets(spec.Cluster{Nodes: 2, Family: spec.IPv6})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.Load(s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.Clusters["woven"].Server, "https://[fd00:31::1]:6443"; got != want {
		t.Errorf("the server is %s, want %s", got, want)
	}
	if _, ok := s.ForNode("node1")[pkiDir+"ca.key"]; !ok {
		t.Error("the control plane lacks the authority's key")
	}
	if _, ok := s.ForNode("node2")[pkiDir+"ca.key"]; ok {
		t.Error("a node that is not the control plane holds the authority's key")
	}
}
