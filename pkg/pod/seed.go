package pod

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Seed puts on record every address that is in use from before this process, and then opens the pools.
//
// A pod's annotations tell its address; a pod that was allocated and not told yet, because a controller died between
// the two, has it in its committed row. It runs once, on the leader, over caches: no look-up leaves the process.
type Seed struct {
	Reader     client.Reader
	DB         *engine.DB
	Pools      *subnet.Pools
	DefaultVpc string
	Log        logr.Logger
}

// Start implements manager.Runnable.
func (s *Seed) Start(ctx context.Context) error {
	select {
	case <-s.DB.Ready():
	case <-ctx.Done():
		return nil
	}
	subnets, err := s.subnets(ctx)
	if err != nil {
		return err
	}
	var pods corev1.PodList
	if err := s.Reader.List(ctx, &pods); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; Attached(pod) {
			s.record(subnets, pod)
		}
	}
	if err := s.recordNodes(ctx, subnets); err != nil {
		return err
	}
	s.Pools.Seeded()
	return nil
}

func (s *Seed) subnets(ctx context.Context) (map[string]subnet.Subnet, error) {
	var list v1.SubnetList
	if err := s.Reader.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing subnets: %w", err)
	}
	out := map[string]subnet.Subnet{}
	for i := range list.Items {
		if parsed, problems := subnet.Parse(&list.Items[i], s.DefaultVpc); len(problems.Blocking()) == 0 {
			out[parsed.Name] = parsed
		}
	}
	return out, nil
}

func (s *Seed) record(subnets map[string]subnet.Subnet, pod *corev1.Pod) {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	name, lease := annotated(pod)
	if lease.IsZero() {
		name, lease = s.committed(key)
	}
	home, known := subnets[name]
	if lease.IsZero() || !known {
		return
	}
	if err := s.Pools.Reserve(home, reconcile.Key(key), lease); err != nil {
		s.Log.Error(err, "two owners of one address; the later one gets another", "pod", key.String())
	}
}

func annotated(obj client.Object) (string, ipam.Lease) {
	a := obj.GetAnnotations()
	if a[v1.AnnotationAllocated] != "true" {
		return "", ipam.Lease{}
	}
	return a[v1.AnnotationLogicalSwitch], parseLease(a[v1.AnnotationIPAddress], a[v1.AnnotationMACAddress])
}

// committed is what the pod's row says.
func (s *Seed) committed(key types.NamespacedName) (string, ipam.Lease) {
	for _, row := range s.DB.Owned(ovs.Owner{Feature: FeatureName, Key: reconcile.Key(key)}) {
		if port, ok := row.Model.(*nb.LogicalSwitchPort); ok && len(port.Addresses) == 1 {
			mac, addrs, _ := strings.Cut(port.Addresses[0], " ")
			return port.ExternalIDs[switchKey], parseLease(strings.ReplaceAll(addrs, " ", ","), mac)
		}
	}
	return "", ipam.Lease{}
}

func parseLease(addrs, mac string) ipam.Lease {
	var lease ipam.Lease
	var err error
	if lease.Addrs, err = ipam.ParseAddrs(addrs); err != nil {
		return ipam.Lease{}
	}
	if lease.MAC, err = ipam.ParseMAC(mac); err != nil {
		return ipam.Lease{}
	}
	return lease
}

func (s *Seed) recordNodes(ctx context.Context, subnets map[string]subnet.Subnet) error {
	var nodes corev1.NodeList
	if err := s.Reader.List(ctx, &nodes); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		name, lease := annotated(node)
		home, known := subnets[name]
		if lease.IsZero() || !known {
			continue
		}
		if err := s.Pools.Reserve(home, node.Annotations[v1.AnnotationPortName], lease); err != nil {
			s.Log.Error(err, "two owners of one address; the later one gets another", "node", node.Name)
		}
	}
	return nil
}
