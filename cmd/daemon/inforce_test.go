package main

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// TestDaemonStartsWithASpoiltSubnet holds that a daemon which starts while the spec of a Subnet is refused goes by what is in
// force of it; and so when somebody edits it later.
func TestDaemonStartsWithASpoiltSubnet(t *testing.T) {
	c := newChurned(t)
	s := fakeSubnet("spoilt", "", 0)
	s.Status.Conditions[0].Status = metav1.ConditionFalse
	s.Status.InForce = &kubeovnv1.SubnetInForce{Vpc: kubeovnv1.DefaultVpc, CIDRBlock: "10.40.0.0/24", Gateway: "10.40.0.1", Mtu: 1234}
	before := c.looks()
	c.tell("subnets", s)
	hosttest.Eventually(t, "the MTU that is in force", func() bool { return c.host.PodMTU("spoilt") == 1234 })
	hosttest.Eventually(t, "a look at the Subnet", func() bool { return c.looks() > before })
	edited := s.DeepCopy()
	edited.Generation, edited.Spec.CIDRBlock, edited.Spec.Mtu = 1, "10.41.0.0/24", 1300
	c.tell("subnets", edited) // the controller has not judged it
	c.move("10.42.0.0/16")
	if mtu := c.host.PodMTU("spoilt"); mtu != 1234 {
		t.Errorf("before the verdict, pods have an MTU of %d", mtu)
	}
}
