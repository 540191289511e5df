package spec_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

func subnet(cidr string, verdict metav1.ConditionStatus, of int64, inForce *v1.SubnetInForce) *v1.Subnet {
	s := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "web", Generation: 2}, Spec: v1.SubnetSpec{CIDRBlock: cidr, Mtu: 1300}}
	s.Status.InForce = inForce
	if verdict != "" {
		s.Status.Conditions = []v1.Condition{{Type: v1.ConditionValidated, Status: verdict, ObservedGeneration: of}}
	}
	return s
}

// TestInForce is what controller and nodes go by, by the verdict on the spec and what the status says.
func TestInForce(t *testing.T) {
	before := &v1.SubnetInForce{
		Vpc: "ovn-cluster", CIDRBlock: "10.30.0.0/24", Gateway: "10.30.0.1", ExcludeIps: []string{"10.30.0.1"}, NatOutgoing: true, Mtu: 1400,
	}
	for name, tc := range map[string]struct {
		object *v1.Subnet
		want   string // "" is nothing
		usable bool
	}{
		"accepted":                          {subnet("10.31.0.0/24", "True", 2, before), "10.31.0.0/24", true},
		"accepted, of an older version":     {subnet("10.31.0.0/24", "True", 2, nil), "10.31.0.0/24", true},
		"edited, not judged yet":            {subnet("10.31.0.0/24", "True", 1, before), "10.30.0.0/24", true},
		"refused":                           {subnet("10.31.0.0/24", "False", 2, before), "10.30.0.0/24", true},
		"nonsense":                          {subnet("", "False", 2, before), "10.30.0.0/24", true},
		"refused from the first":            {subnet("10.31.0.0/24", "False", 2, nil), "", false},
		"new":                               {subnet("10.31.0.0/24", "", 0, nil), "", true},
		"new and nonsense":                  {subnet("ten", "", 0, nil), "", false},
		"nonsense that somebody said is so": {subnet("ten", "True", 2, before), "10.30.0.0/24", true},
		"nonsense on both sides":            {subnet("ten", "False", 2, &v1.SubnetInForce{CIDRBlock: "ten"}), "", false},
	} {
		s, ok := spec.InForce(tc.object, "ovn-cluster")
		if got := s.CIDRs.String(); ok != (tc.want != "") || got != tc.want {
			t.Errorf("%s: in force is %q (%t), want %q", name, got, ok, tc.want)
		}
		if ok && (s.VPC != "ovn-cluster" || tc.want == before.CIDRBlock && (!s.NAT || s.MTU != 1400)) {
			t.Errorf("%s: in force is %+v", name, s)
		}
		if _, usable := spec.Usable(tc.object, "ovn-cluster"); usable != tc.usable {
			t.Errorf("%s: usable is %t", name, usable)
		}
	}
}

// TestStatusReadsAsItWasWritten holds that what is in force is the same after a restart.
func TestStatusReadsAsItWasWritten(t *testing.T) {
	object := subnet("FD00:30::/64,10.30.0.9/24", "True", 2, nil)
	object.Spec.ExcludeIps, object.Spec.EnableLb, object.Spec.NatOutgoing = []string{" 10.30.0.7..10.30.0.9"}, ptr.To(true), true
	first, ok := spec.InForce(object, "tenant")
	if !ok {
		t.Fatal("it is not in force")
	}
	again, ok := spec.InForce(subnet("", "False", 2, first.Status()), "other")
	if !ok {
		t.Fatal("it is not in force any more")
	}
	if *first.Status().EnableLb != *again.Status().EnableLb || first.CIDRs != again.CIDRs || first.Gateways != again.Gateways ||
		first.VPC != again.VPC || first.NAT != again.NAT || first.MTU != again.MTU || !again.Excludes.Contains(first.Gateways.V4) {
		t.Errorf("%+v reads as %+v", first, again)
	}
	if got, want := again.Status().ExcludeIps, first.Status().ExcludeIps; len(got) != 3 || len(want) != 3 || got[0] != want[0] {
		t.Errorf("excluded are %q, and then %q", want, got)
	}
}
