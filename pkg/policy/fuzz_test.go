package policy_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/fuzztest"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/policy"
	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func of[T any](c *fuzztest.Choices, values ...T) T { return values[c.Pick(len(values))] }

func some[T any](c *fuzztest.Choices, most int, make func(*fuzztest.Choices) T) []T {
	var out []T
	for range c.Pick(most + 1) {
		out = append(out, make(c))
	}
	return out
}

func aSelector(c *fuzztest.Choices) *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	switch c.Pick(5) {
	case 0:
	case 1:
		s.MatchLabels = map[string]string{"app": of(c, "a", "b", "", "not a value")}
	case 2:
		s.MatchLabels = map[string]string{corev1.LabelMetadataName: of(c, "shop", "lab")}
	default:
		s.MatchExpressions = some(c, 2, func(c *fuzztest.Choices) metav1.LabelSelectorRequirement {
			return metav1.LabelSelectorRequirement{
				Key:      of(c, "app", "team", "", "x/y/z"),
				Operator: of(c, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist, "Near"),
				Values:   some(c, 3, func(c *fuzztest.Choices) string { return of(c, "a", "b", "", "-") }),
			}
		})
	}
	return s
}

func aPeer(c *fuzztest.Choices) networkingv1.NetworkPolicyPeer {
	cidr := func(c *fuzztest.Choices) string {
		return of(c, "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "::/0", "2001:db8::/33", "10.0.0.0/33", "", "10.1.2.3/24")
	}
	var p networkingv1.NetworkPolicyPeer
	if c.Pick(3) == 0 {
		p.IPBlock = &networkingv1.IPBlock{CIDR: cidr(c), Except: some(c, 3, cidr)}
	}
	if c.Pick(2) == 0 {
		p.PodSelector = aSelector(c)
	}
	if c.Pick(2) == 0 {
		p.NamespaceSelector = aSelector(c)
	}
	return p
}

func aPort(c *fuzztest.Choices) networkingv1.NetworkPolicyPort {
	number := func(c *fuzztest.Choices) int32 { return of[int32](c, 80, 81, 443, 0, -1, 65535, 65536, 7, 1<<30) }
	var p networkingv1.NetworkPolicyPort
	if c.Pick(2) == 0 {
		protocol := of(c, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP, "GRE", "")
		p.Protocol = &protocol
	}
	switch c.Pick(3) {
	case 0:
		port := intstr.FromInt32(number(c))
		p.Port = &port
	case 1:
		port := intstr.FromString(of(c, "http", "sql", "", "no such name"))
		p.Port = &port
	}
	if c.Pick(3) == 0 {
		end := number(c)
		p.EndPort = &end
	}
	return p
}

func aPolicy(c *fuzztest.Choices, name string) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: of(c, "shop", "lab"), Name: name, Generation: 1}}
	p.Spec.PodSelector = *aSelector(c)
	p.Spec.PolicyTypes = some(c, 2, func(c *fuzztest.Choices) networkingv1.PolicyType {
		return of(c, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress, "Sideways")
	})
	p.Spec.Ingress = some(c, 3, func(c *fuzztest.Choices) networkingv1.NetworkPolicyIngressRule {
		return networkingv1.NetworkPolicyIngressRule{From: some(c, 3, aPeer), Ports: some(c, 4, aPort)}
	})
	p.Spec.Egress = some(c, 3, func(c *fuzztest.Choices) networkingv1.NetworkPolicyEgressRule {
		return networkingv1.NetworkPolicyEgressRule{To: some(c, 3, aPeer), Ports: some(c, 4, aPort)}
	})
	if c.Pick(3) == 0 {
		p.Annotations = map[string]string{
			v1.AnnotationPolicyLog: "true", v1.AnnotationPolicyLogActions: of(c, "", "allow", "drop,pass", "shout"),
			v1.AnnotationPolicyLogRate: of(c, "", "1", "0", "many"), v1.AnnotationPolicyEnforcement: of(c, "", "lax", "strict"),
		}
	}
	return p
}

