package engine

import (
	"slices"
	"strings"
	"sync"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/cache"
	"github.com/woven-cni/woven/pkg/ovs/internal/plan"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// ledger has, over all sessions, the digests of what the owners want, so that changes of rows by others can be told from our
// own: an update that we caused shows a row with the hash that its owner wants.
type ledger struct {
	drifted func(feature string) // counts, for the metrics

	mu       sync.Mutex // protects following; taken after the cache's lock, never held across I/O
	owners   map[ovs.Owner]*digest
	rows     map[string]plan.RowDigest // by UUID
	elements map[record.Element][]ovs.Owner
	waiting  map[string][]ovs.Owner // by the UUID of the row that is missing
	blocked  map[ovs.Owner]obstacle
	dirty    map[string]*DirtySet
}

// obstacle is what kept the database from doing what an owner wants.
type obstacle struct {
	inUse string // a row of this table could not go, because of references to it
	taken string // the name of a row of this table is another row's
}

// digest is what one owner wants, in short, as of its last Apply, and the UUIDs of the rows that it waits for.
type digest struct {
	plan.Digest
	waits []string
}

func newLedger(drifted func(string)) *ledger {
	return &ledger{
		drifted: drifted, owners: map[ovs.Owner]*digest{}, rows: map[string]plan.RowDigest{}, elements: map[record.Element][]ovs.Owner{},
		waiting: map[string][]ovs.Owner{}, blocked: map[ovs.Owner]obstacle{}, dirty: map[string]*DirtySet{},
	}
}

// digestOf is the digest of what an owner wants now.
func digestOf(r *plan.Resolved) *digest { return &digest{Digest: r.Digest()} }

// past are the elements that the owner wanted before a, its new digest, and whether other owners want an element too.
func (l *ledger) past(o ovs.Owner, a *digest) plan.Past {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := plan.Past{Shared: func(c record.Element) bool { return l.shared(o, c) }}
	if before := l.owners[o]; before != nil && !slices.Equal(before.Elements, a.Elements) {
		m.Elements = before.Elements
	}
	return m
}

// shared says whether another owner wants what the element says.
func (l *ledger) shared(o ovs.Owner, c record.Element) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.elements[c], func(other ovs.Owner) bool { return other != o })
}

// expect notes what the owner wants now, and returns what it wanted before.
func (l *ledger) expect(o ovs.Owner, a *digest) (before *digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.blocked, o)
	before = l.owners[o]
	if before != nil && len(before.waits) == 0 && before.Sum == a.Sum && len(before.Rows) == len(a.Rows) && len(before.Elements) == len(a.Elements) {
		return before
	}
	l.replace(o, before, a)
	return before
}

// restore takes expect back, after a transaction that did not happen.
func (l *ledger) restore(o ovs.Owner, before *digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before == nil {
		before = &digest{}
	}
	l.replace(o, l.owners[o], before)
}

func (l *ledger) replace(o ovs.Owner, old, new *digest) {
	if old != nil {
		for _, e := range old.Rows {
			if l.rows[e.UUID].Owner == o {
				delete(l.rows, e.UUID)
			}
		}
		for _, c := range old.Elements {
			drop(l.elements, c, o)
		}
		for _, id := range old.waits {
			drop(l.waiting, id, o)
		}
	}
	for _, e := range new.Rows {
		l.rows[e.UUID] = e
	}
	for _, c := range new.Elements {
		l.elements[c] = append(l.elements[c], o)
	}
	for _, id := range new.waits {
		l.waiting[id] = append(l.waiting[id], o)
	}
	l.owners[o] = new
}

func drop[K comparable](m map[K][]ovs.Owner, k K, o ovs.Owner) {
	if i := slices.Index(m[k], o); i >= 0 {
		if m[k] = slices.Delete(m[k], i, i+1); len(m[k]) == 0 {
			delete(m, k)
		}
	}
}

// forget drops an owner that has nothing and wants nothing.
func (l *ledger) forget(o ovs.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.owners[o]; a != nil && len(a.Rows)+len(a.Elements)+len(a.waits) == 0 {
		delete(l.owners, o)
	}
}

// wait notes what the owner waits for, and leaves its rows expected as they are.
func (l *ledger) wait(o ovs.Owner, refs []ovs.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.owners[o]
	if old == nil {
		old = &digest{}
	}
	a := *old
	a.waits = nil
	for _, r := range refs {
		a.waits = append(a.waits, r.UUID)
	}
	l.replace(o, old, &a)
}

