package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// spoilt are edits of Subnet web, 10.30.0.0/24 with pods in it, that must not come into force, and the reason that is told.
var spoilt = map[string]struct {
	edit   func(*v1.SubnetSpec)
	reason string
}{
	"no CIDR":             {func(s *v1.SubnetSpec) { s.CIDRBlock = "" }, v1.ReasonInvalidCIDR},
	"no such CIDR":        {func(s *v1.SubnetSpec) { s.CIDRBlock = "10.30.0.0/33" }, v1.ReasonInvalidCIDR},
	"a Vlan":              {func(s *v1.SubnetSpec) { s.Vlan = "v1" }, v1.ReasonNotImplemented},
	"an attachment's":     {func(s *v1.SubnetSpec) { s.Provider = "net.shop.ovn" }, v1.ReasonNotImplemented},
	"the network as gate": {func(s *v1.SubnetSpec) { s.Gateway = "10.30.0.0" }, v1.ReasonInvalidGateway},
	"a gateway outside":   {func(s *v1.SubnetSpec) { s.Gateway = "10.31.0.1" }, v1.ReasonGatewayOutsideCIDR},
	"no such exclusion":   {func(s *v1.SubnetSpec) { s.ExcludeIps = []string{"ten"} }, v1.ReasonInvalidExcludeIPs},
	"another's range":     {func(s *v1.SubnetSpec) { s.CIDRBlock = "10.0.0.0/8" }, v1.ReasonOverlap},
	"it moves":            {func(s *v1.SubnetSpec) { s.CIDRBlock, s.Gateway = "10.31.0.0/24", "" }, v1.ReasonCutsOff},
	"it shrinks":          {func(s *v1.SubnetSpec) { s.CIDRBlock = "10.30.0.0/31" }, v1.ReasonCutsOff},
	"another family":      {func(s *v1.SubnetSpec) { s.CIDRBlock, s.Gateway = "fd00:30::/64", "" }, v1.ReasonCutsOff},
	"another gateway":     {func(s *v1.SubnetSpec) { s.Gateway = "10.30.0.200" }, v1.ReasonCutsOff},
	"a pod's gateway":     {func(s *v1.SubnetSpec) { s.Gateway = "10.30.0.2" }, v1.ReasonCutsOff},
}

// inForceNow waits until a Subnet's status says that a range is in force.
func (w *world) inForceNow(subnet, cidr string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "what is in force of subnet "+subnet, func() string {
		switch s := now(w, newSubnet(subnet, "")); {
		case s.Status.InForce == nil:
			return "it is nothing"
		case s.Status.InForce.CIDRBlock != cidr:
			return "it is " + s.Status.InForce.CIDRBlock
		}
		return ""
	})
}

// connected waits until pods have what they had, as OVN, their nodes and policies see it.
func (w *world) connected(vpc string, addresses map[*corev1.Pod]string) {
	w.t.Helper()
	var pods []*corev1.Pod
	for pod, address := range addresses {
		w.row("Logical_Switch_Port", pod.Name+".shop", "addresses", "0a:58:0a:1e:00:"+lastByte(address)+" "+address)
		w.told(pod, address)
		pods = append(pods, pod)
	}
	reconciletest.Eventually(w.t, "the router's port", func() string {
		networks := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=networks", "find", "Logical_Router_Port", "name="+vpc+"-web"))
		if !strings.HasPrefix(networks, "10.30.0.1/") {
			return "it has " + networks
		}
		return ""
	})
	w.row("Logical_Switch", "web", "name", "web")
	w.row("Logical_Router", vpc, "name", vpc)
	w.followed(pods...)
}

// TestSpoiltSubnetStaysInForce holds who is still connected after an edit that must not come into force, whenever the
// controller reads it: the pods that are there have what they had, policies select them, new pods get addresses beside
// theirs, nobody else gets the range, and the switch is not taken away from under them.
func TestSpoiltSubnetStaysInForce(t *testing.T) {
	t.Parallel()
	for name, tc := range spoilt {
		for when, away := range map[string]bool{"and restarted": false, "while away": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				subnet := newSubnet("web", "10.30.0.0/24", "shop")
				w.create(subnet)
				w.ready("web")
				first, second := aged("m-0", time.Hour), aged("m-1", time.Minute)
				w.addressed(first, second)
				spoil := func() { edit(w, subnet, func(s *v1.Subnet) { tc.edit(&s.Spec) }) }
				w.editedAndRestarted(away, spoil, func() { w.condition("web", v1.ConditionValidated, "False "+tc.reason) })
				w.inForceNow("web", "10.30.0.0/24")
				next := aged("a-new", 0) // first by name
				w.create(next)
				w.connected("ovn-cluster", map[*corev1.Pod]string{first: "10.30.0.2", second: "10.30.0.3", next: "10.30.0.4"})
				w.create(newSubnet("rival", "10.30.0.128/25"))
				w.condition("rival", v1.ConditionValidated, "False Overlap")
				w.remove(subnet)
				w.condition("web", v1.ConditionReady, "False InUse")
				w.restart()
				w.remove(first)
				w.row("Logical_Switch_Port", "m-0.shop", "name", "")
				w.row("Logical_Switch", "web", "name", "web")
				w.remove(second)
				w.remove(next)
				w.row("Logical_Switch", "web", "name", "")
				w.ready("rival")
			})
		}
	}
}

