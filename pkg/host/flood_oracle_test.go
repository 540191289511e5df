//go:build oracle

package host

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/host/hosttest"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// crowded is a node with many ports of one switch, as it is when hundreds of pods run on it.
type crowded struct {
	*testing.T
	ovs *hosttest.OVSDB
}

// newCrowded makes the rows as Woven does: a switch whose port to the router is in the group with the stateful ACL, a load
// balancer, and ports with port security. The ports' devices are dummies of Open vSwitch: three hundred taps take the kernel
// a minute.
func newCrowded(t *testing.T, ports int) crowded {
	t.Helper()
	ovn, ovs := hosttest.NewOVN(t), hosttest.NewOVSDB(t)
	ovs.VSwitchd("--enable-dummy")
	rows := []string{
		"ls-add", "web", "--", "lr-add", "vpc", "--", "lrp-add", "vpc", "vpc-web", routerMAC, routerIP + "/16", routerIP6 + "/64", "--",
		"lsp-add", "web", "web-vpc", "--", "lsp-set-type", "web-vpc", "router", "--", "lsp-set-addresses", "web-vpc", "router", "--",
		"lsp-set-options", "web-vpc", "router-port=vpc-web", "--",
		"pg-add", "all", "web-vpc", "--", "--type=port-group", "acl-add", "all", "to-lport", "0", "ip", "allow-related", "--",
		"lb-add", "lb", "10.96.0.10:80", "10.16.1.9:8080", "--", "ls-lb-add", "web", "lb",
	}
	interfaces := []string{
		"set", "Open_vSwitch", ".", "external_ids:system-id=n1", "external_ids:ovn-remote=" + ovn.Southbound(),
		"external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip=127.0.0.1",
	}
	for i := range ports {
		p := crowdedPort(i)
		addresses := p.mac + " " + p.ip + " " + p.ip6
		rows = append(rows, "--", "lsp-add", "web", p.name, "--", "lsp-set-addresses", p.name, addresses, "--",
			"lsp-set-port-security", p.name, addresses)
		interfaces = append(interfaces, "--", "add-port", "br-int", p.name, "--", "set", "Interface", p.name, "type=dummy",
			"external_ids:iface-id="+p.name)
	}
	ovn.NBCtl(rows...)
	ovs.VSCtl(interfaces...)
	t.Cleanup(ovn.Controller(ovs))
	hosttest.Eventually(t, "all ports are bound", func() bool {
		up := ovn.NBCtl("--timeout=60", "--wait=hv", "--bare", "--columns=name", "find", "Logical_Switch_Port", "up=true", `type=""`)
		return len(strings.Fields(up)) == ports
	})
	return crowded{T: t, ovs: ovs}
}

const (
	routerMAC = "0a:00:00:00:00:01"
	routerIP  = "10.16.0.1"
	routerIP6 = "fd00:10:16::1"
	broadcast = "ff:ff:ff:ff:ff:ff"
)

// neighbour is a port of the switch, and what others ask for.
type neighbour struct{ name, mac, ip, ip6 string }

var theRouter = neighbour{mac: routerMAC, ip: routerIP, ip6: routerIP6}

func crowdedPort(i int) neighbour {
	return neighbour{
		name: fmt.Sprintf("p%d", i), mac: fmt.Sprintf("0a:00:00:00:%02x:%02x", 1+i/256, i%256),
		ip: fmt.Sprintf("10.16.%d.%d", 1+i/256, i%256), ip6: fmt.Sprintf("fd00:10:16::1:%x", 1+i),
	}
}

// arp is an ARP request for a neighbour, sent to a MAC.
func (n neighbour) arp(of neighbour, to string) string {
	return "arp,dl_src=" + n.mac + ",dl_dst=" + to + ",arp_op=1,arp_sha=" + n.mac + ",arp_spa=" + n.ip +
		",arp_tha=00:00:00:00:00:00,arp_tpa=" + of.ip
}

// solicits is a neighbour solicitation for a neighbour, sent to all whose address ends like the neighbour's (RFC 4861).
func (n neighbour) solicits(of neighbour) string {
	end := netip.MustParseAddr(of.ip6).As16()
	group := fmt.Sprintf("33:33:ff:%02x:%02x:%02x", end[13], end[14], end[15])
	return n.solicitation(of, group, fmt.Sprintf("ff02::1:ff%02x:%02x%02x", end[13], end[14], end[15]))
}