// know makes sure that the next session marks the owner dirty.
func (l *ledger) know(o ovs.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owners[o] == nil {
		l.owners[o] = &digest{}
	}
}

// block notes what has to go before the owner can have what it wants.
func (l *ledger) block(o ovs.Owner, by obstacle) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked[o] = by
}

// set is the DirtySet of a feature. The ledger's lock is held.
func (l *ledger) set(feature string) *DirtySet {
	s := l.dirty[feature]
	if s == nil {
		s = newDirtySet()
		l.dirty[feature] = s
	}
	return s
}

func (l *ledger) mark(o ovs.Owner, why Cause, details string) {
	if why == CauseDrift {
		l.drifted(o.Feature)
	}
	l.set(o.Feature).mark(Dirty{Owner: o, Cause: why, Details: details})
}

// begin marks all owners dirty: those we know, and those that have rows.
func (l *ledger) begin(owners []ovs.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for o := range l.owners {
		l.mark(o, CauseSession, "")
	}
	for _, o := range owners {
		l.mark(o, CauseSession, "")
	}
}

// observe compares what has happened to the database with what is expected. The cache's lock is held.
func (l *ledger) observe(deltas []cache.Delta) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range deltas {
		if d.Left.Column != nil {
			for _, o := range l.elements[d.Left] {
				l.mark(o, CauseDrift, l.lost(d.Left))
			}
			l.released(d.Left.Column.Table)
			continue
		}
		l.observeRow(d)
	}
}

func (l *ledger) lost(c record.Element) string {
	what := c.Value
	if e, ok := l.rows[c.Value]; ok {
		what = string(e.Sym)
	}
	where := c.Parent
	if e, ok := l.rows[c.Parent]; ok {
		where = string(e.Sym)
	}
	return what + " was taken out of " + c.Column.String() + "@" + where
}

func (l *ledger) observeRow(d cache.Delta) {
	r := d.New
	if r == nil {
		r = d.Old
	}
	e, known := l.rows[r.UUID]
	switch {
	case known && d.New == nil:
		l.mark(e.Owner, CauseDrift, r.Table.Name+" "+string(e.Sym)+" was deleted")
	case known && d.New.Hash() != e.Hash:
		details := r.Table.Name + " " + string(e.Sym) + " is not as wanted"
		if d.Old != nil {
			details = r.Table.Name + " " + string(e.Sym) + ": " + strings.Join(d.New.Changed(d.Old), ", ") + " changed"
		}
		l.mark(e.Owner, CauseDrift, details)
	case !known && d.New == nil && r.IDs().Owner() != "":
		// Of an owner that has not been heard of since the start: whoever deleted it, it was not we.
		if o, ok := ovs.ParseOwner(r.IDs().Owner()); ok && l.owners[o] == nil {
			l.mark(o, CauseDrift, r.Table.Name+" "+string(r.IDs().Sym())+" was deleted")
		}
	case !known && d.New != nil && r.IDs().Owner() != "":
		// A row that says it belongs to an owner of whom we know better.
		if o, ok := ovs.ParseOwner(r.IDs().Owner()); ok && l.owners[o] != nil && len(l.owners[o].Rows) > 0 {
			l.mark(o, CauseDrift, r.Table.Name+" "+string(r.IDs().Sym())+" appeared")
		}
	}
	if d.Old == nil {
		for _, o := range l.waiting[r.UUID] {
			l.mark(o, CauseAwaited, r.Table.Name+" "+string(r.IDs().Sym())+" has appeared")
		}
		delete(l.waiting, r.UUID)
		return
	}
	if d.New == nil {
		l.removed(d.Old, known)
	}
	l.released(r.Table)
}

// removed tells the owners whose elements were in the sets of a row that has gone: drift if its owner wants the row.
func (l *ledger) removed(r *cache.Row, wanted bool) {
	why := CauseAwaited
	if wanted {
		why = CauseDrift
	}
	r.Elements(func(c record.Element) {
		for _, o := range l.elements[c] {
			l.mark(o, why, l.lost(c))
		}
	})
}

// released tells the owners that wait for a reference from this table, or for a name in it, to go.
func (l *ledger) released(t *schema.Table) {
	for o, by := range l.blocked {
		if by.inUse != "" && slices.Contains(t.Strong, by.inUse) || by.taken == t.Name {
			l.mark(o, CauseAwaited, "what was in the way in "+t.Name+" may have gone")
			delete(l.blocked, o)
		}
	}
}
