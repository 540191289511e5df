package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cni/sandbox"
)

// Annotations of mirror pods, which kubelets write. The hash is the UID that the runtime knows the static pod by; in a
// mirror pod two annotations have it.
const (
	configHash   = "kubernetes.io/config.hash"
	configMirror = "kubernetes.io/config.mirror"
	configSource = "kubernetes.io/config.source"
)

// maxRoutes is how many bytes a pod's own routes may have: some hundred routes.
const maxRoutes = 16 << 10

// Network is what the controller decided for a pod.
type Network struct {
	Subnet    string
	MAC       net.HardwareAddr
	Addresses []netip.Prefix
	Gateways  []netip.Addr
	Routes    []sandbox.Route
}

// Pod is what is remembered of a pod of this node.
type Pod struct {
	Namespace string
	Name      string
	UID       string   // what the runtime knows it by
	Object    string   // the UID of the API object; another one for a static pod
	Network   *Network // nil until the controller has answered
	Problem   error    // why its answer cannot be used
	Leaving   bool     // it is being deleted
}

// Port is the name of the pod's switch port, and what OVN finds its interface by.
func (p *Pod) Port() string { return kubeovnv1.PortNameOfPod(p.Namespace, p.Name, kubeovnv1.Provider) }

// Pods are the pods of this node, fed by a watch. Whoever needs one waits on the watch.
type Pods struct {
	mu      sync.Mutex // protects the maps; held only for look-ups
	byName  map[string]*Pod
	waiting map[string]chan struct{}
}

// NewPods makes an empty set.
func NewPods() *Pods {
	return &Pods{byName: map[string]*Pod{}, waiting: map[string]chan struct{}{}}
}

// Set takes in a pod as it is now; nil if there is none of that name.
func (p *Pods) Set(namespace, name string, obj *corev1.Pod) {
	var pod *Pod
	if obj != nil {
		pod = newPod(obj)
	}
	p.store(namespace+"/"+name, pod)
}

func newPod(obj *corev1.Pod) *Pod {
	pod := &Pod{
		Namespace: obj.Namespace, Name: obj.Name, UID: string(obj.UID), Object: string(obj.UID), Leaving: obj.DeletionTimestamp != nil,
	}
	if hash := staticUID(obj.Annotations); hash != "" {
		pod.UID = hash
	}
	// Annotations can be copied from another pod, but nobody knows a pod's UID before the pod exists.
	if kubeovnv1.AllocatedFor(obj.Annotations, kubeovnv1.Provider) == obj.UID {
		pod.Network, pod.Problem = parseNetwork(obj.Annotations)
	}
	return pod
}

// staticUID is the UID of the static pod that a mirror pod stands for. On other pods the annotations mean nothing: with
// them a pod could pass for another.
func staticUID(annotations map[string]string) string {
	hash, source := annotations[configHash], annotations[configSource]
	if hash != annotations[configMirror] || source != "file" && source != "http" {
		return ""
	}
	return hash
}

func (p *Pods) store(key string, pod *Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pod == nil {
		delete(p.byName, key)
	} else {
		p.byName[key] = pod
	}
	if ch := p.waiting[key]; ch != nil {
		close(ch)
		delete(p.waiting, key)
	}
}

// WithUID finds a pod by the UID that the runtime knows it by, or returns nil. What the API server says of a UID comes
// before what annotations say.
func (p *Pods) WithUID(uid string) *Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	var static *Pod
	for _, pod := range p.byName {
		if pod.Object == uid {
			return pod
		}
		if pod.UID == uid {
			static = pod
		}
	}
	return static
}

func (p *Pods) lookUp(key string) (*Pod, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := p.waiting[key]
	if ch == nil {
		ch = make(chan struct{})
		p.waiting[key] = ch
	}
	return p.byName[key], ch
}