// solicitation is a neighbour solicitation for a neighbour, sent to a MAC and an address.
func (n neighbour) solicitation(of neighbour, mac, ip6 string) string {
	return "icmp6,dl_src=" + n.mac + ",dl_dst=" + mac + ",ipv6_src=" + n.ip6 + ",ipv6_dst=" + ip6 +
		",nw_ttl=255,icmpv6_type=135,icmpv6_code=0,nd_target=" + of.ip6 + ",nd_sll=" + n.mac
}

var resubmission = regexp.MustCompile(`\bresubmit\(`)

// sends is what becomes of a port's packet: how often it is submitted again, and what the datapath does in the end.
func (c crowded) sends(from neighbour, packet string) (resubmissions int, actions string) {
	c.Helper()
	control := filepath.Join(filepath.Dir(strings.TrimPrefix(c.ovs.Endpoint(), "unix:")), "vswitchd.ctl")
	trace := ovstest.Run(c, "ovs-appctl", "-t", control, "ofproto/trace", "br-int", "in_port="+from.name+","+packet)
	_, actions, _ = strings.Cut(trace, "Datapath actions: ")
	actions, _, _ = strings.Cut(actions, "\n")
	resubmissions = len(resubmission.FindAllString(trace, -1))
	c.Logf("%d resubmissions, and %.150s", resubmissions, actions)
	return resubmissions, actions
}

// Who looks for a neighbour is answered on the node, whether it is the router or another pod, and nobody else hears of it:
// ARP by the switch itself, a neighbour solicitation by ovn-controller. Pods and nodes ask so whether a neighbour is still
// there, too (pkg/cni/sandbox, nodePortState).
func TestOracleManyPortsLookForTheirNeighbours(t *testing.T) {
	c := newCrowded(t, 300)
	asker, other := crowdedPort(7), crowdedPort(270)
	for what, ask := range map[string]struct{ packet, answer string }{
		"the router":          {asker.arp(theRouter, broadcast), "op=2"},
		"a pod":               {asker.arp(other, broadcast), "op=2"},
		"the router, by IPv6": {asker.solicits(theRouter), "controller("},
		"a pod, by IPv6":      {asker.solicits(other), "controller("},
	} {
		t.Run(what, func(t *testing.T) {
			n, actions := crowded{t, c.ovs}.sends(asker, ask.packet)
			if n > 100 || !strings.Contains(actions, ask.answer) || strings.Count(actions, ask.answer) > 1 || len(outputs(actions)) > 1 {
				t.Errorf("it costs %d resubmissions, and ends with %.500s", n, actions)
			}
		})
	}
}

// outputs are the ports of a datapath's actions.
func outputs(actions string) []string {
	return regexp.MustCompile(`(?:^|,)[0-9]+(?:,|$)`).FindAllString(actions, -1)
}

// Who asks the router itself is heard by all ports of the switch: OVN floods what asks for a router's address, whomever it
// is sent to (northd's build_lswitch_rport_arp_req_flow). OVN 26.03 takes 125 resubmissions for ARP, 53 for a neighbour
// solicitation, and 18 more for each port on the node. With 221 ports that is more than the 4,096 that Open vSwitch does for a
// packet, and the question is dropped, with the router's answer; 25.03 has ovn-controller send the rest. As many ports as a
// kubelet has pods by default are no harm. Should this fail because OVN floods no more, unicast probes are fine again.
func TestOracleManyPortsAskTheRouter(t *testing.T) {
	c, asker := newCrowded(t, 110), crowdedPort(7)
	n, actions := c.sends(asker, asker.arp(theRouter, routerMAC))
	if !strings.Contains(actions, "op=2") {
		t.Errorf("asking the router costs %d resubmissions and has no answer: %.500s", n, actions)
	}
	m, _ := c.sends(asker, asker.solicitation(theRouter, routerMAC, routerIP6))
	if n < 1000 || m < 1000 {
		t.Errorf("asking the router costs %d and %d resubmissions: OVN floods no more", n, m)
	}
}
