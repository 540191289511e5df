package engine

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs/internal/cache"
)

// Dump shows all rows of ours that the database holds, with their sets, in the form of ovs.Desired.Text. Two databases that
// say the same give the same text.
func (d *DB) Dump() string {
	v := d.view()
	if v == nil {
		return ""
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	names := map[string]string{}
	var rows []cache.OwnedRow
	for _, o := range v.cache.Owners() {
		for _, r := range v.cache.Owned(o) {
			names[r.UUID] = string(r.Sym)
			rows = append(rows, r)
		}
	}
	blocks := make([]string, len(rows))
	for i, r := range rows {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n%s", r.Table.Name, r.Sym, r.Table.Text(r.Value(), names))
		for _, c := range r.Table.Sets {
			if set := r.Set(c); len(set) > 0 {
				fmt.Fprintf(&b, "  %s %s\n", c.Name, strings.Join(named(set, names), " "))
			}
		}
		blocks[i] = b.String()
	}
	sort.Strings(blocks)
	return strings.Join(blocks, "")
}

func named(set map[string]struct{}, names map[string]string) []string {
	out := make([]string, 0, len(set))
	for v := range set {
		if name, ok := names[v]; ok {
			v = name
		}
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}
