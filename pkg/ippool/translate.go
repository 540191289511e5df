package ippool

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Input is all that an IPPool depends on.
type Input struct {
	// IPPool is nil when the object is gone.
	IPPool *v1.IPPool
	// Subnet is what the addresses are of, and NoSubnet why there is none: it completes "subnet <name> …".
	Subnet   subnet.Subnet
	NoSubnet string
	// InForce is what was accepted before. While the spec is refused, the pool is this.
	InForce ipam.Ranges
	// Rivals are the IPPools that have some of the addresses, or come before this one at them.
	Rivals []string
	// Users are the ports that have addresses of the pool; read only when the object is to be deleted.
	Users []port.Key
	// NoNamespaces are those that the spec names and that do not exist.
	NoNamespaces []string
}

// gone says whether the pool is to be deleted and nobody uses it any more.
func (in Input) gone() bool { return in.IPPool.DeletionTimestamp != nil && len(in.Users) == 0 }

// verdict reads the spec, alone and beside the Subnet and other pools.
func (in Input) verdict() (ipam.Ranges, reconcile.Problems) {
	var problems reconcile.Problems
	spec := &in.IPPool.Spec
	if _, err := netip.ParseAddr(in.IPPool.Name); err == nil {
		problems.Add("metadata.name", v1.ReasonInvalid, "an address cannot be the name of a pool: pods name pools, or addresses, in one annotation")
	}
	ranges, err := ipam.ParsePart(spec.IPs)
	if err != nil {
		problems.Add("spec.ips", v1.ReasonInvalidIPs, "%s", err)
	}
	if in.NoSubnet != "" {
		reason := v1.ReasonInvalid
		if in.NoSubnet == subnet.NotFound {
			reason = v1.ReasonSubnetNotFound
		}
		problems.Add("spec.subnet", reason, "subnet %s %s", spec.Subnet, in.NoSubnet)
	}
	if len(in.NoNamespaces) > 0 {
		problems.Advise("spec.namespaces", v1.ReasonNamespaceNotFound, "there is no namespace %s", reconcile.Few(in.NoNamespaces))
	}
	if len(problems.Blocking()) > 0 {
		return nil, problems
	}
	had := within(in.Subnet, ranges)
	switch outside := ranges.Minus(had); {
	case len(had) == 0:
		problems.Add("spec.ips", v1.ReasonOutsideCIDR, "no address is in subnet %s (%s)", spec.Subnet, in.Subnet.CIDRs)
	case len(outside) > 0:
		problems.Advise("spec.ips", v1.ReasonOutsideCIDR, "not in subnet %s (%s): %s", spec.Subnet, in.Subnet.CIDRs, outside.Text(rangesShown))
	}
	if len(in.Rivals) > 0 {
		problems.Add("spec.ips", v1.ReasonOverlap, "some addresses are those of IPPool %s", reconcile.Few(in.Rivals))
	}
	return had, problems
}

// Translate makes the rows of one IPPool.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in.IPPool == nil || in.gone() {
		return want, nil
	}
	ranges, problems := in.verdict()
	if len(problems.Blocking()) > 0 {
		ranges = in.InForce
	}
	if in.IPPool.Spec.EnableAddressSet {
		addSets(&want, in.IPPool.Name, ranges)
	}
	return want, problems
}

// addSets wants an Address_Set of each family: OVN compares one with a field of one family. The first has the plain name.
func addSets(want *ovs.Desired, pool string, ranges ipam.Ranges) {
	families := map[bool][]string{}
	for _, p := range ranges.Prefixes() {
		families[p.Addr().Is4()] = append(families[p.Addr().Is4()], text(p))
	}
	name := setName(pool)
	for _, is4 := range []bool{true, false} {
		addresses := families[is4]
		if len(addresses) == 0 {
			continue
		}
		family := "v6"
		if is4 {
			family = "v4"
		}
		want.Add(ovs.Sym(FeatureName+"/"+pool+"/addresses/"+family), &nb.AddressSet{Name: name}).Exactly(ovs.SetAddresses, addresses...)
		name = setName(pool) + "_ip6"
	}
}

// text is a network as OVN writes it: an address without its length.
func text(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// setName is the name of a pool's Address_Set: the pool's, with dots for dashes as everywhere in Kube-OVN. OVN allows few characters
// (ovn-nb(5)), and pools a-b and a.b would have one name: those with dots, or that begin with a digit, have a hash.
func setName(pool string) string {
	if strings.Contains(pool, ".") || pool[0] >= '0' && pool[0] <= '9' {
		sum := sha256.Sum256([]byte(FeatureName + "/" + pool))
		return "p_" + hex.EncodeToString(sum[:10])
	}
	return strings.ReplaceAll(pool, "-", ".")
}
