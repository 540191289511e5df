package policy

import (
	"context"
	"regexp"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// seed puts on record which groups policies use: what they say, and what the rows in the database still speak of. A policy
// that was edited just before the last controller ended is in force as it was until its pods have joined the groups of what
// it is now.
func (f *feature) seed(ctx context.Context) error {
	f.useCommitted()
	return f.useWanted(ctx)
}

// spoken finds the groups that a match speaks of.
var spoken = regexp.MustCompile(`[@$](g_[0-9a-f]+)`)

// useCommitted keeps in use what the rows in the database speak of.
func (f *feature) useCommitted() {
	made := group.Committed(f.DB)
	for _, owner := range f.DB.Owners(f.name) {
		var uses []group.Selector
		for _, row := range f.DB.Owned(owner) {
			acl, ok := row.Model.(*nb.ACL)
			if !ok {
				continue
			}
			for _, m := range spoken.FindAllStringSubmatch(acl.Match, -1) {
				if selector, ok := made[m[1]]; ok {
					uses = append(uses, selector)
				}
			}
		}
		f.use(owner, uses)
	}
}

func (f *feature) useWanted(ctx context.Context) error {
	if !f.served() {
		return nil
	}
	all, err := f.list(ctx, f.Client)
	if err != nil {
		return err
	}
	for _, obj := range all {
		p, problems := f.parse(obj)
		if len(problems.Blocking()) > 0 {
			continue
		}
		owner := f.owner(reconcile.Key(client.ObjectKeyFromObject(obj)))
		admitRules(f.Groups, owner, &p)
		f.use(owner, p.Selectors())
	}
	return nil
}

func (f *feature) use(owner ovs.Owner, selectors []group.Selector) {
	if err := f.Groups.Use(owner, selectors...); err != nil {
		f.Log.Error(err, "a selector cannot be read", "owner", owner.String())
	}
}
