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
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// FeatureName is the feature's name in logs and metrics.
const FeatureName = "ip"

// workers bound how many writes of IP objects are under way: they come after what pods wait for.
const workers = 4

// Record is the IP object of an owner of addresses, as it is and as it should be.
type Record struct {
	// Owner is a pod or a node.
	Owner ovs.Owner
	// Have is nil when there is none, and Want when there should be none.
	Have, Want *v1.IP
}

// New is the feature of the record of addresses. Its keys are pods and nodes, which have no namespace; it has no rows.
func New(env *reconcile.Env) reconcile.Feature[Record] {
	pools := pool.PoolsOf(env)
	f := &feature{client: env.Client, pools: pools}
	before := &seed{
		reader: env.Client, db: env.DB, pools: pools, names: reconcile.Setting[spec.Defaults](env), events: env.Events,
		log: env.Log.WithName("seed"),
	}
	return reconcile.Feature[Record]{
		Name: FeatureName,
		Watches: []reconcile.Watch{
			{Kind: &corev1.Pod{}, Map: keyOf, When: []predicate.Predicate{changed}},
			{Kind: &corev1.Node{}, Map: keyOf, When: []predicate.Predicate{changed}},
			{Kind: &v1.IP{}, Map: keyOf},
		},
		Workers: workers, Seed: before.run, Gather: f.gather, Report: f.report,
	}
}

// keyOf is the key of the owner that an object is or speaks of.
func keyOf(_ context.Context, obj client.Object) []ctrl.Request {
	return []ctrl.Request{reconcile.Request(ownerOf(obj).Key)}
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

type feature struct {
	client client.Client
	pools  *pool.Pools
}

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Record, error) {
	in := Record{Owner: pod.Owner(key)}
	if key.Namespace == "" {
		in.Owner = node.Owner(key.Name)
	}
	var err error
	if in.Want, err = f.want(ctx, r, in.Owner); err != nil {
		return in, err
	}
	var have v1.IP
	name := portName(in.Owner)
	switch err := r.Get(ctx, types.NamespacedName{Name: name}, &have); {
	case err == nil:
		in.Have = &have
	case !errors.IsNotFound(err):
		return in, fmt.Errorf("reading IP %s: %w", name, err)
	}
	if in.Have != nil && in.Want != nil && !isRecord(&have) && (have.Labels[v1.LabelIPReserved] == "true" || f.pools.Kept(in.Owner)) {
		in.Want.Labels[v1.LabelIPReserved] = "true"
	}
	return in, nil
}

// report makes the IP object of one owner what the owner holds.
func (f *feature) report(ctx context.Context, _ types.NamespacedName, in Record, _ reconcile.Outcome) error {
	switch {
	case in.Have == nil && in.Want == nil:
		return nil
	case in.Have == nil:
		return ignoreExists(f.client.Create(ctx, in.Want))
	case in.Want == nil && !isRecord(in.Have):
		return nil // a user's: it keeps the address while the port is away
	case in.Want == nil:
		return client.IgnoreNotFound(f.client.Delete(ctx, in.Have))
	default:
		return update(ctx, f.client, in.Have, in.Want)
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
func (f *feature) want(ctx context.Context, r client.Reader, owner ovs.Owner) (*v1.IP, error) {
	key := reconcile.ParseKey(owner.Key)
	if owner.Feature == node.FeatureName {
		var n corev1.Node
		if err := r.Get(ctx, key, &n); err != nil {
			return nil, client.IgnoreNotFound(err)
		}
		return f.record(holderOf(&n), n.Name), nil
	}
	var p corev1.Pod
	if err := r.Get(ctx, key, &p); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if p.Spec.NodeName == "" || !pod.Attached(&p) {
		return nil, nil
	}
	return f.record(holderOf(&p), p.Spec.NodeName), nil
}

// record is what a holder has, or nil. It is read from the pools, which the rows follow; annotations can be forged.
func (f *feature) record(h holder, nodeName string) *v1.IP {
	home, lease := f.pools.Held(h.owner)
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
