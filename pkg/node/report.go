package node

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

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
