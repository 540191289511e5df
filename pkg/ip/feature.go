package ip

import (
	"context"
	stderrors "errors"
	"fmt"
	"maps"
	"slices"

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
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// FeatureName is the feature's name in logs and metrics.
const FeatureName = "ip"

// workers bound how many writes of IP objects are under way: they come after what pods wait for.
const workers = 4

// Record is the IP objects of a pod or node: one for each of its ports.
type Record struct{ Objects []Object }

// Object is the IP object of a port, as it is and as it should be.
type Object struct {
	// Port has the addresses.
	Port port.Key
	// Have is nil when there is none, and Want when there should be none.
	Have, Want *v1.IP
}

// ownerIndex finds the IP objects of a pod or node, by the key of its owner.
const ownerIndex = "owner"

func ownerKeys(obj client.Object) []string { return []string{ownerOf(obj).String()} }

// New is the feature of the record of addresses. Its keys are pods and nodes, which have no namespace; it has no rows.
func New(env *reconcile.Env) reconcile.Feature[Record] {
	pools := pool.PoolsOf(env)
	f := &feature{client: env.Client, pools: pools}
	env.Index(&v1.IP{}, ownerIndex, ownerKeys)
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
		if h.object != nil {
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

// report makes the IP objects of one owner what its ports hold.
func (f *feature) report(ctx context.Context, _ types.NamespacedName, in Record, _ reconcile.Outcome) error {
	var errs []error
	for _, o := range in.Objects {
		errs = append(errs, f.write(ctx, o))
	}
	return stderrors.Join(errs...)
}

func (f *feature) write(ctx context.Context, in Object) error {
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

// portName is the name of a port, and of its IP object.
func portName(p port.Key) string {
	if p.Owner.Feature == node.FeatureName {
		return node.PortName(p.Owner.Key)
	}
	key := reconcile.ParseKey(p.Owner.Key)
	return v1.PortNameOfPod(key.Namespace, key.Name, p.Interface)
}

// portOf is the port that an IP object is of; not ok if the object's name is another than the IP object of that pod or node has.
func portOf(ip *v1.IP) (p port.Key, ok bool) {
	p = port.First(ownerOf(ip))
	if p.Owner.Feature == pod.FeatureName {
		p.Interface, _ = v1.ProviderOfPort(ip.Name, ip.Spec.Namespace, ip.Spec.PodName)
	}
	return p, ip.Name == portName(p)
}

// ignoreExists lets a record that is there already, and not in the cache yet, be found by its own event.
func ignoreExists(err error) error {
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