func aPod(c *fuzztest.Choices, i int) group.Pod {
	p := group.Pod{Key: types.NamespacedName{Namespace: of(c, "shop", "lab"), Name: fmt.Sprint("p", i)}, Labels: map[string]string{"app": of(c, "a", "b", "c")}}
	p.Ports = some(c, 2, func(c *fuzztest.Choices) group.NamedPort {
		return group.NamedPort{Protocol: of(c, corev1.ProtocolTCP, corev1.ProtocolUDP), Name: of(c, "http", "sql"), Number: of[int32](c, 80, 81)}
	})
	return p
}

func aClusterPeer(c *fuzztest.Choices) v1alpha2.ClusterNetworkPolicyEgressPeer {
	var p v1alpha2.ClusterNetworkPolicyEgressPeer
	switch c.Pick(6) {
	case 0:
		p.Namespaces = aSelector(c)
	case 1:
		p.Pods = &v1alpha2.NamespacedPod{NamespaceSelector: *aSelector(c), PodSelector: *aSelector(c)}
	case 2:
		p.Nodes = aSelector(c)
	case 3:
		p.Networks = some(c, 3, func(c *fuzztest.Choices) v1alpha2.CIDR {
			return of[v1alpha2.CIDR](c, "10.0.0.0/8", "10.1.2.3/32", "::/0", "2001:db8::/33", "10.0.0.0/33", "", "10.1.2.3/24")
		})
	case 4:
		p.DomainNames = []v1alpha2.DomainName{"example.com"}
	}
	return p
}

func aProtocol(c *fuzztest.Choices) v1alpha2.ClusterNetworkPolicyProtocol {
	number := func(c *fuzztest.Choices) int32 { return of[int32](c, 80, 81, 0, -1, 65535, 65536, 7) }
	port := of(c, nil, &v1alpha2.Port{Number: number(c)}, &v1alpha2.Port{Range: &v1alpha2.PortRange{Start: number(c), End: number(c)}})
	return of(c,
		v1alpha2.ClusterNetworkPolicyProtocol{TCP: &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}},
		v1alpha2.ClusterNetworkPolicyProtocol{UDP: &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}},
		v1alpha2.ClusterNetworkPolicyProtocol{SCTP: &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}},
		v1alpha2.ClusterNetworkPolicyProtocol{DestinationNamedPort: of(c, "http", "sql", "", "no such name")},
		v1alpha2.ClusterNetworkPolicyProtocol{},
	)
}

func aClusterPolicy(c *fuzztest.Choices, name string) *v1alpha2.ClusterNetworkPolicy {
	p := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
	p.Spec.Tier = of(c, v1alpha2.AdminTier, v1alpha2.BaselineTier, "Middle")
	p.Spec.Priority = of[int32](c, 0, 10, 1000, 1001, -1)
	subject := aClusterPeer(c)
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = subject.Namespaces, subject.Pods
	action := func(c *fuzztest.Choices) v1alpha2.ClusterNetworkPolicyRuleAction {
		return of[v1alpha2.ClusterNetworkPolicyRuleAction](c, "Accept", "Deny", "Pass", "", "Allow")
	}
	p.Spec.Egress = some(c, 4, func(c *fuzztest.Choices) v1alpha2.ClusterNetworkPolicyEgressRule {
		return v1alpha2.ClusterNetworkPolicyEgressRule{Action: action(c), To: some(c, 3, aClusterPeer), Protocols: some(c, 3, aProtocol)}
	})
	p.Spec.Ingress = some(c, 4, func(c *fuzztest.Choices) v1alpha2.ClusterNetworkPolicyIngressRule {
		rule := v1alpha2.ClusterNetworkPolicyIngressRule{Action: action(c), Protocols: some(c, 3, aProtocol)}
		for _, peer := range some(c, 3, aClusterPeer) {
			rule.From = append(rule.From, v1alpha2.ClusterNetworkPolicyIngressPeer{Namespaces: peer.Namespaces, Pods: peer.Pods})
		}
		return rule
	})
	return p
}

