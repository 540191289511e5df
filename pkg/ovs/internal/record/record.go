package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// The keys of external_ids that are the engine's.
const (
	keyPrefix = "woven/"
	keyOwner  = "woven/owner"
	keyID     = "woven/id"
	keyIn     = "woven/in"
	keyWith   = "woven/with"
	keyKeys   = "woven/keys" // the names of the owner's own keys, so that one it no longer wants can be told from a foreign one
)

// IDs are the external_ids of a row.
type IDs map[string]string

// New are the external_ids of a row whose owner wants some keys of its own there.
func New(owner ovs.Owner, sym ovs.Sym, own map[string]string) (IDs, error) {
	var errs []error
	ids := make(IDs, len(own)+3)
	for k, v := range own {
		if strings.HasPrefix(k, keyPrefix) {
			errs = append(errs, fmt.Errorf("the key %s is the engine's", k))
		}
		ids[k] = v
	}
	if len(own) > 0 {
		ids[keyKeys] = strings.Join(slices.Sorted(maps.Keys(own)), " ")
	}
	ids[keyOwner], ids[keyID] = owner.String(), string(sym)
	return ids, errors.Join(errs...)
}

// Owner is the text of the row's owner; empty if the row is not ours.
func (ids IDs) Owner() string { return ids[keyOwner] }

// Sym is the row's name.
func (ids IDs) Sym() ovs.Sym { return ovs.Sym(ids[keyID]) }

// Own are those that are ours.
func (ids IDs) Own() IDs {
	out := make(IDs, len(ids))
	for k, v := range ids {
		if strings.HasPrefix(k, keyPrefix) {
			out[k] = v
		}
	}
	for _, k := range strings.Fields(ids[keyKeys]) {
		if v, ok := ids[k]; ok {
			out[k] = v
		}
	}
	return out
}

// PutMemberships records the memberships that the row brings.
func (ids IDs) PutMemberships(in []Membership) {
	lines := make([]string, 0, len(in))
	for _, m := range in {
		if !m.Seen {
			lines = append(lines, m.text)
		}
	}
	if len(lines) > 0 {
		sort.Strings(lines)
		ids[keyIn] = strings.Join(lines, " ")
	}
}

// Memberships are those that the row says it brings.
func (ids IDs) Memberships(db *schema.Database) []Membership {
	var out []Membership
	for _, text := range strings.Fields(ids[keyIn]) {
		// What cannot be read was written by a newer version of ours, or by hand; it cannot be undone.
		if m, ok := parse(db, text, ids.Sym()); ok {
			out = append(out, m)
		}
	}
	return out
}

// SameMemberships says whether both record the same.
func (ids IDs) SameMemberships(other IDs) bool { return ids[keyIn] == other[keyIn] }

// PutWith records the rows that are anchored in this one, because their tables have no external_ids.
func (ids IDs) PutWith(rows []ovs.Ref) {
	if len(rows) == 0 {
		return
	}
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = r.Table + "@" + string(r.Sym)
	}
	slices.Sort(texts)
	ids[keyWith] = strings.Join(texts, " ")
}

// With are the rows that are anchored in this one.
func (ids IDs) With(db *schema.Database) []ovs.Ref {
	var out []ovs.Ref
	for _, text := range strings.Fields(ids[keyWith]) {
		if name, sym, ok := strings.Cut(text, "@"); ok && db.Tables[name] != nil {
			out = append(out, ovs.Ref{Table: name, Sym: ovs.Sym(sym), UUID: ovs.Sym(sym).UUID()})
		}
	}
	return out
}
