package pod

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Bounds of what a pod may ask for. An annotation can have 256 kB, and reading a list of so many names would cost a
// hundred times that.
const (
	maxAddressText = 128
	maxSubnets     = 8
	maxSubnetsText = maxSubnets * 254 // names of objects have up to 253 bytes
)

// request is what a pod asks for.
type request struct {
	pool.Request
	wish wish
}

// parseRequest is what the pod's annotations ask for. The request of one that cannot be read has its owner only.
func parseRequest(pod *corev1.Pod) (request, error) {
	r := request{Request: pool.Request{Owner: PortKey(client.ObjectKeyFromObject(pod))}}
	if err := bounded(pod); err != nil {
		return r, err
	}
	addrs, err := ipam.ParseAddrs(pod.Annotations[v1.AnnotationIPAddress])
	if err != nil {
		return r, fmt.Errorf("%s: %w", v1.AnnotationIPAddress, err)
	}
	var mac ipam.MAC
	if text := pod.Annotations[v1.AnnotationMACAddress]; text != "" {
		if mac, err = ipam.ParseMAC(text); err != nil {
			return r, fmt.Errorf("%s: %w", v1.AnnotationMACAddress, err)
		}
	}
	var family ipam.Family
	switch text := pod.Annotations[v1.AnnotationIPFamily]; text {
	case "":
	case "ipv4":
		family = ipam.OnlyV4
	case "ipv6":
		family = ipam.OnlyV6
	default:
		return r, fmt.Errorf("%s: %q is neither ipv4 nor ipv6", v1.AnnotationIPFamily, text)
	}
	w, err := parseWish(pod)
	if err != nil {
		return r, fmt.Errorf("%s: %w", v1.AnnotationIPPool, err)
	}
	r.Addrs, r.MAC, r.Family, r.wish = addrs, mac, family, w
	return r, nil
}

// of are the requests, one after the other, by which a pod gets what it asks for of a place.
func (r request) of(p place) []pool.Request {
	if len(r.wish.choices) == 0 {
		one := r.Request
		one.IPPools = p.pools
		return []pool.Request{one}
	}
	var out []pool.Request
	for _, choice := range r.wish.choices {
		one := r.Request
		one.Addrs = choice
		out = append(out, one)
	}
	return out
}

// bounded refuses annotations that are too long to be read.
func bounded(pod *corev1.Pod) error {
	for _, b := range []struct {
		key   string
		limit int
	}{
		{v1.AnnotationIPAddress, maxAddressText},
		{v1.AnnotationMACAddress, maxAddressText},
		{v1.AnnotationIPFamily, maxAddressText},
		{v1.AnnotationLogicalSwitch, maxSubnetsText},
		{v1.AnnotationIPPool, maxPoolText},
	} {
		if n := len(pod.Annotations[b.key]); n > b.limit {
			return fmt.Errorf("%s has %d bytes, and may have %d", b.key, n, b.limit)
		}
	}
	if n := len(pool.Named(pod)); n > maxSubnets {
		return fmt.Errorf("%s names %d subnets, and may name %d", v1.AnnotationLogicalSwitch, n, maxSubnets)
	}
	return nil
}

// Contradicts says whether a pod's annotations name other addresses, another MAC, another subnet or another IPPool than it has. What
// cannot be read contradicts too.
func Contradicts(pools *pool.Pools, pod *corev1.Pod, home string, lease ipam.Lease) bool {
	if bounded(pod) != nil {
		return true
	}
	if names := pool.Named(pod); len(names) > 0 && !slices.Contains(names, home) {
		return true
	}
	addrs, err := ipam.ParseAddrs(pod.Annotations[v1.AnnotationIPAddress])
	if err != nil || addrs.V4.IsValid() && addrs.V4 != lease.V4 || addrs.V6.IsValid() && addrs.V6 != lease.V6 {
		return true
	}
	if w, err := parseWish(pod); err != nil || !w.fits(lease, pools.IPPoolsOf(home, lease.Addrs)) {
		return true
	}
	text := pod.Annotations[v1.AnnotationMACAddress]
	mac, err := ipam.ParseMAC(text)
	return text != "" && (err != nil || mac != lease.MAC)
}

// Answered says whether the annotations of a pod are our answer for this very pod, and not a copy of another's.
func Answered(pod *corev1.Pod) bool {
	return pod.UID != "" && v1.AllocatedFor(pod.Annotations, v1.Provider) == pod.UID
}

// Annotated is what the annotations of a pod or a node say of its addresses, whoever wrote them.
func Annotated(annotations map[string]string) (home string, lease ipam.Lease, err error) {
	ip, mac := annotations[v1.AnnotationIPAddress], annotations[v1.AnnotationMACAddress]
	if home = annotations[v1.AnnotationLogicalSwitch]; len(home)+len(ip)+len(mac) > maxSubnetsText {
		return "", lease, errors.New("the annotations are too long")
	}
	lease, err = port.ParseLease(ip, mac)
	return home, lease, err //nolint:wrapcheck // it says what could not be read
}

// Told are the CIDRs that a pod was told with its addresses, which its interface has, of those families of which they fit the
// addresses and the gateways of its subnet, where they are known. The interface keeps them when the range grows, and so does the answer.
func Told(pools *pool.Pools, pod *corev1.Pod, home subnet.Subnet, lease ipam.Lease) (told ipam.Prefixes) {
	if !Answered(pod) || Contradicts(pools, pod, home.Name, lease) || len(pod.Annotations[v1.AnnotationCIDR]) > maxAddressText {
		return told // it is not what the pod was told
	}
	said, err := ipam.ParsePrefixes(pod.Annotations[v1.AnnotationCIDR])
	if err != nil {
		return told
	}
	if fits(said.V4, lease.V4, home.Gateways.V4) {
		told.V4 = said.V4
	}
	if fits(said.V6, lease.V6, home.Gateways.V6) {
		told.V6 = said.V6
	}
	return told
}

func fits(cidr netip.Prefix, address, gateway netip.Addr) bool {
	return cidr.IsValid() && cidr.Contains(address) && (!gateway.IsValid() || cidr.Contains(gateway))
}

// told are the CIDRs that a pod was told, or is about to be.
func told(pools *pool.Pools, pod *corev1.Pod, home subnet.Subnet, lease ipam.Lease) ipam.Prefixes {
	out := Told(pools, pod, home, lease)
	if !out.V4.IsValid() {
		out.V4 = home.CIDRs.V4
	}
	if !out.V6.IsValid() {
		out.V6 = home.CIDRs.V6
	}
	return out
}
