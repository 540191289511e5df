package pod

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/group"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Key: key}
	var pod corev1.Pod
	if err := r.Get(ctx, key, &pod); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Pod, in.Attached = &pod, Attached(&pod)
	return in, nil
}

// Selected is what policies select a pod by.
func Selected(pod *corev1.Pod) group.Pod {
	p := group.Pod{Key: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, Labels: pod.Labels, Node: pod.Spec.NodeName}
	for _, c := range serving(&pod.Spec) {
		for _, port := range c.Ports {
			if port.Name == "" {
				continue
			}
			protocol := port.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			p.Ports = append(p.Ports, group.NamedPort{Protocol: protocol, Name: port.Name, Number: port.ContainerPort})
		}
	}
	return p
}

// serving are the containers that run as long as the pod does: an init container that is restarted always is one of them,
// a sidecar, and Services find its ports too.
func serving(spec *corev1.PodSpec) []corev1.Container {
	all := slices.Clone(spec.Containers)
	for _, c := range spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return all
}
