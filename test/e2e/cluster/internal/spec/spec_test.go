package spec

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestFromEnv(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		want string // the cluster, or the error
	}{
		{"defaults", nil, "{3 0 ipv4 woven 1 26.03}"},
		{"everything", map[string]string{"NODES": "5", "IP_FAMILY": "dual", "CNI": "bridge", "CENTRAL": "3", "OVN": "25.03"}, "{5 0 dual bridge 3 25.03}"},
		{"virtual machines", map[string]string{"NODES": "2", "VM_NODES": "1"}, "{2 1 ipv4 woven 1 26.03}"},
		{"too many of them", map[string]string{"NODES": "99", "VM_NODES": "2"}, "VM_NODES=2: want a number from 0 to 1"},
		{"no nodes", map[string]string{"NODES": "0"}, "NODES=0: want a number from 1 to 100"},
		{"a word", map[string]string{"NODES": "many"}, "NODES=many: want a number from 1 to 100"},
		{"family", map[string]string{"IP_FAMILY": "IPv4"}, "IP_FAMILY=IPv4: want ipv4, ipv6 or dual"},
		{"members", map[string]string{"CENTRAL": "2"}, "CENTRAL=2: want 1 or 3"},
		{"more members than nodes", map[string]string{"NODES": "2", "CENTRAL": "3"}, "CENTRAL=3 needs as many nodes, and NODES=2"},
		{"release of OVN", map[string]string{"OVN": "trixie"}, "OVN=trixie: want 26.03 or 25.03"},
		{"plugin", map[string]string{"CNI": "flannel"}, "CNI=flannel: want woven, bridge or none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := FromEnv(func(k string) string { return tc.env[k] })
			got := fmt.Sprint(c)
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// A cluster that runs is asked for again when the variables say nothing against it.
func TestChanged(t *testing.T) {
	running := Cluster{Nodes: 6, Family: Dual, CNI: Bridge}
	for _, tc := range []struct {
		env  map[string]string
		want Cluster
	}{
		{nil, running},
		{map[string]string{"IP_FAMILY": "dual", "NODES": "6"}, running},
		{map[string]string{"IP_FAMILY": "ipv6"}, Cluster{Nodes: 6, Family: IPv6, CNI: Bridge}},
	} {
		if got, err := running.Changed(func(k string) string { return tc.env[k] }); err != nil || got != tc.want {
			t.Errorf("%v: got %v, %v, want %v", tc.env, got, err, tc.want)
		}
	}
}

func TestAddrs(t *testing.T) {
	for _, tc := range []struct {
		family Family
		host   int
		want   string
	}{
		{IPv4, 1, "[172.31.0.1]"},
		{IPv6, 12, "[fd00:31::12]"},
		{Dual, 253, "[172.31.0.253 fd00:31::253]"},
	} {
		if got := fmt.Sprint(Cluster{Family: tc.family}.Addrs(Management, tc.host)); got != tc.want {
			t.Errorf("%s host %d: got %s, want %s", tc.family, tc.host, got, tc.want)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.json")
	if _, err := Load(path); err == nil {
		t.Error("a cluster was loaded where none was saved")
	}
	want := Cluster{Nodes: 2, VMNodes: 1, Family: IPv6, CNI: Bridge}
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path); err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
