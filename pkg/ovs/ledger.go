package ovs

import (
	"slices"
	"strings"
	"sync"
)

// ledger remembers, over all sessions, what the owners want, as hashes, so that what others do to the rows can be told
// from what we did: our own update shows a row that is as expected.
type ledger struct {
	drifted func(feature string) // counts, for the metrics

	mu      sync.Mutex // protects following; taken after the cache's lock, never held across I/O
	owners  map[Owner]*account
	rows    map[string]expected // by UUID
	claims  map[claim][]Owner
	waiting map[string][]Owner // by the UUID of the row that is missing
	blocked map[Owner]obstacle
	dirty   map[string]*DirtySet
}

// obstacle is what kept the database from doing what an owner wants.
type obstacle struct {
	inUse string // a row of this table could not go, because of references to it
	taken string // the name of a row of this table is another row's
}

// account is what one owner wants, as of its last Apply.
type account struct {
	sum    uint64
	rows   []expected
	claims []claim
	waits  []string
}

// expected is a row as it should be.
type expected struct {
	owner Owner
	uuid  string
	sym   Sym
	hash  uint64
}

func newLedger(drifted func(string)) *ledger {
	return &ledger{
		drifted: drifted, owners: map[Owner]*account{}, rows: map[string]expected{}, claims: map[claim][]Owner{},
		waiting: map[string][]Owner{}, blocked: map[Owner]obstacle{}, dirty: map[string]*DirtySet{},
	}
}

// accountOf is the account that r asks for.
func accountOf(r *resolved) *account {
	a := &account{}
	for _, w := range r.rows {
		e := expected{owner: r.owner, uuid: w.uuid, sym: w.sym, hash: w.hash()}
		a.rows = append(a.rows, e)
		a.sum += bits(e.hash)
		for _, m := range w.members {
			a.claims = append(a.claims, m.claim)
			a.sum += hashPair(m.parent, m.value)
		}
	}
	return a
}

// memory is what the ledger knows of an owner's claims besides those of a, which it is about to want.
func (l *ledger) memory(o Owner, a *account) memory {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := memory{shared: func(c claim) bool { return l.shared(o, c) }}
	if before := l.owners[o]; before != nil && !slices.Equal(before.claims, a.claims) {
		m.claims = before.claims
	}
	return m
}

// shared says whether another owner wants what the claim says.
func (l *ledger) shared(o Owner, c claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.claims[c], func(other Owner) bool { return other != o })
}

// expect notes what the owner wants now, and returns what it wanted before.
func (l *ledger) expect(o Owner, a *account) (before *account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.blocked, o)
	before = l.owners[o]
	if before != nil && len(before.waits) == 0 && before.sum == a.sum && len(before.rows) == len(a.rows) && len(before.claims) == len(a.claims) {
		return before
	}
	l.replace(o, before, a)
	return before
}

// restore takes expect back, after a transaction that did not happen.
func (l *ledger) restore(o Owner, before *account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before == nil {
		before = &account{}
	}
	l.replace(o, l.owners[o], before)
}

func (l *ledger) replace(o Owner, old, new *account) {
	if old != nil {
		for _, e := range old.rows {
			if l.rows[e.uuid].owner == o {
				delete(l.rows, e.uuid)
			}
		}
		for _, c := range old.claims {
			drop(l.claims, c, o)
		}
		for _, id := range old.waits {
			drop(l.waiting, id, o)
		}
	}
	for _, e := range new.rows {
		l.rows[e.uuid] = e
	}
	for _, c := range new.claims {
		l.claims[c] = append(l.claims[c], o)
	}
	for _, id := range new.waits {
		l.waiting[id] = append(l.waiting[id], o)
	}
	l.owners[o] = new
}

func drop[K comparable](m map[K][]Owner, k K, o Owner) {
	if i := slices.Index(m[k], o); i >= 0 {
		if m[k] = slices.Delete(m[k], i, i+1); len(m[k]) == 0 {
			delete(m, k)
		}
	}
}

