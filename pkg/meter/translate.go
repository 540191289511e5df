package meter

import (
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// LogName is the name of the meter of policies that ask for no rate of their own. Each ACL has it for itself.
const LogName = "woven.log"

// Copp names the Copp row that switches and routers refer to.
const Copp = ovs.Sym(FeatureName + "/" + key + "/copp")

// key is the only one there is.
const key = "all"

// protocols are those whose packets of pods OVN's flows hand to ovn-controller, as Copp calls them (ovn-nb(5)). It has one
// more, bfd: who stops that stops gateways.
var protocols = []string{
	"arp", "arp-resolve", "dhcpv4-opts", "dhcpv4-relay", "dhcpv6-opts", "dns", "event-elb", "icmp4-error", "icmp6-error", "igmp",
	"nd-na", "nd-ns", "nd-ns-resolve", "nd-ra-opts", "reject", "svc-monitor", "tcp-reset",
}

// Input are the rates, all a second and a node.
type Input struct {
	// Packets is how many of a protocol ovn-controller takes.
	Packets int
	// Messages is how many an ACL logs.
	Messages int
}

// Translate makes the rows.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in == (Input{}) {
		return want, nil
	}
	copp := &nb.Copp{Name: "woven", Meters: map[string]string{}}
	for _, protocol := range protocols {
		name := "woven.copp." + protocol
		copp.Meters[protocol] = name
		add(&want, protocol, &nb.Meter{Name: name}, in.Packets)
	}
	want.Add(Copp, copp)
	fair := true // for each ACL by itself: one that is flooded must not hide what others have to say
	add(&want, "log", &nb.Meter{Name: LogName, Fair: &fair}, in.Messages)
	return want, nil
}

func add(want *ovs.Desired, name string, row *nb.Meter, rate int) {
	sym := ovs.Sym(FeatureName + "/" + key + "/" + name)
	band := sym + "/band"
	row.Unit, row.Bands = nb.MeterUnitPktps, []string{band.UUID()}
	want.Add(band, &nb.MeterBand{Action: nb.MeterBandActionDrop, Rate: rate})
	want.Add(sym, row)
}
