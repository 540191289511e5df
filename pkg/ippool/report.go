package ippool

import (
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// rangesShown bounds the text of addresses in the status, as that of a Subnet's.
const rangesShown = 256

// record is how the IPPool itself should read.
func (f *feature) record() reconcile.Record[Input, *v1.IPPool] {
	return reconcile.Record[Input, *v1.IPPool]{
		Object: func(in Input) (*v1.IPPool, bool) { return in.IPPool, in.IPPool != nil },
		Held:   kept, Spec: normalise, Status: f.status,
	}
}

// kept keeps the object for the pods that have addresses of the pool; one that was never accepted has none.
func kept(in Input, out reconcile.Outcome) bool {
	if in.IPPool.DeletionTimestamp != nil {
		return !in.gone() || !out.Programmed()
	}
	return len(out.Problems.Blocking()) == 0
}

// normalise writes IPv6 in lower case, as users of Kube-OVN expect to read it.
func normalise(_ Input, p *v1.IPPool) {
	for i, entry := range p.Spec.IPs {
		p.Spec.IPs[i] = strings.ToLower(strings.TrimSpace(entry))
	}
}

func (f *feature) status(in Input, out reconcile.Outcome, p *v1.IPPool) {
	if p.DeletionTimestamp != nil {
		names := make([]string, len(in.Users))
		for i, user := range in.Users {
			names[i] = user.String()
		}
		out.InUse = reconcile.Few(names)
	}
	st := &p.Status
	reconcile.SetConditions(&st.Conditions, p.Generation, out)
	inForce := in.InForce
	if ranges, problems := in.verdict(); len(problems.Blocking()) == 0 {
		inForce = ranges
	}
	if st.InForce = nil; len(inForce) > 0 {
		st.InForce = &v1.IPPoolInForce{IPs: inForce.Entries()}
	}
	v4, v6, ranges4, ranges6 := f.pools.IPPoolUsage(p.Name)
	st.V4AvailableIPs, st.V4UsingIPs = v1.Count(v4.Available), v1.Count(v4.Using)
	st.V6AvailableIPs, st.V6UsingIPs = v1.Count(v6.Available), v1.Count(v6.Using)
	st.V4AvailableIPRange, st.V4UsingIPRange = ranges4.Available.Text(rangesShown), ranges4.Using.Text(rangesShown)
	st.V6AvailableIPRange, st.V6UsingIPRange = ranges6.Available.Text(rangesShown), ranges6.Using.Text(rangesShown)
}
