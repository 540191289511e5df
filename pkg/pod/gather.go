package pod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (In, error) {
	in := In{Key: key}
	if err := f.Pools.AwaitSeed(ctx); err != nil {
		return in, err
	}
	if err := f.Groups.AwaitSeed(ctx); err != nil {
		return in, err
	}
	var pod corev1.Pod
	if err := r.Get(ctx, key, &pod); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Pod, in.Attached = &pod, Attached(&pod)
	if !in.Attached {
		return in, nil
	}
	if err := f.find(ctx, &in); err != nil {
		return in, err
	}
	if len(in.Problems.Blocking()) > 0 && !f.keep(&in) {
		return in, nil
	}
	return in, f.place(&in)
}

// find gets the pod its addresses.
func (f *feature) find(ctx context.Context, in *In) error {
	request, err := request(in.Pod)
	if err != nil {
		in.Problems.Add("metadata.annotations", v1.ReasonInvalid, "%s", err)
		return nil
	}
	candidates, unfit, err := f.Chooser.Choose(ctx, in.Pod)
	if err != nil {
		return err
	}
	for name, why := range unfit {
		in.Problems.Add("", v1.ReasonInvalid, "subnet %s %s", name, why)
		f.Pools.Block(name, request.Owner)
	}
	f.allocate(in, candidates, request)
	return nil
}

// keep lets a pod that has addresses keep its port as it is, whatever its annotations or its subnet have come to say
// since. The port would stay in any case; this way it goes on to follow policies.
func (f *feature) keep(in *In) bool {
	home, lease := f.Pools.Held(reconcile.Key(in.Key))
	if lease.IsZero() {
		return false
	}
	in.Subnet, in.Lease, in.Kept = subnet.Subnet{Name: home}, lease, true
	for i := range in.Problems {
		in.Problems[i].Advisory = true
	}
	return true
}

// place finds the groups that the pod's port is in from its first moment on.
func (f *feature) place(in *In) error {
	groups, placed := f.Groups.Place(Selected(in.Pod))
	if !placed {
		return &reconcile.Wait{For: "the labels of namespace " + in.Key.Namespace}
	}
	in.Groups = groups
	return nil
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

// allocate takes addresses from the first candidate that has any.
func (f *feature) allocate(in *In, candidates []subnet.Subnet, request ipam.Request) {
	for _, s := range candidates {
		lease, err := f.Pools.Allocate(s, request)
		if err == nil {
			in.Subnet, in.Lease, in.Problems = s, lease, nil
			return
		}
		if errors.Is(err, ipam.ErrFull) {
			in.Problems.Add("", v1.ReasonNoFreeAddress, "subnet %s (%s) is full; the pod starts as soon as an address is free", s.Name, s.CIDRs)
			continue
		}
		in.Problems.Add("metadata.annotations", v1.ReasonInvalid, "subnet %s (%s): %s", s.Name, s.CIDRs, err)
	}
}

// request is what the pod's annotations ask for. Once the pod is allocated they are our own answer, and asking for the
// same again gets the same.
func request(pod *corev1.Pod) (ipam.Request, error) {
	r := ipam.Request{Owner: reconcile.Key(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})}
	var err error
	if r.Addrs, err = ipam.ParseAddrs(pod.Annotations[v1.AnnotationIPAddress]); err != nil {
		return r, fmt.Errorf("%s: %w", v1.AnnotationIPAddress, err)
	}
	if text := pod.Annotations[v1.AnnotationMACAddress]; text != "" {
		if r.MAC, err = ipam.ParseMAC(text); err != nil {
			return r, fmt.Errorf("%s: %w", v1.AnnotationMACAddress, err)
		}
	}
	switch family := pod.Annotations[v1.AnnotationIPFamily]; family {
	case "":
	case "ipv4":
		r.Family = ipam.OnlyV4
	case "ipv6":
		r.Family = ipam.OnlyV6
	default:
		return r, fmt.Errorf("%s: %q is neither ipv4 nor ipv6", v1.AnnotationIPFamily, family)
	}
	return r, nil
}
