package ipam

import (
	"slices"
	"testing"
)

func TestCutOff(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/24,fd00::/64"))
	allocate(t, s, "low") // .2
	for owner, address := range map[string]string{"high": "10.0.0.127", "six": "fd00::9"} {
		r := Request[string]{Owner: owner, Addrs: addrs(t, address)}
		if owner == "six" {
			r.Family = OnlyV6
		}
		if _, err := s.Allocate(r); err != nil {
			t.Fatal(err)
		}
	}
	told := addrs(t, "10.0.0.1,fd00::1")
	gateway := func(c Config, text string) Config {
		c.Gateways = addrs(t, text)
		return c
	}
	for name, tc := range map[string]struct {
		told   Addrs
		bounds Config
		want   []string
	}{
		"nothing changes":           {told, config(t, "10.0.0.0/24,fd00::/64"), nil},
		"it grows":                  {told, gateway(config(t, "10.0.0.0/16,fd00::/48"), "10.0.0.1,fd00::1"), nil},
		"it shrinks onto an edge":   {told, config(t, "10.0.0.0/25,fd00::/64"), []string{"high"}},
		"it shrinks":                {told, config(t, "10.0.0.0/26,fd00::/64"), []string{"high"}},
		"it moves":                  {told, config(t, "10.1.0.0/24,fd01::/64"), []string{"high", "low", "six"}},
		"it loses a family":         {told, config(t, "10.0.0.0/24"), []string{"high", "low", "six"}},
		"a gateway moves":           {told, gateway(config(t, "10.0.0.0/24,fd00::/64"), "10.0.0.9,fd00::1"), []string{"high", "low"}},
		"a gateway takes a pod's":   {Addrs{}, gateway(config(t, "10.0.0.0/24,fd00::/64"), "10.0.0.1,fd00::9"), []string{"six"}},
		"nobody knows the gateways": {Addrs{}, gateway(config(t, "10.0.0.0/24,fd00::/64"), "10.0.0.9,fd00::8"), nil},
	} {
		if got := slices.Sorted(slices.Values(s.CutOff(tc.told, tc.bounds))); !slices.Equal(got, tc.want) {
			t.Errorf("%s: cut off are %v, want %v", name, got, tc.want)
		}
	}
}
