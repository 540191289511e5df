package node

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
	"github.com/woven-cni/woven/pkg/subnet"
)

// workers wait for the database nearly all the time; so many nodes can go in one transaction.
const workers = 256

// New is the Node feature: it takes nodes' addresses from pools and tells each node its own by annotations.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{
		client: env.Client, pools: pool.PoolsOf(env), defaults: reconcile.Setting[spec.Defaults](env),
		addresses: nodeaddr.JudgeOf(env), events: env.Events,
		unheeded: reconcile.Unheeded{Events: env.Events, Heeded: heeded},
	}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &corev1.Node{},
		When: relevant,
		Watches: append(f.addresses.Watches(),
			reconcile.Watch{Kind: &v1.Subnet{}, Map: f.whenJoin, When: []predicate.Predicate{subnet.FitsOtherwise}}),
		Sources: []source.Source{&reconcile.FeedSource{Feed: f.pools.Turns(FeatureName), Enqueue: reconcile.Queue}, f.renewal.Source()},
		Workers: workers, Gather: f.gather, Claim: f.claim, Translate: Translate, Report: f.report, Record: f.record(),
	}
}

type feature struct {
	client   client.Client
	pools    *pool.Pools
	defaults spec.Defaults
	// addresses decides which of the addresses that nodes report are theirs.
	addresses *nodeaddr.Judge
	// events tells why a node has no address, and which of those that it reports do not count.
	events recorder.EventRecorder
	// unheeded tells which annotations of Kube-OVN are not in force.
	unheeded reconcile.Unheeded
	// renewal tells again that a node has no address, or none of those that it reports.
	renewal reconcile.Renewal
	told    sync.Map // node -> []netip.Addr: the accepted addresses that others have been told of
}

// relevant drops the heartbeats.
var relevant = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return nodeaddr.ReportsOthers.Update(e) || !sameAnnotations(before, after)
	},
}

func sameAnnotations(a, b client.Object) bool {
	if !slices.Equal(heeded.Unheeded(a.GetAnnotations()), heeded.Unheeded(b.GetAnnotations())) {
		return false
	}
	for _, key := range []string{
		v1.AnnotationIPAddress, v1.AnnotationMACAddress, v1.AnnotationCIDR, v1.AnnotationGateway,
		v1.AnnotationAllocated, v1.AnnotationLogicalSwitch, v1.AnnotationPortName,
	} {
		if a.GetAnnotations()[key] != b.GetAnnotations()[key] {
			return false
		}
	}
	return true
}

// whenJoin looks at every node again when the subnet of the nodes is edited.
func (f *feature) whenJoin(ctx context.Context, obj client.Object) []ctrl.Request {
	var nodes corev1.NodeList
	if obj.GetName() != f.defaults.Join || f.client.List(ctx, &nodes) != nil {
		return nil
	}
	out := make([]ctrl.Request, len(nodes.Items))
	for i := range nodes.Items {
		out[i] = ctrl.Request{NamespacedName: types.NamespacedName{Name: nodes.Items[i].Name}}
	}
	return out
}

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Name: key.Name, Join: subnet.Subnet{Name: f.defaults.Join}}
	var node corev1.Node
	if err := r.Get(ctx, key, &node); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Exists, in.Node = true, &node
	addresses, err := f.addresses.Of(ctx, &node)
	if err != nil {
		return in, err //nolint:wrapcheck // it says what could not be read
	}
	in.HostAddrs, in.Refused = addresses.Internal, addresses.Refused
	var join v1.Subnet
	if err := r.Get(ctx, types.NamespacedName{Name: f.defaults.Join}, &join); err != nil {
		in.Shortage = fmt.Errorf("reading it: %w", err)
		return in, client.IgnoreNotFound(err)
	}
	s, why := subnet.Read(&join, f.defaults.Vpc)
	if why != "" {
		in.Shortage = fmt.Errorf("it %s", why)
		return in, nil
	}
	in.Join = s
	return in, nil
}

// claim takes the node's addresses.
func (f *feature) claim(_ context.Context, key types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	owner := PortKey(key.Name)
	if in.Exists && in.Shortage == nil {
		f.pools.Claim(owner)
		in.Lease, in.Shortage = f.pools.Allocate(in.Join.Pool(), pool.Request{Owner: owner})
	}
	return func(out reconcile.Outcome) {
		if !in.Exists && out.Programmed() {
			f.pools.Release(owner)
		}
	}, nil
}

func (f *feature) report(_ context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	if !in.Exists {
		if out.Programmed() {
			f.told.Delete(key.Name)
			f.unheeded.Forget(key)
		}
		return nil
	}
	f.tellRefused(in)
	f.unheeded.Tell(in.Node, false)
	// In a new cluster nodes are there before the subnet is; its coming wakes them, and nobody has to hear of it.
	if wrong := out.Problems.Blocking(); len(wrong) > 0 && !errors.IsNotFound(in.Shortage) {
		f.events.Eventf(in.Node, nil, "Warning", "AcquireAddressFailed", "Allocate", "%s", wrong)
		f.renewal.Told(key)
	}
	if !out.Programmed() {
		return nil
	}
	f.tell(in)
	return nil
}

// record tells the node its addresses.
func (f *feature) record() reconcile.Record[Input, *corev1.Node] {
	return reconcile.Record[Input, *corev1.Node]{
		Object: func(in Input) (*corev1.Node, bool) { return in.Node, in.Exists },
		Fill: func(in Input, out reconcile.Outcome, node *corev1.Node) {
			if out.Programmed() {
				annotate(in, node)
			}
		},
	}
}

func annotate(in Input, node *corev1.Node) {
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}
	answer := v1.Allocation{
		Subnet: in.Join.Name, Port: PortName(node.Name), MAC: in.Lease.MAC[:], Addresses: in.Lease.Addrs.List(),
		CIDRs: in.Join.CIDRs.List(), Gateways: in.Join.Gateways.List(),
	}
	maps.Copy(node.Annotations, answer.Annotations(v1.Provider))
}

// tell has those who read the accepted addresses of nodes look again when they are others than before.
func (f *feature) tell(in Input) {
	if before, _ := f.told.Swap(in.Name, in.HostAddrs); before == nil || !slices.Equal(before.([]netip.Addr), in.HostAddrs) {
		f.addresses.Tell(in.Name)
	}
}

// tellRefused tells of all refused addresses in one Event: the recorder takes several of one reason for repetitions of the
// first, whatever they say. Addresses that are refused for one reason stand together.
func (f *feature) tellRefused(in Input) {
	var reasons []string
	refused := map[string][]string{}
	for _, r := range in.Refused {
		if refused[r.Why] == nil {
			reasons = append(reasons, r.Why)
		}
		refused[r.Why] = append(refused[r.Why], r.Address)
	}
	if len(reasons) == 0 {
		return
	}
	texts := make([]string, len(reasons))
	for i, why := range reasons {
		texts[i] = listed(refused[why]) + " " + why
	}
	f.events.Eventf(in.Node, nil, "Warning", "AddressRefused", "Accept", "%s", reconcile.Note("InternalIP "+strings.Join(texts, "; ")))
	f.renewal.Told(types.NamespacedName{Name: in.Name})
}

// refusalsTold is how many addresses are named of those that are refused for one reason: a node may report thousands.
const refusalsTold = 5

func listed(addresses []string) string {
	if more := len(addresses) - refusalsTold; more > 0 {
		return fmt.Sprintf("%s and %d more: each", strings.Join(addresses[:refusalsTold], ", "), more)
	}
	return strings.Join(addresses, ", ")
}
