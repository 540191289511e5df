package host

import (
	"maps"
	"net"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

// Node is what the cluster knows about this node.
type Node struct {
	InternalIPs []netip.Addr
	// TunnelInterface is what the node's annotation asks for.
	TunnelInterface string
	// Join is nil until the controller has given the node its place on the join subnet.
	Join *Join
	// Unreadable is why what the controller says of that place cannot be used; empty if it can.
	Unreadable string
}

// Join is the node's place on the join subnet.
type Join struct {
	MAC       net.HardwareAddr
	Addresses []netip.Prefix
	Gateways  []netip.Addr
}

// ParseNode reads a Node object.
func ParseNode(obj *corev1.Node) Node {
	node := Node{TunnelInterface: obj.Annotations[kubeovnv1.AnnotationTunnelInterface]}
	for _, address := range obj.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(address.Address); err == nil {
			node.InternalIPs = append(node.InternalIPs, ip)
		}
	}
	switch answer, err := kubeovnv1.DecodeAllocation(obj.Annotations, kubeovnv1.Provider); {
	case err != nil:
		node.Unreadable = err.Error()
	case answer != nil:
		node.Join = &Join{MAC: answer.MAC, Addresses: answer.Prefixes(), Gateways: answer.Gateways}
	}
	return node
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// Subnet is what a node has to know of a subnet.
type Subnet struct {
	Name  string
	MTU   int
	Join  bool
	CIDRs []netip.Prefix
	// Routed tells that the subnet is on the default router, so that the node reaches it over the join subnet.
	Routed bool
	NAT    bool
}

// NewSubnet takes from what is in force of a Subnet what a node has to know, in a cluster whose default Vpc and join subnet
// have these names.
func NewSubnet(s spec.Subnet, vpc, join string) Subnet {
	return Subnet{Name: s.Name, MTU: s.MTU, Join: s.Name == join, NAT: s.NAT, Routed: s.VPC == vpc, CIDRs: s.Prefixes()}
}

// Cluster is what the API server says that a node goes by.
type Cluster struct {
	Node    Node
	Subnets map[string]Subnet // by name
	Remotes []string          // where the southbound database is: "tcp:address:port" each, sorted
}

// NewCluster reads what the API server has, in a cluster whose default Vpc and join subnet have these names. The Node may be
// empty: it may not be there yet.
func NewCluster(node *corev1.Node, subnets []kubeovnv1.Subnet, vpc, join string) Cluster {
	out := Cluster{Node: ParseNode(node), Subnets: make(map[string]Subnet, len(subnets))}
	for i := range subnets {
		s, _ := spec.InForce(&subnets[i], vpc) // one of which nothing is in force has no CIDRs
		out.Subnets[s.Name] = NewSubnet(s, vpc, join)
	}
	return out
}

// after is the cluster as a node goes by it that has gone by another before. A Subnet of which nothing is in force any more,
// such as when somebody has emptied its status, leaves what was in force before until the controller has written it again.
func (c Cluster) after(before Cluster) Cluster {
	c.Subnets = maps.Clone(c.Subnets)
	for name, subnet := range c.Subnets {
		if was := before.Subnets[name]; len(subnet.CIDRs) == 0 && len(was.CIDRs) > 0 {
			c.Subnets[name] = was
		}
	}
	return c
}
