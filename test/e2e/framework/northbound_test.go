package framework

import (
	"slices"
	"strings"
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

// TestForeignIsNotMasked writes beside a canary, in its transaction and to rows that have its name: all of it is foreign, and nothing that the
// canary needs is.
func TestForeignIsNotMasked(t *testing.T) {
	server := ovstest.Start(t)
	server.Ctl("ls-add", "web", "--", "lsp-add", "web", "web-0", "--", "ls-add", "of-canary", "--", "pg-add", "all", "web-0")
	n, err := viewNorthbound(t.Context(), []string{server.Endpoint()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.ovs.Close()
	foreign := func(since int, last string) (out []string) {
		t.Helper()
		server.Ctl("ls-add", last)
		told := func(w Write) bool { return w.Verb == "insert" && strings.Contains(w.Row, last) }
		if err := n.Await(t.Context(), func() bool { return slices.ContainsFunc(n.Writes(), told) }); err != nil {
			t.Fatal(err)
		}
		for _, w := range n.Foreign(since, "canary", last) {
			out = append(out, w.Verb+" "+w.Table)
		}
		slices.Sort(out)
		return out
	}

	server.Ctl("ls-add", "canary", "--", "lsp-add", "canary", "canary-0", "--", "pg-set-ports", "all", "web-0", "canary-0")
	server.Ctl("set", "Logical_Switch_Port", "canary-0", "tag=1")
	if got := foreign(0, "end-of-own"); len(got) != 0 {
		t.Errorf("foreign are %q", got)
	}
	since := len(n.Writes())
	server.Ctl("lsp-add", "web", "canary-1", "--", "lsp-set-addresses", "web-0", "unknown",
		"--", "set", "Logical_Switch", "of-canary", "other_config:a=b", "--", "set", "Port_Group", "all", "external_ids:a=b", "--", "ls-add", "stray")
	want := []string{"insert Logical_Switch", "update Logical_Switch", "update Logical_Switch_Port", "update Port_Group"}
	if got := foreign(since, "end-of-others"); !slices.Equal(got, want) {
		t.Errorf("foreign are %q, want %q", got, want)
	}
	since = len(n.Writes())
	server.Ctl("lsp-del", "web-0", "--", "lsp-add", "canary", "canary-2")
	want = []string{"delete Logical_Switch_Port", "update Logical_Switch", "update Port_Group"}
	if got := foreign(since, "end-of-all"); !slices.Equal(got, want) {
		t.Errorf("foreign are %q, want %q", got, want)
	}
}
