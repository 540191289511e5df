package kernel

import (
	"net/netip"
	"testing"
)

// A route that is wanted stays while nothing is known of its link, and so do routes and rules while not all is known that
// they follow from.
func TestDiffTakesNothingAwayThatIsNotKnownToBeUnwanted(t *testing.T) {
	route := func(dst string) Route {
		return Route{Dst: netip.MustParsePrefix(dst), Gateway: netip.MustParseAddr("100.64.0.1"), Link: NodeInterface, Protocol: Protocol}
	}
	have := State{Routes: []Route{route("10.16.0.0/16"), route("10.17.0.0/16")}, Netfilter: Netfilter{Doors: []uint16{6641}}}
	for want, state := range map[string]State{
		"-route 10.17.0.0/16 via 100.64.0.1 dev ovn0": {Routes: []Route{route("10.16.0.0/16")}, KeepNetfilter: true},
		"": {KeepRoutes: true, KeepNetfilter: true},
	} {
		if got := Diff(state, have).String(); got != want {
			t.Errorf("plan %q, want %q", got, want)
		}
	}
	if Diff(State{KeepRoutes: true}, have).Netfilter == nil {
		t.Error("rules that are known to be unwanted stay")
	}
}
