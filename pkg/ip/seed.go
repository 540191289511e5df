package ip

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
	"github.com/woven-cni/woven/pkg/subnet"
)

// seed puts on record every address that is in use from before this process.
//
// The sources are asked one after the other, each for all owners, so that a source of less weight never takes an address
// from one of more: the committed rows; the IP objects; the annotations. Only the last can be written by users, and it is
// asked like any request, with bounds and conflicts. Within a source nodes come first and older pods before younger ones.
// Who loses gets another address by ordinary allocation. It works over caches: no look-up leaves the process.
type seed struct {
	reader client.Reader
	db     *engine.DB
	pools  *pool.Pools
	names  spec.Defaults
	// events tells the owners that lose an address.
	events recorder.EventRecorder
	log    logr.Logger
}

// holder is a pod or node that may have addresses.
type holder struct {
	object client.Object
	// owner is whose the rows of its ports are.
	owner ovs.Owner
}

func holderOf(obj client.Object) holder { return holder{obj, ownerOf(obj)} }

// run is the Seed of the record.
func (s *seed) run(ctx context.Context) error {
	subnets, err := s.subnets(ctx)
	if err != nil {
		return err
	}
	holders, err := s.holders(ctx)
	if err != nil {
		return err
	}
	for _, h := range holders {
		s.recordRows(subnets, h)
	}
	s.recordLeaving(subnets, holders)
	objects, err := s.objects(ctx)
	if err != nil {
		return err
	}
	for _, h := range holders {
		for _, object := range objects[h.owner] {
			s.recordObject(subnets, h, object)
		}
	}
	if err := s.recordRetained(ctx, subnets, holders); err != nil {
		return err
	}
	if err := s.recordReservations(ctx, subnets); err != nil {
		return err
	}
	for _, h := range holders {
		s.recordAnnotations(subnets, h)
	}
	return nil
}

// objects are the IP objects of each owner, in the order of their names: its first port's comes first.
func (s *seed) objects(ctx context.Context) (map[ovs.Owner][]*v1.IP, error) {
	var list v1.IPList
	if err := s.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing IPs: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1.IP) int { return cmp.Compare(a.Name, b.Name) })
	out := map[ovs.Owner][]*v1.IP{}
	for i := range list.Items {
		owner := ownerOf(&list.Items[i])
		out[owner] = append(out[owner], &list.Items[i])
	}
	return out, nil
}

// subnets are all that exist. Of one of which nothing is in force only the name is used: what is in use there stays in use,
// and nothing new is given.
func (s *seed) subnets(ctx context.Context) (map[string]subnet.Subnet, error) {
	var list v1.SubnetList
	if err := s.reader.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing subnets: %w", err)
	}
	out := map[string]subnet.Subnet{}
	for i := range list.Items {
		name := list.Items[i].Name
		s, why := subnet.Read(&list.Items[i], s.names.Vpc)
		if why != "" {
			s = subnet.Subnet{Name: name}
		}
		out[name] = s
	}
	return out, nil
}

