package main

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// populated is a world that has an object of each kind that a feature is for.
type populated struct {
	*world
	// empty is what OVN had before, and registry what was known of groups.
	empty    string
	registry *group.Registry
	// objects are all of them, in the order in which they may be deleted.
	objects []client.Object
	heard   []string // Events

	vpc         *v1.Vpc
	inner, web  *v1.Subnet
	node        *corev1.Node
	db, guest   *corev1.Pod
	far, near   *corev1.Service
	kept        *v1.IP
	spare       *v1.IPPool
	policy      *networkingv1.NetworkPolicy
	cluster     *v1alpha2.ClusterNetworkPolicy
	admin       *v1alpha1.AdminNetworkPolicy
	baseline    *v1alpha1.BaselineAdminNetworkPolicy
	subjectName string
}

// populate puts all objects into a world, and waits until they are in force: pods of namespace shop are in Subnet web, and one of them is a guest in Subnet inner of
// Vpc tenant.
func populate(w *world) *populated {
	w.t.Helper()
	p := &populated{
		world: w, empty: w.env.DB.Dump(), registry: group.RegistryOf(w.env).Fork(),
		vpc: newVpc("tenant"), inner: subnetOf("tenant", "inner", "10.30.0.0/24"), web: newSubnet("web", "10.31.0.0/24", "shop"), node: newNode("n1", "192.0.2.1"),
		db: labelled("db-0", "db"), guest: newPod("guest", v1.AnnotationLogicalSwitch, "inner"),
		near: nearService(), kept: newIP("kept", "web", "10.31.0.50"), policy: newPolicy("db", map[string]string{"app": "db"}), cluster: denyAll("guard"),
	}
	p.spare = &v1.IPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "spare", Generation: 1},
		Spec:       v1.IPPoolSpec{Subnet: "web", IPs: []string{"10.31.0.200..10.31.0.210"}, EnableAddressSet: true},
	}
	p.far, _ = newService()
	p.far.Annotations = map[string]string{v1.AnnotationVpc: "tenant"}
	_, endpoints := newService()
	p.policy.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from("web")}}
	for _, object := range ofAllKinds() {
		switch o := object.(type) {
		case *v1alpha1.AdminNetworkPolicy:
			p.admin = o
		case *v1alpha1.BaselineAdminNetworkPolicy:
			p.baseline = o
		}
	}
	p.objects = []client.Object{
		p.policy, p.cluster, p.admin, p.baseline, p.far, p.near, endpoints, p.kept, p.spare, p.db, p.guest, p.node, p.web, p.inner, p.vpc,
	}
	w.create(p.vpc, p.inner, p.web, p.node)
	w.ready("inner")
	w.ready("web")
	w.create(p.kept, p.spare)
	p.poolCondition("True")
	w.addressed(p.db, p.guest)
	w.create(endpoints, p.far, p.near, p.policy, p.cluster, p.admin, p.baseline)
	p.settled()
	subject, err := group.Of(nil, &p.policy.Spec.PodSelector)
	if err != nil {
		w.t.Fatal(err)
	}
	subject.Namespace = "shop"
	p.subjectName = subject.Name()
	return p
}

// settled waits until all that the controller makes of the objects is there.
func (p *populated) settled() {
	p.t.Helper()
	p.inForce(p.policy)
	p.awaitReady(p.cluster)
	p.poolCondition("True")
	p.conditionOf(p.admin, "True")
	p.conditionOf(p.baseline, "True")
	p.annotated(p.node, v1.AnnotationIPAddress, "100.64.0.2")
	p.annotated(shop(), v1.AnnotationLogicalSwitch, "web")
	p.leadsTo("192.0.2.1", "n1")
	p.recorded("db-0", "10.31.0.2")
	p.recorded("guest", "10.30.0.2")
	p.reserved("kept.shop", "10.31.0.50")
	p.row("Load_Balancer", `"shop/web/tcp"`, "vips", "10.96.0.10:80=10.16.0.5:8080")
	reconciletest.Eventually(p.t, "the variables of the node", func() string {
		return p.without("Chassis_Template_Var", "chassis=n1", "variables", "10.96.0.12")
	})
}

// without says that a column of a row does not have a text.
func (p *populated) without(table, where, column, text string) string {
	p.t.Helper()
	if got := p.nb.Ctl("--bare", "--columns="+column, "find", table, where); !strings.Contains(got, text) {
		return fmt.Sprintf("%s of %s %s is %s", column, table, where, got)
	}
	return ""
}

// conditionOf waits for the status of an administrators' policy's condition Ready.
func (p *populated) conditionOf(policy client.Object, want metav1.ConditionStatus) {
	p.t.Helper()
	reconciletest.Eventually(p.t, "the condition of policy "+policy.GetName(), func() string {
		var conditions []metav1.Condition
		switch o := now(p.world, policy).(type) {
		case *v1alpha1.AdminNetworkPolicy:
			conditions = o.Status.Conditions
		case *v1alpha1.BaselineAdminNetworkPolicy:
			conditions = o.Status.Conditions
		case *v1alpha2.ClusterNetworkPolicy:
			conditions = o.Status.Conditions
		}
		if c := meta.FindStatusCondition(conditions, "Ready"); c == nil || c.Status != want || c.ObservedGeneration != policy.GetGeneration() {
			return fmt.Sprintf("it is %+v", c)
		}
		return ""
	})
}

