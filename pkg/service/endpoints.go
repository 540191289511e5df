package service

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// backend is one address and port of an endpoint.
type backend struct {
	text         string // "10.16.0.5:8080"
	node         string // where it runs, or ""
	zones, nodes []string
	ready        bool // otherwise it is terminating, and still serves
}

// backends are the endpoints that may take traffic, in no order.
type backends []backend

// backendsOf are the endpoints of one port in the family of vip.
func (in Input) backendsOf(port corev1.ServicePort, vip netip.Addr) backends {
	family := discoveryv1.AddressTypeIPv4
	if vip.Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	var out backends
	for _, slice := range in.Slices {
		number := ""
		if slice.AddressType == family {
			number = portNumber(slice, port)
		}
		if number == "" {
			continue
		}
		for _, e := range slice.Endpoints {
			b := backend{ready: isReady(e)}
			if !b.ready && !isDraining(e) {
				continue
			}
			if e.NodeName != nil {
				b.node = *e.NodeName
			}
			b.zones, b.nodes = hints(e)
			for _, address := range e.Addresses {
				b.text = net.JoinHostPort(address, number)
				out = append(out, b)
			}
		}
	}
	return out
}

// portNumber is the target port that a slice has for a Service's port, or "".
func portNumber(slice *discoveryv1.EndpointSlice, port corev1.ServicePort) string {
	for _, p := range slice.Ports {
		named := p.Name != nil && *p.Name == port.Name || p.Name == nil && port.Name == ""
		spoken := p.Protocol != nil && *p.Protocol == protocolOf(port) || p.Protocol == nil && protocolOf(port) == corev1.ProtocolTCP
		if named && spoken && p.Port != nil {
			return strconv.Itoa(int(*p.Port))
		}
	}
	return ""
}

func isReady(e discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }

func isDraining(e discoveryv1.Endpoint) bool {
	c := e.Conditions
	return c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating
}

func hints(e discoveryv1.Endpoint) (zones, nodes []string) {
	if e.Hints == nil {
		return nil, nil
	}
	for _, z := range e.Hints.ForZones {
		zones = append(zones, z.Name)
	}
	for _, n := range e.Hints.ForNodes {
		nodes = append(nodes, n.Name)
	}
	return zones, nodes
}

func (bs backends) which(take func(backend) bool) backends {
	var out backends
	for _, b := range bs {
		if take(b) {
			out = append(out, b)
		}
	}
	return out
}

// usable are the backends that are ready. While none is, the terminating backends that still serve stand in, as KEP-1669
// asks.
func (bs backends) usable() backends {
	if ready := bs.which(func(b backend) bool { return b.ready }); len(ready) > 0 {
		return ready
	}
	return bs
}

// on are the backends on a node: those that a traffic policy "Local" leaves to it.
func (bs backends) on(node string) backends {
	return bs.which(func(b backend) bool { return b.node == node }).usable()
}

// forTopology are the backends whose hints are for clients of a node or its zone: by node if all endpoints have hints for
// nodes, else by zone if all have hints for zones. Where no endpoint has a hint for the client's, all backends serve it.
// kube-proxy decides the same.
func (bs backends) forTopology(t Topology) backends {
	usable := bs.usable()
	ready := usable.which(func(b backend) bool { return b.ready })
	if len(ready) == 0 {
		return usable
	}
	for _, hint := range []struct {
		of     func(backend) []string
		client string
	}{
		{func(b backend) []string { return b.nodes }, t.Node},
		{func(b backend) []string { return b.zones }, t.Zone},
	} {
		if slices.ContainsFunc(ready, func(b backend) bool { return len(hint.of(b)) == 0 }) {
			continue
		}
		if hinted := ready.which(func(b backend) bool { return slices.Contains(hint.of(b), hint.client) }); len(hinted) > 0 {
			return hinted
		}
	}
	return ready
}

// nodes are the nodes that the endpoints run on.
func (bs backends) nodes() []string {
	var out []string
	for _, b := range bs {
		if b.node != "" {
			out = append(out, b.node)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// texts are the backends as OVN reads them, sorted.
func (bs backends) texts() []string {
	out := make([]string, len(bs))
	for i, b := range bs {
		out[i] = b.text
	}
	slices.Sort(out)
	return slices.Compact(out)
}
