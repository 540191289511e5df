package ip

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

// forged are annotations that say something else than the pools.
var forged = map[string]string{
	v1.AnnotationAllocated: "true", v1.AnnotationIPAddress: "10.16.0.1",
	v1.AnnotationMACAddress: "0a:58:0a:10:00:01", v1.AnnotationLogicalSwitch: "join",
}

// tooLong is a name of a pod with which an IP object's would have 254 characters.
var tooLong = strings.Repeat("w", 249)

func newPod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Annotations: forged},
		Spec:       corev1.PodSpec{NodeName: "n1"},
	}
	if change != nil {
		change(p)
	}
	return p
}

// holding are pools in which some have addresses.
func holding(t *testing.T, owners ...ovs.Owner) *pool.Pools {
	t.Helper()
	pools := pool.New()
	obj := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "ovn-default"}, Spec: v1.SubnetSpec{CIDRBlock: "10.16.0.0/16,fd00:10:16::/64"}}
	s, problems := subnet.Parse(obj, "ovn-cluster")
	addrs, err := ipam.ParseAddrs("10.16.0.5,fd00:10:16::5")
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	for _, owner := range owners {
		if _, err := pools.Allocate(s.Pool(), pool.Request{Owner: port.First(owner), Addrs: addrs}); err != nil {
			t.Fatal(err)
		}
	}
	return pools
}

// reserved is the record of an address that a user keeps for a pod.
func reserved() *v1.IP {
	return &v1.IP{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0.shop", Labels: map[string]string{v1.LabelIPReserved: "true", "team": "red"}},
		Spec:       v1.IPSpec{PodName: "web-0", Namespace: "shop", Subnet: "ovn-default"},
	}
}

// loaded is a cluster with objects, and the index that the feature reads.
func loaded(t *testing.T, objects ...client.Object) *reconciletest.Cluster {
	t.Helper()
	cluster := reconciletest.NewCluster(t)
	if err := cluster.IndexField(t.Context(), &v1.IP{}, ownerIndex, ownerKeys); err != nil {
		t.Fatal(err)
	}
	cluster.Load(objects...)
	return cluster
}

// keep looks at the record of an owner.
func keep(t *testing.T, f *feature, owner ovs.Owner) {
	t.Helper()
	key := reconcile.ParseKey(owner.Key)
	in, err := f.gather(t.Context(), f.client, key)
	if err == nil {
		_, err = f.claim(t.Context(), key, &in)
	}
	if err == nil {
		err = f.report(t.Context(), key, in, reconcile.Outcome{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecord(t *testing.T) {
	old := &v1.IP{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0.shop", Labels: map[string]string{v1.LabelIPReserved: "false"}},
		Spec:       v1.IPSpec{PodName: "web-0", Namespace: "shop", Subnet: "ovn-default", V4IPAddress: "10.16.0.4"},
	}
	webPod := pod.Owner(types.NamespacedName{Namespace: "shop", Name: "web-0"})
	for name, tc := range map[string]struct {
		objects []client.Object
		nothing bool // the pod or node holds nothing
		owner   ovs.Owner
		record  string
		// want is the IPv4 address of the record; "" when there should be none.
		want   string
		labels map[string]string
	}{
		"a pod": {
			objects: []client.Object{newPod(nil)}, owner: webPod, record: "web-0.shop", want: "10.16.0.5",
			labels: map[string]string{"ovn-default": "", v1.LabelSubnet: "ovn-default", v1.LabelNodeName: "n1", v1.LabelIPReserved: "false"},
		},
		"a node": {
			objects: []client.Object{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: forged}}},
			owner:   node.Owner("n1"), record: "node-n1", want: "10.16.0.5",
		},
		"a pod that holds nothing, whatever it says": {
			objects: []client.Object{newPod(nil)}, nothing: true, owner: webPod, record: "web-0.shop",
		},
		"a pod with a name that an IP object cannot have": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Name = tooLong })},
			owner:   pod.Owner(types.NamespacedName{Namespace: "shop", Name: tooLong}), record: tooLong + ".shop",
		},
		"a pod not scheduled yet": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Spec.NodeName = "" })}, owner: webPod, record: "web-0.shop",
		},
		"a pod that has ended": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), old},
			owner:   webPod, record: "web-0.shop",
		},
		"a pod that is gone": {objects: []client.Object{old}, owner: webPod, record: "web-0.shop"},
		"a pod that moved": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Spec.NodeName = "n2" }), old},
			owner:   webPod, record: "web-0.shop", want: "10.16.0.5", labels: map[string]string{v1.LabelNodeName: "n2"},
		},
		"reserved, and its pod comes": {
			objects: []client.Object{newPod(nil), reserved()}, owner: webPod, record: "web-0.shop", want: "10.16.0.5",
			labels: map[string]string{v1.LabelIPReserved: "true", "team": "red", v1.LabelSubnet: "ovn-default"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := loaded(t, tc.objects...)
			f := &feature{client: cluster, pools: holding(t)}
			if !tc.nothing {
				f.pools = holding(t, tc.owner)
			}
			for range 2 { // the second time finds all done
				keep(t, f, tc.owner)
			}
			var got v1.IP
			err := cluster.Get(t.Context(), types.NamespacedName{Name: tc.record}, &got)
			if client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			if errors.IsNotFound(err) != (tc.want == "") || got.Spec.V4IPAddress != tc.want {
				t.Fatalf("the record is %+v (%v), want address %q", got.Spec, err, tc.want)
			}
			for key, want := range tc.labels {
				if have, there := got.Labels[key]; !there || have != want {
					t.Errorf("label %s is %q, want %q", key, have, want)
				}
			}
		})
	}
}

func TestReservedRecordOutlivesItsPod(t *testing.T) {
	cluster := loaded(t, reserved())
	keep(t, &feature{client: cluster, pools: holding(t)}, pod.Owner(types.NamespacedName{Namespace: "shop", Name: "web-0"}))
	if err := cluster.Get(t.Context(), types.NamespacedName{Name: "web-0.shop"}, &v1.IP{}); err != nil {
		t.Errorf("the reserved record is gone: %v", err)
	}
}
