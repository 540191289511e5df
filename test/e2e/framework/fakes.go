package framework

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FakeLabel marks nodes that exist as objects only.
const FakeLabel = "woven-e2e/fake"

// firstFake is where the addresses of fake nodes begin: in a private network, or they would not count as the nodes' own.
var firstFake = netip.MustParseAddr("172.20.0.1")

// FakeNode is the nth node without a machine: an address, no kubelet, no chassis. Nothing is scheduled to such a node: it is
// tainted, and DaemonSets that tolerate every taint pass it by because it does not say that it runs Linux.
func FakeNode(n int) *corev1.Node {
	now := metav1.Now()
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("fake-%04d", n), Labels: map[string]string{FakeLabel: "true"}},
		Spec: corev1.NodeSpec{
			Unschedulable: true,
			Taints:        []corev1.Taint{{Key: FakeLabel, Effect: corev1.TaintEffectNoSchedule}},
		},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nth(firstFake, n).String()}},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Fake", LastHeartbeatTime: now, LastTransitionTime: now,
			}},
		},
	}
}

func nth(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// heartbeat is how often a fake node renews its lease. The node lifecycle controller waits 50 s (40 s before Kubernetes
// 1.32) before it calls a node unreachable and begins to write to the node's pods.
const heartbeat = 15 * time.Second

// nodeLeases is the namespace of the leases of nodes.
const nodeLeases = "kube-node-lease"

// Heartbeats renews the leases of fake nodes, as their kubelets would, until ctx ends.
func (c *Cluster) Heartbeats(ctx context.Context, nodes []*corev1.Node) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		for _, n := range nodes {
			if err := c.renew(ctx, n); err != nil && ctx.Err() == nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Cluster) renew(ctx context.Context, n *corev1.Node) error {
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: nodeLeases, Name: n.Name, Labels: map[string]string{FakeLabel: "true"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &n.Name, LeaseDurationSeconds: ptr.To[int32](40), RenewTime: ptr.To(metav1.NowMicro()),
		},
	}
	patch := fmt.Appendf(nil, `{"spec":{"renewTime":%q}}`, lease.Spec.RenewTime.UTC().Format(metav1.RFC3339Micro))
	err := c.Patch(ctx, &coordinationv1.Lease{ObjectMeta: lease.ObjectMeta}, client.RawPatch("application/merge-patch+json", patch))
	if client.IgnoreNotFound(err) == nil && err != nil {
		err = client.IgnoreAlreadyExists(c.Create(ctx, lease))
	}
	if err != nil {
		return fmt.Errorf("renewing the lease of node %s: %w", n.Name, err)
	}
	return nil
}

// RemoveFakes takes all fake nodes away, also those of a program that did not get so far.
func (c *Cluster) RemoveFakes(ctx context.Context) error {
	fake := client.MatchingLabels{FakeLabel: "true"}
	return errors.Join(
		c.DeleteAllOf(ctx, &corev1.Node{}, fake),
		c.DeleteAllOf(ctx, &coordinationv1.Lease{}, fake, client.InNamespace(nodeLeases)),
	)
}