// poolCondition waits for the status of the IPPool's condition Ready.
func (p *populated) poolCondition(want metav1.ConditionStatus) {
	p.t.Helper()
	reconciletest.Eventually(p.t, "the condition of IPPool spare", func() string {
		now := now(p.world, p.spare)
		if c := v1.FindCondition(now.Status.Conditions, v1.ConditionReady); c == nil || c.Status != want || c.ObservedGeneration != now.Generation {
			return fmt.Sprintf("it is %+v", c)
		}
		return ""
	})
}

// conformants are the objects of all features, by the features' constructors.
func (p *populated) conformants() map[string]conformant {
	switchOf := func(subnet, name string) func() { return func() { p.row("Logical_Switch", subnet, "name", name) } }
	loseWeb := func() { p.vanish(p.web); switchOf("web", "")() }
	regainWeb := func() { p.again(newSubnet("web", "10.31.0.0/24", "shop")); p.ready("web") }
	// A Vpc that was forced out leaves its router to the Subnets that are in it.
	loseVpc := func() { p.vanish(p.vpc); p.event(v1.ReasonVpcNotFound, "shop/web") }
	regainVpc := func() { p.again(newVpc("tenant")); p.ready("inner") }
	loseShop := func() { p.vanish(shop()) }
	regainShop := func() { p.again(shop()) }
	nothing := func() {}
	return map[string]conformant{
		"meter.New": {owner: ovs.Owner{Feature: "meter", Key: "all"}},
		"vpc.New": {
			owner: ovs.Owner{Feature: "vpc", Key: "tenant"}, event: "tenant",
			spoil: func() {
				edit(p.world, p.vpc, func(v *v1.Vpc) {
					v.Spec.DefaultSubnet, v.Spec.StaticRoutes = "nowhere", []v1.StaticRoute{{CIDR: "ten"}}
				})
				idle(p.world, p.vpc, "nowhere")
			},
			mend: func() {
				edit(p.world, p.vpc, func(v *v1.Vpc) { v.Spec = v1.VpcSpec{} })
				idle(p.world, p.vpc)
			},
		},
		"subnet.New": {
			owner: ovs.Owner{Feature: "subnet", Key: "inner"}, event: "inner",
			spoil: func() {
				edit(p.world, p.inner, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/33" })
				p.condition("inner", v1.ConditionValidated, "False InvalidCIDR")
			},
			mend: func() {
				edit(p.world, p.inner, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/24" })
				p.ready("inner")
			},
			lose: loseVpc, regain: regainVpc,
		},
		"ip.New": { // the record of a pod, which nobody else writes
			spoil: func() {
				edit(p.world, newIP("db-0", "", ""), func(ip *v1.IP) { ip.Spec.IPAddress = "ten" })
				p.recorded("db-0", "10.31.0.2")
			},
			mend:   nothing,
			lose:   func() { p.remove(newIP("db-0", "", "")) },
			regain: func() { p.recorded("db-0", "10.31.0.2") },
		},
		"ip.NewReservations": {
			spoil: func() {
				edit(p.world, p.kept, func(ip *v1.IP) { ip.Spec.IPAddress = "ten" })
				p.event("NotReserved", "kept.shop")
			},
			mend: func() {
				edit(p.world, p.kept, func(ip *v1.IP) { ip.Spec.IPAddress = "10.31.0.50" })
				p.reserved("kept.shop", "10.31.0.50")
			},
			lose: loseWeb, regain: regainWeb,
		},
		"ippool.New": {
			owner: ovs.Owner{Feature: "ippool", Key: "spare"}, event: "spare",
			spoil: func() {
				edit(p.world, p.spare, func(o *v1.IPPool) { o.Spec.IPs = []string{"ten"} })
				p.poolCondition("False")
			},
			mend: func() {
				edit(p.world, p.spare, func(o *v1.IPPool) { o.Spec.IPs = []string{"10.31.0.200..10.31.0.210"} })
				p.poolCondition("True")
			},
			lose: loseWeb, regain: regainWeb,
		},
		"node.New": {
			owner: ovs.Owner{Feature: "node", Key: "n1"}, event: "n1",
			spoil: func() {
				p.annotate(p.node, v1.AnnotationIPAddress, "ten")
				p.annotated(p.node, v1.AnnotationIPAddress, "100.64.0.2")
			},
			mend:   nothing,
			lose:   func() { p.vanish(newSubnet("join", "")); switchOf("join", "")() },
			regain: func() { p.again(p.join()); p.ready("join") },
		},
		"namespace.New": {
			spoil: func() {
				p.annotate(shop(), v1.AnnotationLogicalSwitch, "nowhere")
				p.annotated(shop(), v1.AnnotationLogicalSwitch, "web")
			},
			mend: nothing,
			lose: func() { loseWeb(); p.annotated(shop(), v1.AnnotationLogicalSwitch, "ovn-default") },
			regain: func() {
				regainWeb()
				p.annotated(shop(), v1.AnnotationLogicalSwitch, "web")
			},
		},
		"service.New": {
			owner: ovs.Owner{Feature: "service", Key: "shop/web"}, event: "shop/web",
			spoil: func() {
				p.annotate(p.far, v1.AnnotationVpc, "nowhere")
				p.event(v1.ReasonVpcNotFound, "shop/web")
			},
			mend: func() { p.annotate(p.far, v1.AnnotationVpc, "tenant") },
			lose: loseVpc, regain: regainVpc,
		},
		"service.NewVariables": {
			owner: ovs.Owner{Feature: "chassis", Key: "n1"}, event: "n1",
			lose: func() {
				p.remove(p.near)
				p.row("Load_Balancer", `"shop/near/refuse"`, "name", "")
			},
			regain: func() { p.again(nearService()) },
		},
		"policy.NewNetworkPolicies": {
			owner: ovs.Owner{Feature: "networkpolicy", Key: "shop/db"}, event: "shop/db",
			spoil: func() {
				edit(p.world, p.policy, func(n *networkingv1.NetworkPolicy) { n.Spec.PodSelector, n.Generation = odd, n.Generation+1 })
				p.status(p.policy, `"inForce":false`)
			},
			mend: func() {
				edit(p.world, p.policy, func(n *networkingv1.NetworkPolicy) {
					n.Spec.PodSelector, n.Generation = metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}, n.Generation+1
				})
				p.inForce(p.policy)
			},
			lose: loseShop, regain: regainShop,
		},
		"policy.NewClusterNetworkPolicies": {
			owner: ovs.Owner{Feature: "clusternetworkpolicy", Key: "guard"}, event: "guard",
			spoil: func() {
				edit(p.world, p.cluster, func(c *v1alpha2.ClusterNetworkPolicy) { c.Spec.Subject.Namespaces, c.Generation = &odd, c.Generation+1 })
				p.conditionOf(p.cluster, "False")
			},
			mend: func() {
				edit(p.world, p.cluster, func(c *v1alpha2.ClusterNetworkPolicy) {
					c.Spec.Subject.Namespaces, c.Generation = &metav1.LabelSelector{}, c.Generation+1
				})
				p.awaitReady(p.cluster)
			},
			lose: loseShop, regain: regainShop,
		},
		"policy.NewAdminNetworkPolicies": {
			owner: ovs.Owner{Feature: "adminnetworkpolicy", Key: "admin"}, event: "admin",
			spoil: func() {
				edit(p.world, p.admin, func(a *v1alpha1.AdminNetworkPolicy) { a.Spec.Subject.Namespaces, a.Generation = &odd, a.Generation+1 })
				p.conditionOf(p.admin, "False")
			},
			mend: func() {
				edit(p.world, p.admin, func(a *v1alpha1.AdminNetworkPolicy) {
					a.Spec.Subject.Namespaces, a.Generation = &metav1.LabelSelector{}, a.Generation+1
				})
				p.conditionOf(p.admin, "True")
			},
			lose: loseShop, regain: regainShop,
		},
		"policy.NewBaselineAdminNetworkPolicies": {
			owner: ovs.Owner{Feature: "baselineadminnetworkpolicy", Key: "default"}, event: "default",
			spoil: func() {
				edit(p.world, p.baseline, func(b *v1alpha1.BaselineAdminNetworkPolicy) {
					b.Spec.Subject.Namespaces, b.Generation = &odd, b.Generation+1
				})
				p.conditionOf(p.baseline, "False")
			},
			mend: func() {
				edit(p.world, p.baseline, func(b *v1alpha1.BaselineAdminNetworkPolicy) {
					b.Spec.Subject.Namespaces, b.Generation = &metav1.LabelSelector{}, b.Generation+1
				})
				p.conditionOf(p.baseline, "True")
			},
			lose: loseShop, regain: regainShop,
		},
		"pod.New": {
			owner: ovs.Owner{Feature: "pod", Key: "shop/db-0"}, event: "shop/db-0",
			spoil: func() {
				p.annotate(p.db, v1.AnnotationIPAddress, "ten")
				p.annotated(p.db, v1.AnnotationIPAddress, "10.31.0.2")
			},
			mend: nothing,
			lose: loseWeb, regain: regainWeb,
		},
		"group.New": {
			owner: ovs.Owner{Feature: "group", Key: p.subjectName},
			lose: func() {
				p.remove(p.policy)
				reconciletest.Eventually(p.t, "the end of the policy", func() string {
					return p.nb.Ctl("--bare", "--columns=name", "find", "ACL", "external_ids:woven/owner=networkpolicy/shop/db")
				})
			},
			regain: func() { p.again(p.policy); p.inForce(p.policy) },
		},
	}
}

// join is the Subnet of the nodes, as the controller makes it in a new cluster.
func (p *populated) join() *v1.Subnet {
	s := subnetOf("ovn-cluster", "join", p.options.JoinCIDR)
	s.Spec.Provider, s.Spec.GatewayType = v1.Provider, v1.GatewayDistributed
	return s
}
