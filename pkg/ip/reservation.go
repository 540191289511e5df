package ip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// parts are what the Reservation feature works with.
type parts struct {
	Client client.Client
	// Subnets reads the subnets that addresses are reserved of, and Pools keeps them.
	Subnets subnet.Finder
	Pools   *pool.Pools
	// Events tells why an address is not reserved.
	Events recorder.EventRecorder
}

// Input is one IP object that reserves addresses.
type Input struct {
	// IP is nil when there is none, or when it is the record of a port and no more.
	IP *v1.IP
	// Lease is what is reserved; the zero Lease while Problems are in the way, or while the port has the addresses itself.
	Lease ipam.Lease
	// Problems say why nothing is reserved.
	Problems reconcile.Problems

	wish wish
}

// NewReservations is the feature of the IP objects that users write before a port exists, or label ip_reserved: their addresses
// are nobody's but that port's. They have no rows.
func NewReservations(env *reconcile.Env) reconcile.Feature[Input] {
	f := &reservations{parts: parts{Client: env.Client, Subnets: subnet.FinderOf(env), Pools: pool.PoolsOf(env), Events: env.Events}}
	return reconcile.Feature[Input]{
		Name:    pool.Reservation,
		For:     &v1.IP{},
		When:    predicate.NewPredicateFuncs(func(obj client.Object) bool { return !isRecord(obj) || f.Pools.Keeps(keeper(obj.GetName())) }),
		Watches: []reconcile.Watch{{Kind: &v1.Subnet{}, Map: f.whenSubnet, When: []predicate.Predicate{subnet.FitsOtherwise}}},
		Sources: []source.Source{&reconcile.FeedSource{Feed: f.Pools.Turns(pool.Reservation), Enqueue: reconcile.Queue}, f.renewal.Source()},
		Gather:  f.gather,
		Claim:   f.claim,
		Translate: func(in Input) (ovs.Desired, reconcile.Problems) {
			return ovs.Desired{}, in.Problems
		},
		Report: f.report,
	}
}

type reservations struct {
	parts
	// renewal tells again that nothing is reserved.
	renewal reconcile.Renewal
}

// isRecord says whether an IP object is the controller's own record of a port, and not a user's.
func isRecord(obj client.Object) bool { return obj.GetLabels()[v1.LabelIPReserved] == "false" }

// keeper is the owner of what an IP object keeps while its port has it not.
func keeper(ip string) port.Key { return port.First(ovs.Owner{Feature: pool.Reservation, Key: ip}) }