// Await waits until the controller has given a pod its network. The UID tells the pod from another of the same name
// that came before or after it; a runtime may not know it.
func (p *Pods) Await(ctx context.Context, namespace, name, uid string) (*Pod, error) {
	seen := false
	for {
		pod, changed := p.lookUp(namespace + "/" + name)
		ours := pod != nil && (uid == "" || pod.UID == uid)
		switch {
		case ours && pod.Problem != nil:
			return nil, fmt.Errorf("reading the network of pod %s/%s: %w", namespace, name, pod.Problem)
		case ours && pod.Network != nil:
			return pod, nil
		case ours && pod.Leaving:
			// kubelet cannot end the pod before ADD ends.
			return nil, fmt.Errorf("pod %s/%s is being deleted, and never got addresses", namespace, name)
		case !ours && seen:
			return nil, fmt.Errorf("pod %s/%s was deleted", namespace, name)
		}
		seen = ours
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s: %w", lacking(pod, namespace+"/"+name, uid), context.Cause(ctx))
		}
	}
}

func lacking(pod *Pod, key, uid string) string {
	switch {
	case pod == nil:
		return fmt.Sprintf("pod %s to appear on this node", key)
	case uid != "" && pod.UID != uid:
		return fmt.Sprintf("pod %s with UID %s (the pod of that name has %s)", key, uid, pod.UID)
	}
	return fmt.Sprintf("the controller to give pod %s its addresses (see its events)", key)
}

// parseNetwork reads the controller's answer; nil if there is none yet.
func parseNetwork(annotations map[string]string) (*Network, error) {
	answer, err := kubeovnv1.DecodeAllocation(annotations, kubeovnv1.Provider)
	if err != nil || answer == nil {
		return nil, err //nolint:wrapcheck // it names the annotation
	}
	out := &Network{Subnet: answer.Subnet, MAC: answer.MAC, Addresses: answer.Prefixes(), Gateways: answer.Gateways}
	out.Routes, err = parseRoutes(annotations[kubeovnv1.AnnotationRoutes], out)
	return out, err
}

// parseRoutes makes the pod's routes: a default route by each gateway of a family that the pod has, and what the
// annotation lists beside. A route to everything in the annotation replaces the default one.
func parseRoutes(text string, network *Network) ([]sandbox.Route, error) {
	var extra []struct {
		Dst string `json:"dst"`
		GW  string `json:"gw"`
	}
	if len(text) > maxRoutes {
		return nil, fmt.Errorf("annotation %s has %d bytes, and may have %d", kubeovnv1.AnnotationRoutes, len(text), maxRoutes)
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &extra); err != nil {
			return nil, fmt.Errorf("annotation %s: %w", kubeovnv1.AnnotationRoutes, err)
		}
	}
	var routes []sandbox.Route
	defaults := map[bool]bool{} // by "is IPv6"
	for _, route := range extra {
		gateway, err := netip.ParseAddr(route.GW)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: gateway: %w", kubeovnv1.AnnotationRoutes, err)
		}
		dst := netip.PrefixFrom(unspecified(gateway), 0)
		if route.Dst != "" {
			if dst, err = netip.ParsePrefix(route.Dst); err != nil {
				return nil, fmt.Errorf("annotation %s: destination: %w", kubeovnv1.AnnotationRoutes, err)
			}
		}
		routes = append(routes, sandbox.Route{Dst: dst.Masked(), Gateway: gateway})
		defaults[gateway.Is6()] = defaults[gateway.Is6()] || dst.Bits() == 0
	}
	for _, gateway := range network.Gateways {
		if network.has(gateway.Is6()) && !defaults[gateway.Is6()] {
			routes = append(routes, sandbox.Route{Dst: netip.PrefixFrom(unspecified(gateway), 0), Gateway: gateway})
		}
	}
	return routes, nil
}

func (n *Network) has(ipv6 bool) bool {
	for _, address := range n.Addresses {
		if address.Addr().Is6() == ipv6 {
			return true
		}
	}
	return false
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}