// forget drops an owner that has nothing and wants nothing.
func (l *ledger) forget(o Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.owners[o]; a != nil && len(a.rows)+len(a.claims)+len(a.waits) == 0 {
		delete(l.owners, o)
	}
}

// wait notes what the owner waits for, and leaves its rows expected as they are.
func (l *ledger) wait(o Owner, refs []Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.owners[o]
	if old == nil {
		old = &account{}
	}
	a := *old
	a.waits = nil
	for _, r := range refs {
		a.waits = append(a.waits, r.UUID)
	}
	l.replace(o, old, &a)
}

// know makes sure that the next session marks the owner dirty.
func (l *ledger) know(o Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owners[o] == nil {
		l.owners[o] = &account{}
	}
}

// block notes what has to go before the owner can have what it wants.
func (l *ledger) block(o Owner, by obstacle) {
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

func (l *ledger) mark(o Owner, why Cause, details string) {
	if why == CauseDrift {
		l.drifted(o.Feature)
	}
	l.set(o.Feature).mark(Dirty{Owner: o, Cause: why, Details: details})
}

// begin marks all owners dirty: those we know, and those that have rows.
func (l *ledger) begin(owners []Owner) {
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
func (l *ledger) observe(deltas []delta) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range deltas {
		if d.left.column != nil {
			for _, o := range l.claims[d.left] {
				l.mark(o, CauseDrift, l.lost(d.left))
			}
			l.released(d.left.column.table)
			continue
		}
		l.observeRow(d)
	}
}

func (l *ledger) lost(c claim) string {
	what := c.value
	if e, ok := l.rows[c.value]; ok {
		what = string(e.sym)
	}
	where := c.parent
	if e, ok := l.rows[c.parent]; ok {
		where = string(e.sym)
	}
	return what + " was taken out of " + c.column.set().String() + "@" + where
}

func (l *ledger) observeRow(d delta) {
	r := d.new
	if r == nil {
		r = d.old
	}
	e, known := l.rows[r.uuid]
	switch {
	case known && d.new == nil:
		l.mark(e.owner, CauseDrift, r.table.name+" "+string(e.sym)+" was deleted")
	case known && d.new.hash() != e.hash:
		details := r.table.name + " " + string(e.sym) + " is not as wanted"
		if d.old != nil {
			details = r.table.name + " " + string(e.sym) + ": " + strings.Join(d.new.changed(d.old), ", ") + " changed"
		}
		l.mark(e.owner, CauseDrift, details)
	case !known && d.new != nil && r.owner() != "":
		// A row that says it belongs to an owner of whom we know better.
		if o, ok := ParseOwner(r.owner()); ok && l.owners[o] != nil && len(l.owners[o].rows) > 0 {
			l.mark(o, CauseDrift, r.table.name+" "+string(r.sym())+" appeared")
		}
	}
	if d.old == nil {
		for _, o := range l.waiting[r.uuid] {
			l.mark(o, CauseAwaited, r.table.name+" "+string(r.sym())+" has appeared")
		}
		delete(l.waiting, r.uuid)
		return
	}
	if d.new == nil {
		l.removed(d.old, known)
	}
	l.released(r.table)
}

// removed tells the owners whose elements were in the sets of a row that has gone: drift if its owner wants the row.
func (l *ledger) removed(r *row, wanted bool) {
	why := CauseAwaited
	if wanted {
		why = CauseDrift
	}
	for col, set := range r.sets {
		for value := range set {
			c := claim{col, r.uuid, value}
			for _, o := range l.claims[c] {
				l.mark(o, why, l.lost(c))
			}
		}
	}
}

// released tells the owners that wait for a reference from this table, or for a name in it, to go.
func (l *ledger) released(t *table) {
	for o, by := range l.blocked {
		if by.inUse != "" && slices.Contains(t.strong, by.inUse) || by.taken == t.name {
			l.mark(o, CauseAwaited, "what was in the way in "+t.name+" may have gone")
			delete(l.blocked, o)
		}
	}
}
