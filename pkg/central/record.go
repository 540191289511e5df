package central

import (
	"cmp"
	"maps"
	"net"
	"slices"
)

// Record is what the members know together about the cluster of one database.
type Record struct {
	// Founder is the address of the member that creates the cluster; empty until it is chosen.
	Founder string `json:"founder,omitempty"`
	// Founded says that the cluster has been seen alive. From then on nobody creates it.
	Founded bool `json:"founded,omitempty"`
	// Members are the addresses that belong to the cluster, each with the UID of the pod that was last there. Only a database
	// at one of them is good: any other may have been kicked from the cluster while it was away.
	Members map[string]string `json:"members,omitempty"`
	// Reports are what candidates found on their disks, by address, until the founder is chosen.
	Reports map[string]Report `json:"reports,omitempty"`
}

// Report is what one candidate found.
type Report struct {
	Pod  string `json:"pod"`
	Disk Disk   `json:"disk"`
}

// Seat is a member's address and the UID of its pod.
type Seat struct{ Address, Pod string }

// Verb is how a member begins.
type Verb string

// The ways to begin. Start and Create use a cluster's database that is there already.
const (
	Start  Verb = "start"
	Create Verb = "create"
	Join   Verb = "join"
)

// Report puts down what a candidate has.
func (r *Record) Report(s Seat, d Disk) {
	if r.Reports == nil {
		r.Reports = map[string]Report{}
	}
	r.Reports[s.Address] = Report{Pod: s.Pod, Disk: d}
}

// Choose picks the founder when all candidates have reported, or a majority of those who shall be if the time to report is over.
//
// The newest database goes on. If it belongs to a cluster of which a majority has reported, nothing is founded: that
// cluster is complete enough to go on by itself. What else there is is not used.
func (r *Record) Choose(live map[string]bool, replicas int, overdue bool) bool {
	maps.DeleteFunc(r.Reports, func(_ string, rep Report) bool { return !live[rep.Pod] })
	if r.Founder != "" {
		return true
	}
	if n := len(r.Reports); n < replicas && (!overdue || 2*n <= replicas) {
		return false
	}
	byAge := slices.SortedFunc(maps.Keys(r.Reports), func(a, b string) int {
		return cmp.Or(r.Reports[b].Disk.Written.Compare(r.Reports[a].Disk.Written), cmp.Compare(a, b))
	})
	newest := r.Reports[byAge[0]].Disk
	alive := map[string]string{}
	for address, rep := range r.Reports {
		if newest.Cluster != "" && rep.Disk.Cluster == newest.Cluster {
			alive[address] = rep.Pod
		}
	}
	if 2*len(alive) > replicas {
		*r = Record{Founder: byAge[0], Founded: true, Members: alive}
		return true
	}
	*r = Record{Founder: byAge[0]}
	return true
}

// Seated gives a member its seat in the cluster of a record that has a founder, and says how it begins.
func (r *Record) Seated(s Seat, d Disk) Verb {
	_, member := r.Members[s.Address]
	verb := Join
	switch {
	case member && d.Cluster != "":
		verb = Start
	case r.Founder == s.Address && !r.Founded:
		verb = Create
	}
	if r.Members == nil {
		r.Members = map[string]string{}
	}
	r.Members[s.Address] = s.Pod
	return verb
}

// Forget takes the seats of pods that no longer live.
func (r *Record) Forget(live map[string]bool) {
	maps.DeleteFunc(r.Members, func(_, pod string) bool { return !live[pod] })
}

// Endpoints are the OVSDB addresses of members on a port, but for the one at an address; "" leaves out none. A founder
// that has not taken its seat yet is one of them: the others may be faster, and ask it to let them in.
func (r *Record) Endpoints(port, but string) []string {
	addresses := slices.Collect(maps.Keys(r.Members))
	if !r.Founded {
		addresses = append(addresses, r.Founder)
	}
	slices.Sort(addresses)
	var out []string
	for _, address := range slices.Compact(addresses) {
		if address != but {
			out = append(out, endpoint(address, port))
		}
	}
	return out
}

func endpoint(address, port string) string { return "tcp:" + net.JoinHostPort(address, port) }
