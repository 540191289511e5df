package ip

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

var told = map[string]string{
	v1.AnnotationAllocated: "true", v1.AnnotationIPAddress: "10.16.0.5,fd00:10:16::5",
	v1.AnnotationMACAddress: "0a:58:0a:10:00:05", v1.AnnotationLogicalSwitch: "ovn-default",
}

func newPod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Annotations: told},
		Spec:       corev1.PodSpec{NodeName: "n1"},
	}
	if change != nil {
		change(p)
	}
	return p
}

// reserved is the record of an address that a user keeps for a pod.
func reserved() *v1.IP {
	return &v1.IP{
		ObjectMeta: metav1.ObjectMeta{Name: "web-0.shop", Labels: map[string]string{v1.LabelIPReserved: "true", "team": "red"}},
		Spec:       v1.IPSpec{PodName: "web-0", Namespace: "shop", Subnet: "ovn-default"},
	}
}

func TestReconcile(t *testing.T) {
	podKey := types.NamespacedName{Namespace: "shop", Name: "web-0"}
	for name, tc := range map[string]struct {
		objects []client.Object
		key     types.NamespacedName
		record  string
		// want is the IPv4 address of the record; "" when there should be none.
		want   string
		labels map[string]string
	}{
		"a pod": {
			objects: []client.Object{newPod(nil)}, key: podKey, record: "web-0.shop", want: "10.16.0.5",
			labels: map[string]string{"ovn-default": "", v1.LabelSubnet: "ovn-default", v1.LabelNodeName: "n1", v1.LabelIPReserved: "false"},
		},
		"a node": {
			objects: []client.Object{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: told}}},
			key:     types.NamespacedName{Name: "n1"}, record: "node-n1", want: "10.16.0.5",
		},
		"a pod not told yet": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Annotations = nil })}, key: podKey, record: "web-0.shop",
		},
		"a pod not scheduled yet": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Spec.NodeName = "" })}, key: podKey, record: "web-0.shop",
		},
		"a pod that has ended": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), record(newPod(nil), "n1")},
			key:     podKey, record: "web-0.shop",
		},
		"a pod that is gone": {objects: []client.Object{record(newPod(nil), "n1")}, key: podKey, record: "web-0.shop"},
		"a pod that moved": {
			objects: []client.Object{newPod(func(p *corev1.Pod) { p.Spec.NodeName = "n2" }), record(newPod(nil), "n1")},
			key:     podKey, record: "web-0.shop", want: "10.16.0.5", labels: map[string]string{v1.LabelNodeName: "n2"},
		},
		"reserved, and its pod comes": {
			objects: []client.Object{newPod(nil), reserved()}, key: podKey, record: "web-0.shop", want: "10.16.0.5",
			labels: map[string]string{v1.LabelIPReserved: "true", "team": "red", v1.LabelSubnet: "ovn-default"},
		},
		"annotations that make no sense": {
			objects: []client.Object{newPod(func(p *corev1.Pod) {
				p.Annotations = map[string]string{v1.AnnotationAllocated: "true", v1.AnnotationIPAddress: "ten"}
			})}, key: podKey, record: "web-0.shop",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := reconciletest.NewCluster(t)
			cluster.Load(tc.objects...)
			r := &reconciler{client: cluster}
			for range 2 { // the second time finds all done
				if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: tc.key}); err != nil {
					t.Fatal(err)
				}
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
	cluster := reconciletest.NewCluster(t)
	cluster.Load(reserved())
	r := &reconciler{client: cluster}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "web-0"}}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Get(t.Context(), types.NamespacedName{Name: "web-0.shop"}, &v1.IP{}); err != nil {
		t.Errorf("the reserved record is gone: %v", err)
	}
}
