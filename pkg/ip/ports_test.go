package ip

import (
	"maps"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Two ports of the pod shop/web-0, in two Subnets.
var (
	firstPort  = pod.PortKey(types.NamespacedName{Namespace: "shop", Name: "web-0"})
	secondPort = port.Key{Owner: firstPort.Owner, Interface: "net1.default"}
)

// subnets are those of the ports.
func subnets() []*v1.Subnet {
	return []*v1.Subnet{
		{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1.SubnetSpec{CIDRBlock: "10.20.0.0/24"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "net"}, Spec: v1.SubnetSpec{CIDRBlock: "10.30.0.0/24"}},
	}
}

// take gives a port an address of a Subnet.
func take(t *testing.T, pools *pool.Pools, owner port.Key, from *v1.Subnet) ipam.Lease {
	t.Helper()
	s, problems := subnet.Parse(from, "ovn-cluster")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	lease, err := pools.Allocate(s.Pool(), pool.Request{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// addresses are those that the IP objects of the cluster say, by name.
func addresses(t *testing.T, c client.Client) map[string]string {
	t.Helper()
	var list v1.IPList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i := range list.Items {
		out[list.Items[i].Name] = list.Items[i].Spec.IPAddress
	}
	return out
}

// Each port of a pod has an IP object by the port's name, for as long as the port has addresses.
func TestEachPortHasAnObject(t *testing.T) {
	cluster, pools, from := loaded(t, newPod(nil)), pool.New(), subnets()
	f := &feature{client: cluster, pools: pools}
	first, second := take(t, pools, firstPort, from[0]), take(t, pools, secondPort, from[1])
	want := map[string]string{"web-0.shop": first.Addrs.String(), "web-0.shop.net1.default": second.Addrs.String()}
	for _, step := range []struct {
		what   string
		change func()
		want   map[string]string
	}{
		{"both", func() {}, want},
		{"the second is released", func() { pools.Release(secondPort) }, map[string]string{"web-0.shop": first.Addrs.String()}},
		{"the pod ends", func() { pools.ReleaseAll(firstPort.Owner) }, map[string]string{}},
	} {
		step.change()
		keep(t, f, firstPort.Owner)
		if got := addresses(t, cluster); !maps.Equal(got, step.want) {
			t.Errorf("%s: the IP objects are %v, want %v", step.what, got, step.want)
		}
	}
}

// restarted are pools that begin with what the last process left in the database and in IP objects.
func restarted(t *testing.T, cluster client.Client, rows []port.Port) *pool.Pools {
	t.Helper()
	db := ovstest.Start(t).DB()
	apply := func(owner ovs.Owner, want ovs.Desired) {
		if _, err := db.Apply(t.Context(), owner, want); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range subnets() {
		var want ovs.Desired
		want.Add(subnet.Switch(s.Name), &nb.LogicalSwitch{Name: s.Name})
		apply(ovs.Owner{Feature: subnet.FeatureName, Key: s.Name}, want)
	}
	var want ovs.Desired
	for _, p := range rows {
		p.AddTo(&want)
	}
	apply(firstPort.Owner, want)
	pools := pool.New()
	before := &seed{reader: cluster, db: db, pools: pools, names: reconciletest.Defaults, events: &reconciletest.Events{}, log: logr.Discard()}
	if err := before.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return pools
}

// A restart knows the addresses of both ports by their rows, and by their IP objects where the rows are lost. What one port has
// lost does not concern the other.
func TestPortsOfAPodAfterARestart(t *testing.T) {
	answered := newPod(func(p *corev1.Pod) {
		p.UID = "uid"
		p.Annotations = map[string]string{v1.AnnotationAllocated: "true", v1.AnnotationAllocatedUID: "uid"}
	})
	from, pools := subnets(), pool.New()
	first, second := take(t, pools, firstPort, from[0]), take(t, pools, secondPort, from[1])
	rows := []port.Port{
		{
			Owner: firstPort.Owner, Name: "web-0.shop", Switch: subnet.PortsOf("web"), Lease: first, Security: port.Itself, UID: "uid",
		},
		{
			Owner: secondPort.Owner, Interface: secondPort.Interface, Name: "web-0.shop.net1.default",
			Switch: subnet.PortsOf("net"), Lease: second, Security: port.Itself, UID: "uid",
		},
	}
	f := &feature{pools: pools}
	objects := []client.Object{
		answered, from[0], from[1], f.record(holderOf(answered), firstPort, "n1"), f.record(holderOf(answered), secondPort, "n1"),
	}
	for name, tc := range map[string]struct {
		rows    []port.Port
		objects []client.Object
		want    map[port.Key]ipam.Lease
	}{
		"rows":                           {rows, objects[:3], map[port.Key]ipam.Lease{firstPort: first, secondPort: second}},
		"objects":                        {nil, objects, map[port.Key]ipam.Lease{firstPort: first, secondPort: second}},
		"one row and the other's object": {rows[:1], objects, map[port.Key]ipam.Lease{firstPort: first, secondPort: second}},
		"the second's row alone":         {rows[1:], objects[:3], map[port.Key]ipam.Lease{secondPort: second}},
		"the pod is gone":                {rows, objects[1:3], map[port.Key]ipam.Lease{firstPort: first, secondPort: second}},
	} {
		t.Run(name, func(t *testing.T) {
			again := restarted(t, loaded(t, tc.objects...), tc.rows)
			for _, p := range []port.Key{firstPort, secondPort} {
				if _, got := again.Held(p); got != tc.want[p] {
					t.Errorf("%s has %v, want %v", p, got, tc.want[p])
				}
			}
			if want := slices.SortedFunc(maps.Keys(tc.want), port.Key.Compare); !slices.Equal(slices.Concat(again.Users("web"), again.Users("net")), want) {
				t.Errorf("the users are %v and %v, want %v", again.Users("web"), again.Users("net"), want)
			}
		})
	}
}
