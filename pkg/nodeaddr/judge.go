package nodeaddr

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// DefaultNetworks are where nodes have their addresses unless the operator says otherwise: private networks (RFC 1918),
// shared ones (RFC 6598) and unique local ones (RFC 4193).
const DefaultNetworks = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"

// most is how many addresses of one node are looked at: each stands in matches and sets of the whole cluster.
const most = 16

// Labels of nodes that may have the API server's address. The API server lets no kubelet set them on its own Node.
const (
	labelControlPlane = "node-role.kubernetes.io/control-plane"
	labelMaster       = "node-role.kubernetes.io/master"
)

// Config is what the cluster's operator decides about the addresses of nodes.
type Config struct {
	// Networks are where nodes have their addresses, Services is where Services have theirs.
	Networks, Services []netip.Prefix
	// ControlPlane are the names of nodes that may have the API server's address, beside those with the label of the control
	// plane.
	ControlPlane []string
	// Holds says whether a node has rows with an address already; nil where there are no rows. Of two nodes that report one
	// address, the one that has it keeps it.
	Holds func(node string, a netip.Addr) bool
}

// Judge tells which addresses are a node's.
type Judge struct {
	reader  client.Reader
	subnets *cidr.Map
	config  Config
	changed reconcile.Feed
}

// Addresses are those that a node reports, with what is made of them.
type Addresses struct {
	// Internal and External are the accepted ones of the two types.
	Internal, External []netip.Addr
	// Refused are the InternalIPs that are not accepted.
	Refused []Refusal
}

// Refusal is an InternalIP that is not accepted.
type Refusal struct {
	// Address is as the node reports it.
	Address string
	// Why completes "the address is not taken for the node's: …", and says what to do.
	Why string
}

// String is the refusal as an Event tells it.
func (r Refusal) String() string { return r.Address + " " + r.Why }

// JudgeOf is the Judge that features share, with the index that it reads.
func JudgeOf(env *reconcile.Env) *Judge {
	return reconcile.Shared(env, func(env *reconcile.Env) *Judge {
		env.Index(&corev1.Node{}, addressIndex, addressKeys)
		config := reconcile.Setting[Config](env)
		if config.Holds == nil {
			config.Holds = func(string, netip.Addr) bool { return false }
		}
		return &Judge{reader: env.Client, subnets: cidr.MapOf(env), config: config}
	})
}

// Of are the addresses of a node.
func (j *Judge) Of(ctx context.Context, node *corev1.Node) (Addresses, error) {
	var out Addresses
	for i, reported := range claims(node) {
		a, why, err := j.judge(ctx, node, reported.Address)
		if i >= most {
			why = fmt.Sprintf("is one too many: the first %d addresses of a node count", most)
		}
		switch {
		case err != nil:
			return out, err
		case why != "":
			if reported.Type == corev1.NodeInternalIP {
				out.Refused = append(out.Refused, Refusal{Address: reported.Address, Why: why})
			}
		case reported.Type == corev1.NodeInternalIP:
			out.Internal = append(out.Internal, a)
		default:
			out.External = append(out.External, a)
		}
	}
	return out, nil
}