// read is a policy and what it means.
type read struct {
	policy   rules.Policy
	problems reconcile.Problems
	obj      client.Object
	owner    ovs.Owner
}

// build plays events on a registry and translates every policy; the order of the events is the caller's.
func build(t *testing.T, policies []read, pods []group.Pod, podsFirst bool) map[ovs.Owner]ovs.Desired {
	t.Helper()
	groups := group.NewRegistry()
	out := map[ovs.Owner]ovs.Desired{}
	place := func() {
		groups.SetNamespace("shop", map[string]string{"team": "a"})
		groups.SetNamespace("lab", nil)
		for _, p := range pods {
			names, _ := groups.Place(p)
			groups.Joined(p.Key, names)
		}
	}
	if podsFirst {
		place()
	}
	for range 2 { // the second look is the one that a change of the first would bring
		for _, r := range policies {
			in := policy.Input{Owner: r.owner, Object: r.obj, Policy: r.policy, Problems: r.problems}
			if len(in.Problems.Blocking()) == 0 {
				var err error
				if in.Groups, in.Numbers, _, err = policy.Resolve(groups, in.Owner, &in.Policy); err != nil {
					t.Fatalf("a policy that was accepted selects what cannot be read: %v", err)
				}
			}
			want, _ := policy.Translate(in)
			if again, _ := policy.Translate(in); !reflect.DeepEqual(want, again) {
				t.Fatalf("translating twice makes two different answers")
			}
			if err := engine.Check(ovs.Northbound, in.Owner, want); err != nil {
				t.Fatalf("the rows are wrong: %v", err)
			}
			out[in.Owner] = want
		}
		place()
	}
	return out
}

// bothWays builds the rows in two orders of events, which are to be the same.
func bothWays(t *testing.T, c *fuzztest.Choices, policies []read) {
	t.Helper()
	var pods []group.Pod
	for i := range c.Pick(5) {
		pods = append(pods, aPod(c, i))
	}
	one := build(t, policies, pods, true)
	slices.Reverse(policies)
	slices.Reverse(pods)
	if other := build(t, policies, pods, false); !reflect.DeepEqual(one, other) {
		t.Errorf("the rows depend on the order of events:\n%+v\n%+v", one, other)
	}
}

func seed(f *testing.F) {
	f.Add([]byte("policies, and pods"))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 1, 1, 2, 2, 2, 0, 0, 3, 3, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5})
}

// FuzzNetworkPolicy takes any policies and pods: nothing panics, the rows are such that the engine takes them, and they
// are the same whatever came first.
func FuzzNetworkPolicy(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := new(fuzztest.Choices(data))
		var policies []read
		for i := range c.Pick(3) + 1 {
			obj := aPolicy(c, fmt.Sprint("np-", i))
			r := read{obj: obj, owner: ovs.Owner{Feature: policy.NetworkPolicyName, Key: obj.Namespace + "/" + obj.Name}}
			r.policy, r.problems = rules.ParseNetworkPolicy(obj)
			policies = append(policies, r)
		}
		bothWays(t, c, policies)
	})
}

// FuzzClusterNetworkPolicy is FuzzNetworkPolicy for administrators.
func FuzzClusterNetworkPolicy(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := new(fuzztest.Choices(data))
		var policies []read
		for i := range c.Pick(3) + 1 {
			obj := aClusterPolicy(c, fmt.Sprint("cnp-", i))
			r := read{obj: obj, owner: ovs.Owner{Feature: policy.ClusterNetworkPolicyName, Key: obj.Name}}
			r.policy, r.problems = rules.ParseClusterNetworkPolicy(obj)
			policies = append(policies, r)
		}
		bothWays(t, c, policies)
	})
}
