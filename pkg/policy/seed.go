package policy

import (
	"context"
	"fmt"
	"regexp"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Seed puts on record which groups are in use from before this process and which pods have joined them, and then lets
// pods and policies be looked at.
//
// What is in use is what the policies say, and what the rows in the database still speak of: a policy that was edited
// just before the last controller ended is in force as it was until its pods have joined the groups of what it is now.
type Seed struct {
	Reader client.Reader
	DB     *engine.DB
	Groups *group.Registry
	Kinds  Kinds
	Log    logr.Logger
}

// Start implements manager.Runnable.
func (s *Seed) Start(ctx context.Context) error {
	select {
	case <-s.DB.Ready():
	case <-ctx.Done():
		return nil
	}
	var namespaces corev1.NamespaceList
	if err := s.Reader.List(ctx, &namespaces); err != nil {
		return fmt.Errorf("listing namespaces: %w", err)
	}
	for i := range namespaces.Items {
		s.Groups.SetNamespace(namespaces.Items[i].Name, namespaces.Items[i].Labels)
	}
	made := s.made()
	for _, k := range s.Kinds {
		s.useCommitted(k, made)
		if err := s.useWanted(ctx, k); err != nil {
			return err
		}
	}
	if err := s.recordPods(ctx); err != nil {
		return err
	}
	for name := range made {
		s.Groups.Made(name)
	}
	s.Groups.Seeded()
	return nil
}

// made are the groups that have rows.
func (s *Seed) made() map[string]group.Selector {
	out := map[string]group.Selector{}
	for _, owner := range s.DB.Owners(group.FeatureName) {
		for _, row := range s.DB.Owned(owner) {
			g, ok := row.Model.(*nb.PortGroup)
			if !ok {
				continue
			}
			selector, err := group.ParseIDs(g.ExternalIDs)
			if err != nil || selector.Name() != g.Name {
				continue // edited by hand, or of another version: it is made anew or removed
			}
			out[g.Name] = selector
		}
	}
	return out
}

// spoken finds the groups that a match speaks of.
var spoken = regexp.MustCompile(`[@$](g_[0-9a-f]+)`)

// useCommitted keeps in use what the rows in the database speak of.
func (s *Seed) useCommitted(k kind, made map[string]group.Selector) {
	for _, owner := range s.DB.Owners(k.name) {
		var uses []group.Selector
		for _, row := range s.DB.Owned(owner) {
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
		s.use(owner, uses)
	}
}

func (s *Seed) useWanted(ctx context.Context, k kind) error {
	if !k.served() {
		return nil
	}
	all, err := k.list(ctx, s.Reader)
	if err != nil {
		return err
	}
	for _, obj := range all {
		p, problems := k.parse(obj)
		if len(problems.Blocking()) > 0 {
			continue
		}
		owner := ovs.Owner{Feature: k.name, Key: reconcile.Key(client.ObjectKeyFromObject(obj))}
		admitRules(s.Groups, owner, &p)
		s.use(owner, p.Selectors())
	}
	return nil
}

func (s *Seed) use(owner ovs.Owner, selectors []group.Selector) {
	if _, err := s.Groups.Use(owner, selectors...); err != nil {
		s.Log.Error(err, "a selector cannot be read", "owner", owner.String())
	}
}

func (s *Seed) recordPods(ctx context.Context) error {
	var pods corev1.PodList
	if err := s.Reader.List(ctx, &pods); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		obj := &pods.Items[i]
		if !pod.Attached(obj) {
			continue
		}
		port := pod.Port(client.ObjectKeyFromObject(obj))
		var has func(string) bool
		if s.DB.Has(nb.LogicalSwitchPortTable, port) {
			has = func(name string) bool { return s.DB.Contains(ovs.GroupPorts.Of(group.Sym(name)), port.UUID()) }
		}
		s.Groups.Record(pod.Selected(obj), has)
	}
	return nil
}
