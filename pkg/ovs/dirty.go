package ovs

import "context"

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
	Owner Owner
	Cause Cause
	// Details says what happened: which row changed under us.
	Details string
}

// DirtySet holds the owners of one feature that want a look. It is a level and not a stream of events: an owner is in it
// once, however much happened to it, and what we write ourselves does not put it there.
type DirtySet struct{}

// Get waits for a dirty owner and takes it out of the set.
func (s *DirtySet) Get(ctx context.Context) (Dirty, error) {
	<-ctx.Done()
	return Dirty{}, ctx.Err()
}

// Len is the number of dirty owners.
func (s *DirtySet) Len() int { return 0 }
