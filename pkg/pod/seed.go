package pod

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// seed puts on record which pods there are, and which groups their ports are in. Which groups are in use has to be known:
// the Seeds of policies come before.
func (f *feature) seed(ctx context.Context) error {
	var namespaces corev1.NamespaceList
	if err := f.Client.List(ctx, &namespaces); err != nil {
		return fmt.Errorf("listing namespaces: %w", err)
	}
	for i := range namespaces.Items {
		f.Groups.SetNamespace(namespaces.Items[i].Name, namespaces.Items[i].Labels)
	}
	var pods corev1.PodList
	if err := f.Client.List(ctx, &pods); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; Attached(pod) {
			f.Groups.Record(Selected(pod), f.joined(pod))
		}
	}
	return nil
}

// joined says which groups the port of a pod is in; nil when it has no port.
func (f *feature) joined(pod *corev1.Pod) func(group string) bool {
	port := Port(client.ObjectKeyFromObject(pod))
	if !f.DB.Has(nb.LogicalSwitchPortTable, port) {
		return nil
	}
	return func(name string) bool { return f.DB.Contains(ovs.GroupPorts.Of(group.Sym(name)), port.UUID()) }
}
