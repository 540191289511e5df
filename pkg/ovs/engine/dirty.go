package engine

import (
	"context"
	"sync"

	"github.com/woven-cni/woven/pkg/ovs"
)

// Cause is why an owner wants a look.
type Cause int

// The causes, the more telling ones last: an owner that is dirty for several reasons shows the last of them.
const (
	// CauseSession: a new session with the database has begun, and anything may have changed before it.
	CauseSession Cause = iota
	// CauseAwaited: a row it waited for has appeared, or a reference that held a row of it may have gone.
	CauseAwaited
	// CauseDrift: somebody else changed a row or a membership of it.
	CauseDrift
)

// String is "session", "awaited" or "drift".
func (c Cause) String() string { return [...]string{"session", "awaited", "drift"}[c] }

// Dirty is an owner that wants a look, and why.
type Dirty struct {
	Owner ovs.Owner
	Cause Cause
	// Details says what happened: "Logical_Switch_Port pod/shop/web-0/port: addresses changed".
	Details string
}

// DirtySet holds the owners of one feature that want a look. It is a level and not a stream of events: an owner is in it
// once, however much happened to it, and what we write ourselves does not put it there.
type DirtySet struct {
	mu     sync.Mutex // protects following
	why    map[ovs.Owner]Dirty
	order  []ovs.Owner
	filled chan struct{} // closed while why is not empty
}

func newDirtySet() *DirtySet {
	return &DirtySet{why: map[ovs.Owner]Dirty{}, filled: make(chan struct{})}
}

// Get waits for a dirty owner and takes it out of the set.
func (s *DirtySet) Get(ctx context.Context) (Dirty, error) {
	for {
		s.mu.Lock()
		if len(s.order) > 0 {
			o := s.order[0]
			s.order = s.order[1:]
			d := s.why[o]
			delete(s.why, o)
			if len(s.order) == 0 {
				s.order, s.filled = nil, make(chan struct{})
			}
			s.mu.Unlock()
			return d, nil
		}
		filled := s.filled
		s.mu.Unlock()
		select {
		case <-filled:
		case <-ctx.Done():
			return Dirty{}, ctx.Err()
		}
	}
}

// Len is the number of dirty owners.
func (s *DirtySet) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order)
}

func (s *DirtySet) mark(d Dirty) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.why[d.Owner]
	if !ok {
		s.order = append(s.order, d.Owner)
		if len(s.order) == 1 {
			close(s.filled)
		}
	}
	if !ok || d.Cause > old.Cause {
		s.why[d.Owner] = d
	}
}
