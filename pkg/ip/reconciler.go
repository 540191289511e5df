package ip

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// workers bound how many writes of IP objects are under way: they come after what pods wait for.
const workers = 4

// Register adds the controller of IP objects to mgr. Its keys are the owners of addresses.
func Register(mgr manager.Manager, pools *pool.Pools) error {
	warm := true
	c, err := controller.NewTyped("ip", mgr, controller.TypedOptions[ovs.Owner]{
		Reconciler:              &reconciler{client: mgr.GetClient(), pools: pools},
		MaxConcurrentReconciles: workers,
		EnableWarmup:            &warm,
	})
	if err != nil {
		return fmt.Errorf("making controller ip: %w", err)
	}
	owners := handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []ovs.Owner {
		return []ovs.Owner{ownerOf(obj)}
	})
	for _, s := range []source.TypedSource[ovs.Owner]{
		source.TypedKind[client.Object](mgr.GetCache(), &corev1.Pod{}, owners, changed),
		source.TypedKind[client.Object](mgr.GetCache(), &corev1.Node{}, owners, changed),
		source.TypedKind[client.Object](mgr.GetCache(), &v1.IP{}, owners),
	} {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watching for controller ip: %w", err)
		}
	}
	return nil
}

// changed drops the updates that cannot change the record. That annotations changed means that something was told, or that
// somebody edited them; what they say is not asked.
var changed = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	if !maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()) {
		return true
	}
	before, isPod := e.ObjectOld.(*corev1.Pod)
	if !isPod {
		return false
	}
	after := e.ObjectNew.(*corev1.Pod)
	return before.Spec.NodeName != after.Spec.NodeName || pod.Attached(before) != pod.Attached(after)
}}

// ownerOf is the owner that a pod or node is, or that an IP object speaks of: one that names no namespace speaks of a node.
func ownerOf(obj client.Object) ovs.Owner {
	key := client.ObjectKeyFromObject(obj)
	if ip, ok := obj.(*v1.IP); ok {
		key = types.NamespacedName{Namespace: ip.Spec.Namespace, Name: ip.Spec.PodName}
	}
	if key.Namespace == "" {
		return node.Owner(key.Name)
	}
	return pod.Owner(key)
}

type reconciler struct {
	client client.Client
	pools  *pool.Pools
}

// Reconcile makes the IP object of one owner what the owner holds.
func (r *reconciler) Reconcile(ctx context.Context, owner ovs.Owner) (ctrl.Result, error) {
	if err := r.pools.AwaitSeed(ctx); err != nil {
		return ctrl.Result{}, fmt.Errorf("keeping the record of %s: %w", owner, err)
	}
	want, err := r.want(ctx, owner)
	if err != nil {
		return ctrl.Result{}, err
	}
	name := portName(owner)
	var have v1.IP
	err = r.client.Get(ctx, types.NamespacedName{Name: name}, &have)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return ctrl.Result{}, fmt.Errorf("reading IP %s: %w", name, err)
	case errors.IsNotFound(err) && want == nil:
		return ctrl.Result{}, nil
	case errors.IsNotFound(err):
		return ctrl.Result{}, ignoreExists(r.client.Create(ctx, want))
	case want == nil && !isRecord(&have):
		return ctrl.Result{}, nil // a user's: it keeps the address while the port is away
	case want == nil:
		return ctrl.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, &have))
	default:
		if !isRecord(&have) && (have.Labels[v1.LabelIPReserved] == "true" || r.pools.Kept(owner)) {
			want.Labels[v1.LabelIPReserved] = "true"
		}
		return ctrl.Result{}, update(ctx, r.client, &have, want)
	}
}

// update gives an IP object the spec and the labels that it should have. Other labels stay.
func update(ctx context.Context, c client.Client, have, want *v1.IP) error {
	next := have.DeepCopy()
	next.Spec = want.Spec
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	maps.Copy(next.Labels, want.Labels)
	if equality.Semantic.DeepEqual(next, have) {
		return nil
	}
	if err := c.Patch(ctx, next, client.MergeFrom(have)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("updating IP %s: %w", have.Name, err)
	}
	return nil
}

// want is the record that an owner should have, or nil. A pod has one from when it is scheduled, so that one write tells all.
func (r *reconciler) want(ctx context.Context, owner ovs.Owner) (*v1.IP, error) {
	key := reconcile.ParseKey(owner.Key)
	if owner.Feature == node.FeatureName {
		var n corev1.Node
		if err := r.client.Get(ctx, key, &n); err != nil {
			return nil, client.IgnoreNotFound(err)
		}
		return r.record(holderOf(&n), n.Name), nil
	}
	var p corev1.Pod
	if err := r.client.Get(ctx, key, &p); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if p.Spec.NodeName == "" || !pod.Attached(&p) {
		return nil, nil
	}
	return r.record(holderOf(&p), p.Spec.NodeName), nil
}

// record is what a holder has, or nil. It is read from the pools, which the rows follow; annotations can be forged.
func (r *reconciler) record(h holder, nodeName string) *v1.IP {
	home, lease := r.pools.Held(h.owner)
	if lease.IsZero() {
		return nil
	}
	ip := &v1.IP{
		ObjectMeta: metav1.ObjectMeta{
			Name: portName(h.owner),
			Labels: fitting(map[string]string{
				home: "", v1.LabelSubnet: home, v1.LabelNodeName: nodeName, v1.LabelIPReserved: "false",
			}),
		},
		Spec: v1.IPSpec{
			PodName: h.object.GetName(), Namespace: h.object.GetNamespace(), Subnet: home, NodeName: nodeName,
		},
	}
	describe(&ip.Spec, lease)
	return ip
}

// describe writes a lease into the fields of an IP object.
func describe(spec *v1.IPSpec, lease ipam.Lease) {
	spec.IPAddress, spec.MACAddress = lease.Addrs.String(), lease.MAC.String()
	spec.V4IPAddress, spec.V6IPAddress = "", ""
	if lease.V4.IsValid() {
		spec.V4IPAddress = lease.V4.String()
	}
	if lease.V6.IsValid() {
		spec.V6IPAddress = lease.V6.String()
	}
}

// fitting leaves out the labels that cannot be: an object's name may be longer than a label.
func fitting(labels map[string]string) map[string]string {
	maps.DeleteFunc(labels, func(k, v string) bool {
		return len(validation.IsQualifiedName(k)) > 0 || len(validation.IsValidLabelValue(v)) > 0
	})
	return labels
}

// portName is the name of an owner's port, and of its IP object.
func portName(owner ovs.Owner) string {
	if owner.Feature == node.FeatureName {
		return node.PortName(owner.Key)
	}
	return pod.PortName(reconcile.ParseKey(owner.Key))
}

// ignoreExists lets a record that is there already, and not in the cache yet, be found by its own event.
func ignoreExists(err error) error {
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
