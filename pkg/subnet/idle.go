package subnet

import (
	"net/netip"
	"slices"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// adviseIdle tells what of the spec has no effect: Namespaces that do not exist, and exclusions of addresses that are none of
// the subnet's.
func (in Input) adviseIdle(s Subnet, problems *reconcile.Problems) {
	if len(in.NoNamespaces) > 0 {
		problems.Advise("spec.namespaces", v1.ReasonNamespaceNotFound, "there is no namespace %s", reconcile.Few(in.NoNamespaces))
	}
	if outside := s.outside(in.exclusions(s)); len(outside) > 0 {
		problems.Advise("spec.excludeIps", v1.ReasonOutsideCIDR, "%s: what is not in %s excludes nothing", reconcile.Few(outside), s.CIDRs)
	}
}

// outside are the entries of excludeIps that are not wholly in the subnet; none where the spec is refused anyway.
func (s Subnet) outside(entries []string) []string {
	if s.CIDRs.IsZero() {
		return nil
	}
	return slices.DeleteFunc(entries, func(text string) bool {
		r, err := ipam.ParseRange(text)
		return err != nil || slices.ContainsFunc(s.prefixes(), func(p netip.Prefix) bool { return p.Contains(r.First) && p.Contains(r.Last) })
	})
}

// exclusions are the entries of excludeIps as they should read. A gateway that is in force has put itself there: it goes when
// the range has moved away from it.
func (in Input) exclusions(s Subnet) []string {
	return slices.DeleteFunc(slices.Clone(s.ExcludeTexts), func(text string) bool {
		a, err := ipam.ParseAddr(text)
		return err == nil && in.InForce != nil && slices.Contains(in.InForce.Gateways.List(), a) && !s.CIDRs.Contains(a)
	})
}