// judge reads one address that a node reports; why is "" when it is the node's.
func (j *Judge) judge(ctx context.Context, node *corev1.Node, text string) (a netip.Addr, why string, err error) {
	a, ok := parse(text)
	if !ok {
		return a, "is no address that a node can have", nil
	}
	in := func(networks []netip.Prefix) int {
		return slices.IndexFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if in(j.config.Networks) < 0 {
		return a, "is in none of the networks of nodes, " + join(j.config.Networks) +
			"; if nodes have such addresses, add their network to --node-networks (the chart's network.nodes.networks)", nil
	}
	if i := in(j.config.Services); i >= 0 {
		return a, fmt.Sprintf("is in the Services' range %s; give the node another address", j.config.Services[i]), nil
	}
	for _, judge := range []func(context.Context, *corev1.Node, netip.Addr) (string, error){j.askSubnets, j.askAPIServer, j.askNodes} {
		if why, err := judge(ctx, node, a); why != "" || err != nil {
			return a, why, err
		}
	}
	return a, "", nil
}

func (j *Judge) askSubnets(ctx context.Context, _ *corev1.Node, a netip.Addr) (why string, err error) {
	subnets, err := j.subnets.Default(ctx, single(a))
	if err != nil {
		return "", fmt.Errorf("asking whose %s is: %w", a, err)
	}
	for _, s := range subnets {
		held := cidr.Held(s)
		if slices.ContainsFunc(held, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return fmt.Sprintf("is in Subnet %s (%s); give the node another address", s.Name, join(held)), nil
		}
	}
	return "", nil
}

// askAPIServer refuses the API server's address to all but the control plane: where the API server runs outside the
// cluster, no node reports the address, and the first to do so would get what all pods send to it.
func (j *Judge) askAPIServer(ctx context.Context, node *corev1.Node, a netip.Addr) (why string, err error) {
	if isControlPlane(node) || slices.Contains(j.config.ControlPlane, node.Name) {
		return "", nil
	}
	servers, err := j.APIServer(ctx)
	if err != nil || !slices.Contains(servers, a) {
		return "", err
	}
	return "is the API server's; if the node is of the control plane, label it " + labelControlPlane +
		", or name it in --control-plane-nodes (the chart's network.nodes.controlPlane)", nil
}

func (j *Judge) askNodes(ctx context.Context, node *corev1.Node, a netip.Addr) (why string, err error) {
	var list corev1.NodeList
	if err := j.reader.List(ctx, &list, client.MatchingFields{addressIndex: single(a).String()}, client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("asking which nodes report %s: %w", a, err)
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.Name == node.Name || !j.precedes(other, node, a) {
			continue
		}
		if not, err := j.askAPIServer(ctx, other, a); err != nil {
			return "", err
		} else if not == "" {
			return fmt.Sprintf("is node %s's, which had it before; give this node another address, or delete Node %[1]s if it is no more", other.Name), nil
		}
	}
	return "", nil
}

// precedes says whether a has the better claim to an address that both report: the one that has it, and between equals
// the older one.
func (j *Judge) precedes(a, b *corev1.Node, address netip.Addr) bool {
	if holds := j.config.Holds(a.Name, address); holds != j.config.Holds(b.Name, address) {
		return holds
	}
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Name < b.Name
}

// APIServer are the addresses of the API server.
func (j *Judge) APIServer(ctx context.Context) ([]netip.Addr, error) {
	var list discoveryv1.EndpointSliceList
	err := j.reader.List(ctx, &list, client.InNamespace(corev1.NamespaceDefault),
		client.MatchingLabels{discoveryv1.LabelServiceName: apiServer}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the API server's addresses: %w", err)
	}
	var out []netip.Addr
	for i := range list.Items {
		out = append(out, endpoints(&list.Items[i])...)
	}
	return out, nil
}

// Holder is a node and an address that is accepted as its own.
type Holder struct {
	Node    string
	Address netip.Addr
}

// Within are the InternalIPs in a range that are accepted, whatever Subnets say: a Subnet asks, and wants to know who
// is in its way.
func (j *Judge) Within(ctx context.Context, p netip.Prefix) ([]Holder, error) {
	nodes, err := j.reporting(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, node := range nodes {
		addresses, err := j.Of(ctx, node)
		if err != nil {
			return nil, err
		}
		for _, a := range addresses.Internal {
			if p.Contains(a) {
				out = append(out, Holder{Node: node.Name, Address: a})
			}
		}
	}
	return out, nil
}

// Tell has Changed deliver a node: it has other addresses than before.
func (j *Judge) Tell(node string) { j.changed.Add(node) }

// Changed is the source of nodes whose accepted addresses are others than before.
func (j *Judge) Changed() *reconcile.Feed { return &j.changed }

func join(networks []netip.Prefix) string {
	texts := make([]string, len(networks))
	for i, n := range networks {
		texts[i] = n.String()
	}
	return strings.Join(texts, ", ")
}
