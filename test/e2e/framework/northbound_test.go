package framework

import (
	"testing"

	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// The view opens on the server of any release of OVN that Woven runs with, and shows its rows.
func TestViewOfAnyNorthbound(t *testing.T) {
	for _, schema := range []string{ovstest.Oldest(t), ovstest.Schema(t, "ovn-nb")} {
		server := ovstest.StartFile(t, schema)
		server.Ctl("ls-add", "web", "--", "lsp-add", "web", "web-0")
		n, err := viewNorthbound(t.Context(), []string{server.Endpoint()})
		if err != nil {
			t.Fatal(err)
		}
		defer n.ovs.Close()
		if port := n.Port("web-0"); port == nil || port.Name != "web-0" {
			t.Errorf("%s: the port is %v", schema, port)
		}
		switches, err := Rows(n, func(s *nb.LogicalSwitch) bool { return len(s.Ports) == 1 })
		if err != nil || len(switches) != 1 || switches[0].Name != "web" {
			t.Errorf("%s: the switches are %v, %v", schema, switches, err)
		}
		server.Ctl("lsp-del", "web-0")
		if err := n.Await(t.Context(), func() bool { return n.Port("web-0") == nil }); err != nil {
			t.Error(err)
		}
	}
}
