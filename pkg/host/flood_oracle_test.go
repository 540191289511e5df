//go:build oracle

package host

import (
	"fmt"
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
	ovs   *hosttest.OVSDB
	ports int
}

// newCrowded makes the rows as Woven does: a switch whose port to the router is in the group with the stateful ACL, a load
// balancer, and ports with port security.
func newCrowded(t *testing.T, ports int) crowded {
	t.Helper()
	ovn, ovs := hosttest.NewOVN(t), hosttest.NewOVSDB(t)
	ovs.VSwitchd()
	rows := []string{
		"ls-add", "web", "--", "lr-add", "vpc", "--", "lrp-add", "vpc", "vpc-web", routerMAC, routerIP + "/16", "--",
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
		name, mac, ip := crowdedPort(i)
		rows = append(rows, "--", "lsp-add", "web", name, "--", "lsp-set-addresses", name, mac+" "+ip, "--", "lsp-set-port-security", name, mac+" "+ip)
		interfaces = append(interfaces, "--", "add-port", "br-int", name, "--", "set", "Interface", name, "type=internal", "external_ids:iface-id="+name)
	}
	ovn.NBCtl(rows...)
	ovs.VSCtl(interfaces...)
	t.Cleanup(ovn.Controller(ovs))
	hosttest.Eventually(t, "all ports are bound", func() bool {
		up := ovn.NBCtl("--timeout=60", "--wait=hv", "--bare", "--columns=name", "find", "Logical_Switch_Port", "up=true", `type=""`)
		return len(strings.Fields(up)) == ports
	})
	return crowded{T: t, ovs: ovs, ports: ports}
}

const routerMAC, routerIP = "0a:00:00:00:00:01", "10.16.0.1"

func crowdedPort(i int) (name, mac, ip string) {
	return fmt.Sprintf("p%d", i), fmt.Sprintf("0a:00:00:00:%02x:%02x", 1+i/256, i%256), fmt.Sprintf("10.16.%d.%d", 1+i/256, i%256)
}

var resubmission = regexp.MustCompile(`\bresubmit\(`)

// asks is what becomes of a port's question for the router's MAC, sent to a MAC: how often the packet is submitted again, and
// what the datapath does in the end.
func (c crowded) asks(port int, to string) (resubmissions int, actions string) {
	c.Helper()
	name, mac, ip := crowdedPort(port)
	control := filepath.Join(filepath.Dir(strings.TrimPrefix(c.ovs.Endpoint(), "unix:")), "vswitchd.ctl")
	trace := ovstest.Run(c, "ovs-appctl", "-t", control, "ofproto/trace", "br-int", "in_port="+name+",arp,dl_src="+mac+",dl_dst="+to+
		",arp_op=1,arp_sha="+mac+",arp_spa="+ip+",arp_tha=00:00:00:00:00:00,arp_tpa="+routerIP)
	_, actions, _ = strings.Cut(trace, "Datapath actions: ")
	actions, _, _ = strings.Cut(actions, "\n")
	return len(resubmission.FindAllString(trace, -1)), actions
}

// Who looks for the router is answered by the switch, and nobody else hears of it. Who asks the router itself whether it is
// still there, as Linux does of a neighbour that it has not heard of for a while, is heard by all ports of the switch: OVN
// floods what asks for a router's address, whomever it is sent to. As many ports as a kubelet has pods by default are no
// harm. With three hundred, OVN 26.03 asks more of Open vSwitch than it does for a packet, and the question is dropped; 25.03
// has ovn-controller send the rest. The asker gets its answer when it looks for the router again.
func TestOracleManyPortsAskForTheRouter(t *testing.T) {
	for _, ports := range []int{110, 300} {
		t.Run(fmt.Sprintf("%d ports", ports), func(t *testing.T) {
			c := newCrowded(t, ports)
			n, actions := c.asks(7, "ff:ff:ff:ff:ff:ff")
			t.Logf("looking for the router: %d resubmissions, and %s", n, actions)
			if n > 100 || actions == "drop" || strings.Count(actions, ",") > 20 {
				t.Errorf("looking for the router costs %d resubmissions, and ends with %.300s", n, actions)
			}
			n, actions = c.asks(7, routerMAC)
			t.Logf("asking the router: %d resubmissions, and %.100s", n, actions)
			if ports == 110 && !strings.Contains(actions, "op=2") {
				t.Errorf("asking the router costs %d resubmissions and has no answer: %.300s", n, actions)
			}
		})
	}
}
