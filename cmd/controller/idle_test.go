package main

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// idle waits until the condition Effective of an object says all the words; none is that the condition is not there.
func idle(w *world, obj client.Object, words ...string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "what has no effect of "+obj.GetName(), func() string {
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err.Error()
		}
		said := ""
		c := v1.FindCondition(obj.(interface{ Conditions() []v1.Condition }).Conditions(), v1.ConditionEffective)
		if c != nil {
			said = string(c.Status) + " " + c.Reason + ": " + c.Message
		}
		for _, word := range words {
			if !strings.Contains(said, word) {
				return "it is " + said
			}
		}
		if len(words) == 0 && c != nil {
			return "it is " + said
		}
		return ""
	})
}

// TestNamespacesThatDoNotExistAreTold has a Subnet and a Vpc name a namespace before it is there, and after it has gone.
func TestNamespacesThatDoNotExistAreTold(t *testing.T) {
	w := newWorld(t)
	subnet, vpc := newSubnet("web", "10.30.0.0/24", "shop", "late"), newTenant(v1.VpcSpec{Namespaces: []string{"late"}})
	w.create(subnet, vpc)
	w.ready("web")
	idle(w, subnet, "False NamespaceNotFound", "there is no namespace late")
	idle(w, vpc, "False NamespaceNotFound", "there is no namespace late")
	late := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
	w.create(late)
	idle(w, subnet)
	idle(w, vpc, "False SubnetNotFound", "pods of namespace late are in Subnet web")
	w.remove(late)
	idle(w, subnet, "there is no namespace late")
	idle(w, vpc, "there is no namespace late")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.Namespaces = []string{"shop"} })
	idle(w, subnet)
}

// TestVpcIsToldWhereItsPodsAre follows the pods of a Vpc's namespace through Subnets of this Vpc and of others.
func TestVpcIsToldWhereItsPodsAre(t *testing.T) {
	w := newWorld(t)
	vpc := newTenant(v1.VpcSpec{Namespaces: []string{"shop"}})
	w.create(vpc)
	idle(w, vpc, "pods of namespace shop are in Subnet ovn-default")
	other := newSubnet("other", "10.31.0.0/24", "shop")
	w.create(other)
	idle(w, vpc, "pods of namespace shop are in Subnet other")
	w.remove(other)
	idle(w, vpc, "pods of namespace shop are in Subnet ovn-default")
	inner := newSubnet("inner", "10.30.0.0/24", "shop")
	inner.Spec.Vpc = "tenant"
	w.create(inner)
	idle(w, vpc)
}

// TestExclusionsOutsideAreTold grows a range to an exclusion that was outside, and moves it away from the gateway that it had,
// the moment that somebody else edits the Subnet.
func TestExclusionsOutsideAreTold(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("web", "10.30.0.0/25")
	subnet.Spec.ExcludeIps = []string{"10.30.0.9", "10.30.0.200..10.30.0.210"}
	w.create(subnet)
	idle(w, subnet, "False OutsideCIDR", "10.30.0.200..10.30.0.210: what is not in 10.30.0.0/25 excludes nothing")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/24" })
	idle(w, subnet)
	w.stop()
	edit(w, subnet, func(s *v1.Subnet) {
		s.Spec.CIDRBlock, s.Spec.Gateway = "10.31.0.0/24", ""
		s.Spec.ExcludeIps = []string{"10.30.0.1", "10.31.0.9"}
	})
	w.meddleWith(subnet, func(s *v1.Subnet) { s.Annotations = map[string]string{"note": "seen"} })
	w.start()
	w.row("Logical_Router_Port", "ovn-cluster-web", "networks", "10.31.0.1/24")
	w.ready("web")
	idle(w, subnet)
	if got := strings.Join(subnet.Spec.ExcludeIps, " "); got != "10.31.0.9 10.31.0.1" || subnet.Annotations["note"] == "" {
		t.Errorf("excludeIps are %s, with the annotations %v", got, subnet.Annotations)
	}
}

// TestSpecThatWasEditedMeanwhileNeverComesIntoForce moves a Subnet, and spoils its spec the moment before the controller writes how
// it understands the move: the rows stay, and the range that it was about to have is another one's.
func TestSpecThatWasEditedMeanwhileNeverComesIntoForce(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("web", "10.30.0.0/24")
	w.create(subnet)
	w.ready("web")
	w.stop()
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock, s.Spec.Gateway, s.Spec.ExcludeIps = "10.31.0.0/24", "", nil })
	w.meddleWith(subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.31.0.0/33" })
	w.start()
	w.condition("web", v1.ConditionValidated, "False InvalidCIDR")
	w.create(newSubnet("rival", "10.31.0.0/24"))
	w.ready("rival")
	w.row("Logical_Router_Port", "ovn-cluster-web", "networks", "10.30.0.1/24")
	w.inForceNow("web", "10.30.0.0/24")
}

// TestSubnetOfAVpcThatGoes adds a Subnet to a Vpc that is being deleted: it keeps nobody, and comes into force in the next
// Vpc of the name.
func TestSubnetOfAVpcThatGoes(t *testing.T) {
	w := newWorld(t)
	inner := func(name, cidr string) *v1.Subnet {
		s := newSubnet(name, cidr)
		s.Spec.Vpc = "tenant"
		return s
	}
	vpc, first, late := newTenant(v1.VpcSpec{}), inner("first", "10.30.0.0/24"), inner("late", "10.31.0.0/24")
	w.create(vpc, first)
	w.ready("first")
	w.remove(vpc)
	reconciletest.Eventually(t, "the word that the Vpc goes", func() string {
		if c := v1.FindCondition(now(w, vpc).Status.Conditions, v1.ConditionReady); c == nil || c.Reason != v1.ReasonInUse {
			return fmt.Sprint(c)
		}
		return ""
	})
	w.create(late)
	w.condition("late", v1.ConditionReady, "False VpcTerminating")
	w.row("Logical_Switch", "late", "name", "")
	edit(w, first, func(s *v1.Subnet) { s.Spec.NatOutgoing = true })
	w.ready("first") // what is in the Vpc stays, and can be edited
	w.remove(first)
	reconciletest.Eventually(t, "the end of the Vpc", func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(vpc), vpc); !errors.IsNotFound(err) {
			return "it is there"
		}
		return ""
	})
	w.condition("late", v1.ConditionProgrammed, "False Waiting")
	w.create(newTenant(v1.VpcSpec{}))
	w.ready("late")
	w.row("Logical_Switch", "late", "name", "late")
}
