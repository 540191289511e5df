package central

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	day     = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	nothing = Disk{}
)

func standalone(age int) Disk { return Disk{Standalone: true, Written: day.AddDate(0, 0, -age)} }

func clustered(id string, age int) Disk { return Disk{Cluster: id, Written: day.AddDate(0, 0, -age)} }

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		disks   map[string]Disk // by address
		dead    string          // the address of a report whose pod has gone
		overdue bool
		founder string // "" is none yet
		members []string
	}{
		"first install":                              {disks: map[string]Disk{"1": nothing, "2": nothing, "3": nothing}, founder: "1"},
		"one alone waits":                            {disks: map[string]Disk{"1": nothing}, overdue: true},
		"two wait for the third":                     {disks: map[string]Disk{"1": nothing, "2": nothing}},
		"two have waited long":                       {disks: map[string]Disk{"1": nothing, "2": nothing}, overdue: true, founder: "1"},
		"from one to three":                          {disks: map[string]Disk{"1": nothing, "2": nothing, "3": standalone(0)}, founder: "3"},
		"the newest of several is kept":              {disks: map[string]Disk{"1": standalone(9), "2": nothing, "3": standalone(1)}, founder: "3"},
		"a majority of a cluster goes on":            {disks: map[string]Disk{"2": clustered("a", 1), "3": clustered("a", 0)}, overdue: true, founder: "3", members: []string{"2", "3"}},
		"a whole cluster goes on":                    {disks: map[string]Disk{"1": clustered("a", 0), "2": clustered("a", 0), "3": clustered("a", 0)}, founder: "1", members: []string{"1", "2", "3"}},
		"a minority of a cluster is its heir":        {disks: map[string]Disk{"1": nothing, "2": clustered("a", 1), "3": nothing}, founder: "2"},
		"a minority waits for more of its cluster":   {disks: map[string]Disk{"1": nothing, "2": clustered("a", 1)}},
		"an old cluster gives way to a newer single": {disks: map[string]Disk{"1": clustered("a", 5), "2": clustered("a", 5), "3": standalone(0)}, founder: "3"},
		"the dead do not vote":                       {disks: map[string]Disk{"1": nothing, "2": nothing, "3": standalone(0)}, dead: "3"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Record
			live := map[string]bool{}
			for address, disk := range c.disks {
				r.Report(Seat{address, "pod-" + address}, disk)
				live["pod-"+address] = address != c.dead
			}
			if chosen := r.Choose(live, 3, c.overdue); chosen != (c.founder != "") || r.Founder != c.founder {
				t.Errorf("chosen: %t, %q, want %q", chosen, r.Founder, c.founder)
			}
			if got := slices.Sorted(maps.Keys(r.Members)); !slices.Equal(got, c.members) || r.Founded != (c.members != nil) {
				t.Errorf("the members are %v, founded: %t, want %v", got, r.Founded, c.members)
			}
		})
	}
}

func TestSeated(t *testing.T) {
	for name, c := range map[string]struct {
		record Record
		disk   Disk
		want   Verb
	}{
		"the founder creates":                          {Record{Founder: "1"}, nothing, Create},
		"the founder creates from what it has":         {Record{Founder: "1"}, clustered("old", 0), Create},
		"the founder comes back before it was noticed": {Record{Founder: "1", Members: map[string]string{"1": "x"}}, clustered("a", 0), Start},
		"the founder lost its disk":                    {Record{Founder: "1", Founded: true, Members: map[string]string{"1": "x", "2": "y"}}, nothing, Join},
		"another joins":                                {Record{Founder: "2"}, nothing, Join},
		"another leaves what it had":                   {Record{Founder: "2"}, standalone(0), Join},
		"a member comes back":                          {Record{Founder: "2", Founded: true, Members: map[string]string{"1": "old pod"}}, clustered("a", 0), Start},
		"who was kicked joins anew":                    {Record{Founder: "2", Founded: true, Members: map[string]string{"3": "z"}}, clustered("a", 0), Join},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.record.Seated(Seat{"1", "pod"}, c.disk); got != c.want || c.record.Members["1"] != "pod" {
				t.Errorf("got %s and the seats %v, want %s", got, c.record.Members, c.want)
			}
		})
	}
}

const fourServers = `Name: OVN_Northbound
Cluster ID: 81b9 (81b9c009-06aa-4929-b877-9ff4799dfa1b)
Server ID: 9f2a (9f2a941f-40c5-4798-b445-ed2b0916227d)
Address: tcp:[fd00::1]:6643
Status: cluster member
Role: leader
Servers:
    9f2a (9f2a at tcp:[fd00::1]:6643) (self) next_index=3 match_index=3
    aaaa (aaaa at tcp:[fd00::2]:6643) next_index=3 match_index=3 last msg 12 ms ago
    bbbb (bbbb at tcp:[fd00::9]:6643) next_index=3 match_index=0
    cccc (cccc at tcp:[fd00::1]:6643) next_index=3 match_index=0
`

func TestStale(t *testing.T) {
	s := parseStatus(fourServers)
	if !s.member() || s.self != "9f2a" || len(s.servers) != 4 {
		t.Fatalf("read as %+v", s)
	}
	own, other, absent := "tcp:[fd00::1]:6643", "tcp:[fd00::2]:6643", "tcp:[fd00::3]:6643"
	if got := s.stale([]string{own, other}, own); len(got) != 2 || got[0].id != "bbbb" || got[1].id != "cccc" {
		t.Errorf("stale are %v, want the server that moved and the earlier self", got)
	}
	for name, seats := range map[string][]string{
		"before the new member has joined": {own, other, absent}, "with no record of this member": {other}, "with no record": nil,
	} {
		if got := s.stale(seats, own); got != nil {
			t.Errorf("%v would be kicked %s", got, name)
		}
	}
	if s := parseStatus(strings.Replace(fourServers, "cluster member", "joining cluster", 1)); s.member() {
		t.Error("who is joining passes for a member")
	}
}
