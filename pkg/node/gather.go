package node

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/subnet"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Name: key.Name, Join: subnet.Subnet{Name: f.defaults.Join}}
	var node corev1.Node
	if err := r.Get(ctx, key, &node); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Exists, in.Node = true, &node
	addresses, err := f.addresses.Of(ctx, &node)
	if err != nil {
		return in, err //nolint:wrapcheck // it says what could not be read
	}
	in.HostAddrs, in.Refused = addresses.Internal, addresses.Refused
	var join v1.Subnet
	if err := r.Get(ctx, types.NamespacedName{Name: f.defaults.Join}, &join); err != nil {
		in.Shortage = fmt.Errorf("reading it: %w", err)
		return in, client.IgnoreNotFound(err)
	}
	s, why := subnet.Read(&join, f.defaults.Vpc)
	if why != "" {
		in.Shortage = fmt.Errorf("it %s", why)
		return in, nil
	}
	in.Join = s
	return in, nil
}