// holders are the nodes and the pods with an interface of ours, in the order in which they have a claim.
func (s *seed) holders(ctx context.Context) ([]holder, error) {
	var nodes corev1.NodeList
	if err := s.reader.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	var pods corev1.PodList
	if err := s.reader.List(ctx, &pods); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	slices.SortFunc(nodes.Items, func(a, b corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	out := make([]holder, 0, len(nodes.Items)+len(pods.Items))
	for i := range nodes.Items {
		out = append(out, holderOf(&nodes.Items[i]))
	}
	for i := range pods.Items {
		if pod.Attached(&pods.Items[i]) {
			out = append(out, holderOf(&pods.Items[i]))
		}
	}
	return out, nil
}

// onRecord says whether a port has addresses already, by a source of more weight.
func (s *seed) onRecord(p port.Key) bool {
	s.pools.Claim(p)
	_, lease := s.pools.Held(p)
	return !lease.IsZero()
}

// recordRows takes what the rows of the holder's ports say. What is in force is in force: no bounds are asked.
func (s *seed) recordRows(subnets map[string]subnet.Subnet, h holder) {
	for _, p := range s.committed(h.owner) {
		home, exists := subnets[p.Switch.Name]
		if !exists {
			continue // the row goes with the switch
		}
		if err := s.pools.Reserve(home.Pool(), p.Key(), p.Lease); err != nil {
			s.lost(h, err)
			continue
		}
		s.pools.Bind(p.Key(), p.UID)
		s.pools.Tell(p.Key(), s.told(h, p.Key(), home, p.Lease))
	}
}

// told are the CIDRs that the interface of a port has, as far as they are known: those of nodes follow their subnet.
func (s *seed) told(h holder, p port.Key, home subnet.Subnet, lease ipam.Lease) ipam.Prefixes {
	if of, isPod := h.object.(*corev1.Pod); isPod && p == port.First(h.owner) {
		return pod.Told(s.pools, of, home, lease)
	}
	return ipam.Prefixes{}
}

// recordLeaving keeps the addresses of rows whose pods and nodes are gone, until the rows are gone too.
func (s *seed) recordLeaving(subnets map[string]subnet.Subnet, holders []holder) {
	alive := map[ovs.Owner]bool{}
	for _, h := range holders {
		alive[h.owner] = true
	}
	for _, feature := range []string{node.FeatureName, pod.FeatureName} {
		for _, owner := range s.db.Owners(feature) {
			if alive[owner] {
				continue
			}
			for _, p := range s.committed(owner) {
				home, exists := subnets[p.Switch.Name]
				if !exists {
					continue
				}
				if err := s.pools.Reserve(home.Pool(), p.Key(), p.Lease); err != nil {
					s.log.Info("a row that is about to go has another's address", "port", p.Key().String(), "why", err.Error())
				}
			}
		}
	}
}

// committed are the ports of an owner that have addresses, as their rows say; a row that makes no sense is none.
func (s *seed) committed(owner ovs.Owner) []port.Port {
	var out []port.Port
	for _, row := range s.db.Owned(owner) {
		model, isPort := row.Model.(*nb.LogicalSwitchPort)
		key, named := port.KeyOf(owner, row.Sym)
		if !isPort || !named {
			continue
		}
		p, err := port.Read(model)
		if err != nil || p.Lease.IsZero() || owner.Feature == pod.FeatureName && p.Security != port.Itself {
			continue // it was edited by hand, and says nothing
		}
		p.Owner, p.Interface = key.Owner, key.Interface
		if owner.Feature == node.FeatureName {
			p.Switch.Name = s.names.Join
		}
		out = append(out, p)
	}
	return out
}

// recordObject takes what an IP object of the holder says, if it is of one of its ports and its subnet can give the address.
func (s *seed) recordObject(subnets map[string]subnet.Subnet, h holder, object *v1.IP) {
	key, ok := portOf(object)
	if !ok || s.onRecord(key) {
		return
	}
	spec := &object.Spec
	lease, err := port.ParseLease(spec.IPAddress, spec.MACAddress)
	if err != nil || !s.may(key, spec.Subnet) {
		return // it says nothing that could be used
	}
	p, isPod := h.object.(*corev1.Pod)
	if isPod && !pod.Answered(p) && (key.Interface != "" || pod.Contradicts(s.pools, p, spec.Subnet, lease)) {
		return // it was an earlier pod's of the name; this one asks for something else
	}
	if err := s.allocate(subnets, h, key, spec.Subnet, lease); err != nil {
		s.lost(h, err)
	}
}

// recordReservations keeps what IP objects of users reserve for ports that have nothing. Those that are refused are told by
// their own feature, and so are those that leave the choice to it.
func (s *seed) recordReservations(ctx context.Context, subnets map[string]subnet.Subnet) error {
	var list v1.IPList
	if err := s.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing IPs: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1.IP) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i := range list.Items {
		object := &list.Items[i]
		w, err := parseWish(object)
		if isRecord(object) || err != nil || !s.may(w.port, w.subnet) {
			continue
		}
		if _, held := s.pools.Held(w.port); !held.IsZero() {
			if object.Labels[v1.LabelIPReserved] == "true" {
				s.pools.Keep(w.request.Owner, w.port)
			}
			continue
		}
		from, exists := subnets[w.subnet]
		if !exists || from.CIDRs.IsZero() || w.request.Addrs.IsZero() {
			continue
		}
		if _, err := s.pools.Allocate(from.Pool(), w.request); err == nil {
			s.pools.Keep(w.request.Owner, w.port)
		}
	}
	return nil
}

// recordAnnotations takes what the annotations say of the holder's first port, if it can be had. Those that are not our answer for
// this very pod are left to ordinary allocation, which is told why when it refuses.
func (s *seed) recordAnnotations(subnets map[string]subnet.Subnet, h holder) {
	key := port.First(h.owner)
	if s.onRecord(key) {
		return
	}
	if p, isPod := h.object.(*corev1.Pod); isPod && !pod.Answered(p) {
		return
	}
	home, lease, err := pod.Annotated(h.object.GetAnnotations())
	if err != nil || !s.may(key, home) {
		return
	}
	if err := s.allocate(subnets, h, key, home, lease); err != nil {
		s.lost(h, err)
	}
}

// may says whether a port can be in a subnet at all: nodes are in the join subnet, and pods are not.
func (s *seed) may(p port.Key, home string) bool {
	return (home == s.names.Join) == (p.Owner.Feature == node.FeatureName)
}

// allocate asks for a lease as anybody would, with bounds and conflicts.
func (s *seed) allocate(subnets map[string]subnet.Subnet, h holder, key port.Key, home string, lease ipam.Lease) error {
	from, exists := subnets[home]
	if !exists || from.CIDRs.IsZero() {
		return nil
	}
	request := exactly(key, lease)
	request.Told = s.told(h, key, from, lease)
	if _, err := s.pools.Allocate(from.Pool(), request); err != nil {
		return fmt.Errorf("subnet %s: %w", home, err)
	}
	s.pools.Bind(key, string(h.object.GetUID()))
	return nil
}

// exactly asks for a lease that is on record, and nothing beside it. It may have been excluded since.
func exactly(owner port.Key, lease ipam.Lease) pool.Request {
	request := pool.Request{Owner: owner, Addrs: lease.Addrs, MAC: lease.MAC, Excluded: true}
	switch {
	case !lease.V6.IsValid():
		request.Family = ipam.OnlyV4
	case !lease.V4.IsValid():
		request.Family = ipam.OnlyV6
	}
	return request
}

// lost tells a holder that it does not keep what was on record.
func (s *seed) lost(h holder, err error) {
	s.log.Info("an address on record is not its owner's, who gets another", "owner", h.owner.String(), "why", err.Error())
	s.events.Eventf(h.object, nil, "Warning", "AddressLost", "Allocate", "%s", reconcile.Note("another address is given: "+err.Error()))
}
