package main

import (
	"flag"
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

func TestOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		// refused are words of the error; none when the options are fine.
		refused []string
	}{
		"as they are":        {},
		"dual stack":         {args: []string{"--default-cidr=10.16.0.0/16,fd00:10:16::/112", "--node-switch-cidr=100.64.0.0/16,fd00:100:64::/112"}},
		"Kube-OVN's flags":   {args: []string{"--default-ls=pods", "--cluster-router=main", "--node-switch=hosts", "--enable-lb=false", "--default-gateway=10.16.0.1"}},
		"a CIDR that is not": {args: []string{"--default-cidr=10.16.0.0"}, refused: []string{"--default-cidr", "10.16.0.0"}},
		"all that is wrong": {
			args:    []string{"--default-cidr=x", "--node-switch-cidr=y", "--service-cluster-ip-range=z"},
			refused: []string{"--default-cidr", "--node-switch-cidr", "--service-cluster-ip-range"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o Options
			fs := flag.NewFlagSet(name, flag.ContinueOnError)
			o.AddFlags(fs)
			if err := fs.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			if err := o.Complete(); err != nil {
				t.Fatal(err)
			}
			err := o.Validate()
			if (err != nil) != (len(tc.refused) > 0) {
				t.Fatalf("Validate says %v", err)
			}
			for _, word := range tc.refused {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not tell of %s", err, word)
				}
			}
		})
	}
}

func TestNamespaceComesFromThePod(t *testing.T) {
	var o Options
	t.Setenv("POD_NAMESPACE", "network")
	if err := o.Complete(); err != nil || o.Namespace != "network" {
		t.Errorf("namespace is %q (%v)", o.Namespace, err)
	}
	t.Setenv("POD_NAMESPACE", "")
	if err := o.Complete(); err != nil || o.Namespace != "kube-system" {
		t.Errorf("namespace without POD_NAMESPACE is %q (%v)", o.Namespace, err)
	}
}

func TestServicePrefixesAreMasked(t *testing.T) {
	o := Options{ServiceCIDR: "10.96.0.9/12, fd00:96::1/112"}
	var got []string
	for _, p := range o.ServicePrefixes() {
		got = append(got, p.String())
	}
	if want := []string{"10.96.0.0/12", "fd00:96::/112"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRemotes(t *testing.T) {
	slice := func(port *int32, ready bool, addresses ...string) discoveryv1.EndpointSlice {
		s := discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{Port: port}}}
		for _, a := range addresses {
			e := discoveryv1.Endpoint{Addresses: []string{a}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
			s.Endpoints = append(s.Endpoints, e)
		}
		return s
	}
	nb := ptr.To[int32](6641)
	for name, tc := range map[string]struct {
		slices []discoveryv1.EndpointSlice
		want   []string
	}{
		"none":                  {},
		"one":                   {[]discoveryv1.EndpointSlice{slice(nb, true, "192.0.2.1")}, []string{"tcp:192.0.2.1:6641"}},
		"IPv6 in brackets":      {[]discoveryv1.EndpointSlice{slice(nb, true, "2001:db8::1")}, []string{"tcp:[2001:db8::1]:6641"}},
		"sorted, each once":     {[]discoveryv1.EndpointSlice{slice(nb, true, "192.0.2.3", "192.0.2.1"), slice(nb, true, "192.0.2.3")}, []string{"tcp:192.0.2.1:6641", "tcp:192.0.2.3:6641"}},
		"one that restarts too": {[]discoveryv1.EndpointSlice{slice(nb, false, "192.0.2.1")}, []string{"tcp:192.0.2.1:6641"}},
		"a slice without ports": {[]discoveryv1.EndpointSlice{slice(nil, true, "192.0.2.1")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := remotes(tc.slices); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
