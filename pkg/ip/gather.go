package ip

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Record, error) {
	owner := pod.Owner(key)
	if key.Namespace == "" {
		owner = node.Owner(key.Name)
	}
	h, nodeName, err := holderOfRecord(ctx, r, owner)
	if err != nil {
		return Record{}, err
	}
	ports, err := f.ports(ctx, r, owner)
	if err != nil {
		return Record{}, err
	}
	var in Record
	for _, p := range ports {
		o := Object{Port: p}
		if h.object != nil && len(portName(p)) <= validation.DNS1123SubdomainMaxLength {
			o.Want = f.record(h, p, nodeName)
		}
		var have v1.IP
		switch err := r.Get(ctx, types.NamespacedName{Name: portName(p)}, &have); {
		case err == nil:
			o.Have = &have
		case !errors.IsNotFound(err):
			return in, fmt.Errorf("reading IP %s: %w", portName(p), err)
		}
		if o.Have != nil && o.Want != nil && !isRecord(&have) && (have.Labels[v1.LabelIPReserved] == "true" || f.pools.Kept(p)) {
			o.Want.Labels[v1.LabelIPReserved] = "true"
		}
		if about := cmp.Or(o.Want, o.Have); about != nil {
			if o.Retained, err = retained(ctx, r, about); err != nil {
				return in, err
			}
		}
		in.Objects = append(in.Objects, o)
	}
	return in, nil
}

// ports are those of an owner that have addresses, or an IP object.
func (f *feature) ports(ctx context.Context, r client.Reader, owner ovs.Owner) ([]port.Key, error) {
	ports := f.pools.Ports(owner)
	var list v1.IPList
	if err := r.List(ctx, &list, client.MatchingFields{ownerIndex: owner.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the IPs of %s: %w", owner, err)
	}
	for i := range list.Items {
		if p, ok := portOf(&list.Items[i]); ok && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports, nil
}

// holderOfRecord reads the pod or node whose ports have IP objects, and the node that it is on. It has no object if there should
// be no IP objects: a pod has them from when it is scheduled, so that one write tells all.
func holderOfRecord(ctx context.Context, r client.Reader, owner ovs.Owner) (h holder, nodeName string, err error) {
	key := reconcile.ParseKey(owner.Key)
	if owner.Feature == node.FeatureName {
		var n corev1.Node
		if err := r.Get(ctx, key, &n); err != nil {
			return h, "", client.IgnoreNotFound(err)
		}
		return holderOf(&n), n.Name, nil
	}
	var p corev1.Pod
	if err := r.Get(ctx, key, &p); err != nil {
		return h, "", client.IgnoreNotFound(err)
	}
	if p.Spec.NodeName == "" || !pod.Attached(&p) {
		return h, "", nil
	}
	return holderOf(&p), p.Spec.NodeName, nil
}

// record is what a port of a holder has, or nil. It is read from the pools, which the rows follow; annotations can be forged.
func (f *feature) record(h holder, p port.Key, nodeName string) *v1.IP {
	home, lease := f.pools.Held(p)
	if lease.IsZero() {
		return nil
	}
	ip := &v1.IP{
		ObjectMeta: metav1.ObjectMeta{
			Name: portName(p),
			Labels: fitting(map[string]string{
				home: "", v1.LabelSubnet: home, v1.LabelNodeName: nodeName, v1.LabelIPReserved: "false",
			}),
		},
		Spec: v1.IPSpec{
			PodName: h.object.GetName(), Namespace: h.object.GetNamespace(), Subnet: home, NodeName: nodeName, PodType: typeOf(h.object),
		},
	}
	describe(&ip.Spec, lease)
	return ip
}

func (f *reservations) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	var object v1.IP
	err := r.Get(ctx, key, &object)
	if client.IgnoreNotFound(err) != nil {
		return Input{}, fmt.Errorf("reading IP %s: %w", key.Name, err)
	}
	if err != nil || isRecord(&object) {
		return Input{}, nil //nolint:nilerr // what is gone reserves nothing
	}
	in := Input{IP: &object}
	if in.wish, err = parseWish(&object); err != nil {
		in.refuse("%s", err)
	}
	return in, nil
}
