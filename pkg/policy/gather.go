package policy

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/reconcile"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Owner: f.owner(reconcile.Key(key))}
	if !f.served() {
		return in, nil
	}
	obj := f.empty()
	if err := r.Get(ctx, key, obj); err != nil {
		f.hostReaders.Note(key, false)
		return in, client.IgnoreNotFound(err)
	}
	in.Object = obj
	in.Policy, in.Problems = f.parse(obj)
	asksHosts := len(in.Problems.Blocking()) == 0 && speaksOfHosts(&in.Policy)
	f.hostReaders.Note(key, asksHosts)
	if asksHosts {
		var err error
		if in.Hosts, err = f.hosts.all(ctx, r); err != nil {
			return in, err
		}
	}
	return in, nil
}
