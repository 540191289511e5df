package main

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// checkQuietRestart restarts the controller and fails if that writes a row or an object that was there before.
func (w *world) checkQuietRestart() {
	w.t.Helper()
	w.stop()
	before := w.versions()
	w.start()
	names := w.canaries()
	for _, op := range ovstest.Foreign(w.t, w.sent.Take(), names...) {
		w.t.Errorf("the restart sends %s", op)
	}
	after := w.versions()
	delete(before, "*v1.Subnet /join") // counts the addresses of the canaries' nodes
	for name, version := range before {
		if after[name] != version {
			w.t.Errorf("the restart writes to %s", name)
		}
	}
}

// canaries makes objects of all kinds, one set after the other, and waits for what the controller makes of them: each key
// that a feature's queue held at its start has been looked at by then. Their Vpcs, subnets and namespaces are their own, so
// that nothing of anybody else has a reason to change. Their names are what their rows can be told by.
func (w *world) canaries() (names []string) {
	w.t.Helper()
	for i, name := range []string{"canary-a", "canary-b"} {
		w.canary(name, fmt.Sprintf("10.4%d.0", i), fmt.Sprintf("192.0.2.20%d", i))
		names = append(names, name, fmt.Sprintf("192.0.2.20%d", i))
	}
	return names
}

func (w *world) canary(name, prefix, nodeAddress string) {
	w.t.Helper()
	subnet := newSubnet(name, prefix+".0/24", name)
	subnet.Spec.Vpc = name + "-vpc"
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddress}}},
	}
	w.create(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: subnet.Spec.Vpc, Generation: 1}}, subnet, node,
	)
	w.ready(name)
	reconciletest.Eventually(w.t, "the address of node "+name, func() string {
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(node), node); err != nil || node.Annotations[v1.AnnotationIPAddress] == "" {
			return fmt.Sprintf("its annotations are %v (%v)", node.Annotations, err)
		}
		return ""
	})
	service, endpoints := newService()
	service.Namespace, service.Name, service.Spec.ClusterIP = name, name, prefix+".250"
	service.Spec.ClusterIPs = []string{service.Spec.ClusterIP}
	endpoints.Namespace, endpoints.Name, endpoints.Labels = name, name, map[string]string{"kubernetes.io/service-name": name}
	endpoints.Endpoints[0].Addresses = []string{prefix + ".9"}
	w.create(service, endpoints)
	w.row("Load_Balancer", `"`+name+"/"+name+`/tcp"`, "protocol", "tcp")
	pod := labelled(name, name)
	pod.Namespace = name
	w.addressed(pod)
	reconciletest.Eventually(w.t, "the record of pod "+name, func() string {
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: name + "." + name}, &v1.IP{}); err != nil {
			return err.Error()
		}
		return ""
	})
	p := newPolicy(name, map[string]string{"app": name})
	p.Namespace, p.Spec.Ingress = name, []networkingv1.NetworkPolicyIngressRule{{From: from(name)}}
	w.create(p)
	w.inForce(p)
}

// versions are the resourceVersions of all objects, by type and name.
func (w *world) versions() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	lists := []client.ObjectList{&corev1.NodeList{}, &corev1.NamespaceList{}, &corev1.PodList{}, &corev1.ServiceList{}, &networkingv1.NetworkPolicyList{}}
	for _, kind := range w.Scheme().KnownTypes(v1.GroupVersion) {
		if list, is := reflect.New(kind).Interface().(client.ObjectList); is {
			lists = append(lists, list)
		}
	}
	for _, list := range lists {
		if err := w.List(w.t.Context(), list); err != nil {
			w.t.Fatal(err)
		}
		err := meta.EachListItem(list, func(obj runtime.Object) error {
			o := obj.(client.Object)
			out[fmt.Sprintf("%T %s", o, client.ObjectKeyFromObject(o))] = o.GetResourceVersion()
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// usage waits until a Subnet says how many IPv4 addresses are used; it says so once a second.
func (w *world) usage(subnet string, want float64) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the usage of subnet "+subnet, func() string {
		if got := now(w, newSubnet(subnet, "")).Status.V4UsingIPs; float64(got) != want {
			return fmt.Sprintf("it is %v", got)
		}
		return ""
	})
}