// whenSubnet are the reservations that wait for a subnet.
func (f *reservations) whenSubnet(_ context.Context, obj client.Object) []ctrl.Request {
	keys := f.Pools.Waiting(pool.Reservation, pool.Subnet(obj.GetName()))
	out := make([]ctrl.Request, len(keys))
	for i, key := range keys {
		out[i] = reconcile.Request(key)
	}
	return out
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

// claim keeps what the object asks for. Nothing of it is in the database: how the look ends makes no difference.
func (f *reservations) claim(ctx context.Context, key types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	if in.IP == nil || len(in.Problems) > 0 {
		f.Pools.Unkeep(keeper(key.Name))
		return nil, nil
	}
	if _, held := f.Pools.Held(in.wish.port); held.IsZero() {
		return nil, f.reserve(ctx, in, in.wish)
	}
	if in.IP.Labels[v1.LabelIPReserved] == "" && !f.Pools.Kept(in.wish.port) {
		in.IP = nil // it came after its port: the record, which is about to be labelled so
		return nil, nil
	}
	f.Pools.Keep(in.wish.request.Owner, in.wish.port)
	return nil, nil
}

// reserve keeps the addresses for a port that has none.
func (f *reservations) reserve(ctx context.Context, in *Input, w wish) error {
	f.Pools.WaitOnly(w.request.Owner, pool.Subnet(w.subnet)) // before it is read
	s, why, err := f.subnet(ctx, w)
	if err != nil {
		return err
	}
	if why != "" {
		in.refuse("subnet %s %s", w.subnet, why)
		return nil
	}
	lease, err := f.Pools.Allocate(s.Pool(), w.request)
	if errors.Is(err, ipam.ErrHolds) { // the object was edited: what it kept before is free
		f.Pools.Release(w.request.Owner)
		lease, err = f.Pools.Allocate(s.Pool(), w.request)
	}
	inUse := (*pool.InUseError)(nil)
	if errors.As(err, &inUse) && inUse.Owner == w.port {
		err, lease = nil, ipam.Lease{} // the port got them a moment ago
	}
	if err != nil {
		in.refuse("subnet %s (%s): %s", s.Name, s.CIDRs, err)
		return nil //nolint:nilerr // the user is told, and the reservation waits for what is in the way
	}
	in.Lease = lease
	f.Pools.Keep(w.request.Owner, w.port)
	return nil
}

// subnet reads the subnet of a wish, and says why it cannot be had, if it cannot: it completes "subnet <name> …".
func (f *reservations) subnet(ctx context.Context, w wish) (s subnet.Subnet, why string, err error) {
	if w.port.Owner.Feature == node.FeatureName {
		if w.subnet != f.Subnets.Names.Join {
			return s, "is not the nodes' own", nil
		}
		s, inForce, err := f.Subnets.Home(ctx, w.subnet)
		if err == nil && !inForce {
			why = "is not in force"
		}
		return s, why, err //nolint:wrapcheck // it says what could not be read
	}
	candidates, unfit, err := f.Subnets.Fit(ctx, w.subnet)
	if err != nil {
		return s, "", err //nolint:wrapcheck // it says what could not be read
	}
	if len(unfit) > 0 && unfit[0].Unjudged {
		return s, "", &reconcile.Wait{For: "the first look at subnet " + w.subnet}
	}
	if len(unfit) > 0 {
		return s, unfit[0].Why, nil
	}
	return candidates[0], "", nil
}

func (in *Input) refuse(format string, args ...any) {
	in.Problems.Add("", v1.ReasonInvalid, "the address is not reserved: "+format, args...)
}

// report tells of what is not reserved by an Event, since an IP object has no status, and writes into the object what is: the
// addresses, and the label that says so.
func (f *reservations) report(ctx context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	if in.IP == nil {
		return nil
	}
	if wrong := out.Problems.Blocking(); len(wrong) > 0 {
		f.Events.Eventf(in.IP, nil, "Warning", "NotReserved", "Reserve", "%s", reconcile.Note(wrong.String()))
		f.renewal.Told(key)
		return nil
	}
	want := v1.IP{Spec: in.IP.Spec}
	want.Labels = fitting(map[string]string{v1.LabelIPReserved: "true", v1.LabelSubnet: want.Spec.Subnet, want.Spec.Subnet: ""})
	if !in.Lease.IsZero() {
		describe(&want.Spec, in.Lease)
	}
	return update(ctx, f.Client, in.IP, &want)
}

// wish is what an IP object asks to be kept, and for whom.
type wish struct {
	// port has the addresses when it is there.
	port    port.Key
	subnet  string
	request pool.Request
}

// parseWish reads an IP object. The error completes "the address is not reserved: …".
func parseWish(ip *v1.IP) (wish, error) {
	spec := &ip.Spec
	of, ok := portOf(ip)
	w := wish{port: of, subnet: spec.Subnet, request: pool.Request{Owner: keeper(ip.Name)}}
	if of.Interface != "" { // pods have no ports for attachments yet
		w.port, ok = port.First(of.Owner), false
	}
	if name := portName(w.port); spec.PodName == "" || !ok {
		return w, fmt.Errorf("the IP of port %s must have the name %s", name, name)
	}
	if w.subnet == "" {
		return w, errors.New("spec.subnet names none")
	}
	byFamily := strings.Trim(spec.V4IPAddress+","+spec.V6IPAddress, ",")
	each, err := ipam.ParseAddrs(byFamily)
	if err != nil {
		return w, fmt.Errorf("reading the addresses of each family: %w", err)
	}
	if w.request.Addrs, err = ipam.ParseAddrs(cmp.Or(spec.IPAddress, byFamily)); err != nil {
		return w, fmt.Errorf("reading spec.ipAddress: %w", err)
	}
	if a := w.request.Addrs; each.V4.IsValid() && each.V4 != a.V4 || each.V6.IsValid() && each.V6 != a.V6 {
		return w, fmt.Errorf("spec.ipAddress says %s, and the fields of each family %s", a, each)
	}
	if spec.MACAddress != "" {
		if w.request.MAC, err = ipam.ParseMAC(spec.MACAddress); err != nil {
			return w, fmt.Errorf("reading spec.macAddress: %w", err)
		}
	}
	return w, nil
}
