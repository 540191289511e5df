package ip

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Record is the IP objects of a pod or node: one for each of its ports.
type Record struct{ Objects []Object }

// Object is the IP object of a port, as it is and as it should be.
type Object struct {
	// Port has the addresses.
	Port port.Key
	// Have is nil when there is none, and Want when there should be none.
	Have, Want *v1.IP
	// Retained says that the addresses are those of the next pod of the name when the port has gone, and that Have stays.
	Retained bool
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

// Translate wants no rows: what is reserved is in memory, and comes from the objects after a restart.
func Translate(in Input) (ovs.Desired, reconcile.Problems) { return ovs.Desired{}, in.Problems }

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
	w := wish{port: of, subnet: spec.Subnet, request: pool.Request{Owner: keeper(ip.Name), Excluded: true}}
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