// TestSpoiltSubnetIsMended holds that the spec comes into force when it makes sense again, and an edit that would have cut
// pods off when they have gone.
func TestSpoiltSubnetIsMended(t *testing.T) {
	w := newWorld(t)
	subnet, pod := newSubnet("web", "10.30.0.0/24", "shop"), aged("m-0", time.Hour)
	w.create(subnet)
	w.ready("web")
	w.addressed(pod)
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock = "" })
	w.condition("web", v1.ConditionValidated, "False InvalidCIDR")
	w.restart()
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock, s.Spec.NatOutgoing = "10.30.0.0/16", true })
	w.ready("web")
	w.inForceNow("web", "10.30.0.0/16")
	w.row("Logical_Router_Port", "ovn-cluster-web", "networks", "10.30.0.1/16")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock, s.Spec.Gateway, s.Spec.ExcludeIps = "10.31.0.0/24", "", nil })
	w.condition("web", v1.ConditionValidated, "False CutsOff")
	c := v1.FindCondition(now(w, subnet).Status.Conditions, v1.ConditionValidated)
	if !strings.Contains(c.Message, "it would cut off 1: pod shop/m-0;") {
		t.Errorf("the condition says %q", c.Message)
	}
	w.remove(pod)
	w.ready("web")
	w.inForceNow("web", "10.31.0.0/24")
	w.row("Logical_Router_Port", "ovn-cluster-web", "networks", "10.31.0.1/24")
}

// TestRowsOfSpoiltSubnetAreHealed has somebody change the rows of a Subnet whose spec is refused, and the database be lost.
func TestRowsOfSpoiltSubnetAreHealed(t *testing.T) {
	w := newWorld(t)
	subnet, pod := newSubnet("web", "10.30.0.0/24", "shop"), aged("m-0", time.Hour)
	w.create(subnet)
	w.ready("web")
	w.addressed(pod)
	w.recorded("m-0", "10.30.0.2")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.Vlan = "v1" })
	w.condition("web", v1.ConditionValidated, "False NotImplemented")
	w.nb.Ctl("set", "Logical_Router_Port", "ovn-cluster-web", "networks=10.99.0.1/24")
	w.row("Logical_Router_Port", "ovn-cluster-web", "networks", "10.30.0.1/24")
	w.stop()
	w.nb.Kill()
	w.nb.Empty()
	w.nb.Restart()
	w.start()
	w.connected("ovn-cluster", map[*corev1.Pod]string{pod: "10.30.0.2"})
}

// TestStrangersStatusDecidesNothing has somebody write into the status of Subnets what is in force, with the controller there
// or away: nonsense, nothing, and another's range.
func TestStrangersStatusDecidesNothing(t *testing.T) {
	t.Parallel()
	for name, written := range map[string]*v1.SubnetInForce{
		"nothing":         nil,
		"nonsense":        {CIDRBlock: "ten", Gateway: "tenth", ExcludeIps: []string{"all"}, Vpc: "\x00"},
		"another gateway": {CIDRBlock: "10.30.0.0/24", Gateway: "10.30.0.77"},
		"another's range": {CIDRBlock: "10.16.0.0/16"},
		"all there is":    {CIDRBlock: "0.0.0.0/0,::/0"},
	} {
		for when, away := range map[string]bool{"while running": false, "while away": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				good, pod := newSubnet("web", "10.30.0.0/24", "shop"), aged("m-0", time.Hour)
				refused := newSubnet("refused", "10.30.0.0/25")
				w.create(good)
				w.ready("web")
				w.addressed(pod)
				w.create(refused)
				w.condition("refused", v1.ConditionValidated, "False Overlap")
				if away {
					w.stop()
				}
				for _, s := range []*v1.Subnet{good, refused} {
					s = now(w, s)
					s.Status.InForce = written.DeepCopy()
					if err := w.WithWatch.Status().Update(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
				if away {
					w.start()
				}
				next := aged("a-new", 0)
				w.create(next)
				w.connected("ovn-cluster", map[*corev1.Pod]string{pod: "10.30.0.2", next: "10.30.0.3"})
				w.ready("web")
				w.inForceNow("web", "10.30.0.0/24")
				if gateway := now(w, good).Status.InForce.Gateway; gateway != "10.30.0.1" {
					t.Errorf("the gateway in force is %s", gateway)
				}
				reconciletest.Eventually(t, "the status of the refused Subnet", func() string {
					if s := now(w, refused); s.Status.InForce != nil {
						return fmt.Sprintf("%+v is in force", s.Status.InForce)
					}
					return ""
				})
				w.row("Logical_Switch", "refused", "name", "")
				w.ready("ovn-default")
			})
		}
	}
}

// TestRestartWithSpoiltSubnetWritesNothing counts what a restart writes while a spec is refused.
func TestRestartWithSpoiltSubnetWritesNothing(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("web", "10.30.0.0/24", "shop")
	w.create(subnet)
	w.ready("web")
	w.addressed(aged("m-0", time.Hour), aged("d-0", time.Hour, v1.AnnotationLogicalSwitch, "ovn-default"))
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock = "" })
	w.condition("web", v1.ConditionValidated, "False InvalidCIDR")
	w.addressed(aged("m-1", time.Minute)) // its usage is in the status a second later
	w.usage("web", 2)
	w.usage("ovn-default", 1)
	w.checkQuietRestart()
}

// editedAndRestarted makes an edit that is answered, and restarts the controller after the answer; or makes it while the controller
// is away.
func (w *world) editedAndRestarted(away bool, edit, answered func()) {
	w.t.Helper()
	if away {
		w.stop()
		edit()
		w.start()
	} else {
		edit()
		answered()
		w.restart()
	}
	answered()
}
