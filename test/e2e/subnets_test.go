//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// subnet is a user's overlay subnet for the pods of a test's namespace. Each test takes a range of its own.
func subnet(ns *framework.Namespace, cidr string) *v1.Subnet {
	return &v1.Subnet{
		ObjectMeta: metav1.ObjectMeta{Name: ns.Name},
		Spec:       v1.SubnetSpec{CIDRBlock: cidr, NatOutgoing: true, Namespaces: []string{ns.Name}},
	}
}

// condition describes a condition; an empty reason is any.
type condition struct {
	kind   v1.ConditionType
	status metav1.ConditionStatus
	reason string
}

// awaitCondition waits until a subnet's present spec has a condition, and returns the subnet.
func awaitCondition(t *testing.T, s *v1.Subnet, want condition) *v1.Subnet {
	t.Helper()
	var last *v1.Condition
	got, err := framework.AwaitOne(within(t, time.Minute, fmt.Sprintf("condition %v of subnet %s", want, s.Name)), cluster,
		&v1.SubnetList{}, client.ObjectKey{Name: s.Name}, func(s *v1.Subnet) bool {
			last = v1.FindCondition(s.Status.Conditions, want.kind)
			return last != nil && last.Status == want.status && (want.reason == "" || last.Reason == want.reason) &&
				last.ObservedGeneration == s.Generation
		})
	if err != nil {
		t.Fatalf("%v; the condition is %+v", err, last)
	}
	return got
}

var (
	ready   = condition{v1.ConditionReady, metav1.ConditionTrue, ""}
	overlap = condition{v1.ConditionValidated, metav1.ConditionFalse, v1.ReasonOverlap}
)

// inside says whether all pods have their address in a CIDR.
func inside(t *testing.T, cidr string, pods ...*corev1.Pod) {
	t.Helper()
	prefix := netip.MustParsePrefix(cidr)
	for _, p := range pods {
		if a, err := netip.ParseAddr(p.Status.PodIP); err != nil || !prefix.Contains(a) {
			t.Errorf("pod %s has the address %s, which is not in %s", p.Name, p.Status.PodIP, cidr)
		}
	}
}

func TestSubnetOfNamespace(t *testing.T) {
	const cidr = "10.200.1.0/24"
	elsewhere := cluster.Namespace(t, nil)
	stranger := framework.Server("stranger", framework.On(there))
	elsewhere.Start(stranger)
	ns := cluster.Namespace(t, nil)
	s := subnet(ns, cidr)
	ns.Add(s)
	awaitCondition(t, s, ready)
	near, far := framework.Server("near", framework.On(here)), framework.Server("far", framework.On(there))
	ns.Start(near, far)
	inside(t, cidr, near, far)
	ns.FetchUntil(near, served(far, "/hostname"), "far")
	// Between subnets of one Vpc there is a router and no wall, and no change of the source.
	ns.FetchUntil(near, served(stranger, "/hostname"), "stranger")
	if got := host(t, elsewhere.FetchUntil(stranger, served(near, "/clientip"), "")); got != stranger.Status.PodIP {
		t.Errorf("the pod in the subnet sees the stranger as %s, not as %s", got, stranger.Status.PodIP)
	}
	for _, node := range []string{here, there} {
		fetchFromNode(t, node, served(near, "/hostname"), "near")
	}
}

func TestSubnetBySelector(t *testing.T) {
	const cidr = "10.200.2.0/24"
	ns := cluster.Namespace(t, map[string]string{"team": "blue"})
	s := subnet(ns, cidr)
	s.Spec.Namespaces = nil
	s.Spec.NamespaceSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns.Name, "team": "blue"}}}
	ns.Add(s)
	awaitCondition(t, s, ready)
	p := framework.Server("web", framework.On(here))
	ns.Start(p)
	inside(t, cidr, p)
}

func TestSubnetCountsItsAddresses(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	s := subnet(ns, "10.200.3.0/24")
	s.Spec.ExcludeIps = []string{"10.200.3.10..10.200.3.19"}
	ns.Add(s)
	const usable = 254 - 1 - 10 // without the gateway and what is excluded
	counts := func(using int) func(*v1.Subnet) bool {
		return func(s *v1.Subnet) bool {
			return int(s.Status.V4UsingIPs) == using && int(s.Status.V4AvailableIPs) == usable-using
		}
	}
	await := func(using int) {
		t.Helper()
		got, err := framework.AwaitOne(within(t, 30*time.Second, fmt.Sprintf("counting %d addresses", using)), cluster, &v1.SubnetList{},
			client.ObjectKey{Name: s.Name}, counts(using))
		if err != nil {
			var now v1.Subnet
			_ = cluster.Get(t.Context(), client.ObjectKeyFromObject(s), &now)
			t.Fatalf("%v: %v in use and %v available", err, now.Status.V4UsingIPs, now.Status.V4AvailableIPs)
		}
		_ = got
	}
	await(0)
	one, two := framework.Idle("one", framework.On(here)), framework.Idle("two", framework.On(there))
	ns.Start(one, two)
	await(2)
	ns.Stop(one, two)
	await(0)
}

// Ranges that cannot be: each is refused in a condition, and what was there before goes on.
func TestSubnetRefused(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	first := subnet(ns, "10.200.4.0/24")
	ns.Add(first)
	awaitCondition(t, first, ready)
	near, far := framework.Server("near", framework.On(here)), framework.Server("far", framework.On(there))
	ns.Start(near, far)
	for _, tc := range []struct {
		name, cidr, reason string
	}{
		{"overlaps another subnet", "10.200.4.128/25", v1.ReasonOverlap},
		{"overlaps the default subnet", "10.16.128.0/24", v1.ReasonOverlap},
		{"overlaps the nodes' subnet", "100.64.0.0/20", v1.ReasonOverlap},
		{"holds the API server", apiServerNet(t), v1.ReasonContainsAPIServer},
		{"overlaps the Services", "10.96.128.0/24", v1.ReasonOverlap},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ns := cluster.Namespace(t, nil)
			s := subnet(ns, tc.cidr)
			s.Spec.Namespaces = nil
			ns.Add(s)
			awaitCondition(t, s, condition{v1.ConditionValidated, metav1.ConditionFalse, tc.reason})
			awaitCondition(t, s, condition{v1.ConditionReady, metav1.ConditionFalse, ""})
		})
	}
	ns.FetchUntil(near, served(far, "/hostname"), "far")
	var now v1.Subnet
	must(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(first), &now))
	if !v1.IsConditionTrue(now.Status.Conditions, v1.ConditionReady) {
		t.Errorf("subnet %s is not ready any more: %+v", first.Name, now.Status.Conditions)
	}
}

// apiServerNet is a range around the API server's address, and nothing of Woven's.
func apiServerNet(t *testing.T) string {
	t.Helper()
	var slices discoveryv1.EndpointSliceList
	must(t, cluster.List(t.Context(), &slices, client.InNamespace("default"), client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"}))
	address := netip.MustParseAddr(slices.Items[0].Endpoints[0].Addresses[0])
	return do[netip.Prefix](t)(address.Prefix(address.BitLen() - 2)).String()
}

// The second claimant of a range gets it when the first is gone.
func TestSubnetWaitsForItsRange(t *testing.T) {
	first, second := cluster.Namespace(t, nil), cluster.Namespace(t, nil)
	a, b := subnet(first, "10.200.5.0/24"), subnet(second, "10.200.5.0/25")
	first.Add(a)
	awaitCondition(t, a, ready)
	second.Add(b)
	awaitCondition(t, b, overlap)
	must(t, cluster.Delete(t.Context(), a))
	awaitCondition(t, b, ready)
}

// What can be known to be wrong is refused when it is written.
func TestSubnetTextRefused(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	for _, tc := range []struct {
		name string
		edit func(*v1.SubnetSpec)
		want string
	}{
		{"no CIDR", func(s *v1.SubnetSpec) { s.CIDRBlock = "10.200.6" }, "must be a CIDR"},
		{"mask too long", func(s *v1.SubnetSpec) { s.CIDRBlock = "10.200.6.0/33" }, "must be a CIDR"},
		{"two of one family", func(s *v1.SubnetSpec) { s.CIDRBlock = "10.200.6.0/24,10.200.7.0/24" }, "two CIDRs of one family"},
		{"gateway is a word", func(s *v1.SubnetSpec) { s.Gateway = "router" }, "must be an address"},
		{"gateway outside", func(s *v1.SubnetSpec) { s.Gateway = "10.200.7.1" }, "outside"},
		{"excluded backwards text", func(s *v1.SubnetSpec) { s.ExcludeIps = []string{"10.200.6.1-10.200.6.9"} }, "must be an address or first..last"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := subnet(ns, "10.200.6.0/24")
			s.Spec.Namespaces = nil
			tc.edit(&s.Spec)
			err := ns.For(t).TryAdd(s)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it refused with %q", err, tc.want)
			}
		})
	}
	t.Run("another vpc later", func(t *testing.T) {
		ns := ns.For(t)
		s := subnet(ns, "10.200.6.0/24")
		s.Spec.Namespaces, s.Spec.Vpc = nil, v1.DefaultVpc
		ns.Add(s)
		must(t, client.IgnoreNotFound(cluster.Get(t.Context(), client.ObjectKeyFromObject(s), s)))
		err := cluster.Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"vpc":"other"}}`)))
		if err == nil || !strings.Contains(err.Error(), "cannot change") {
			t.Errorf("got %v, want it refused", err)
		}
	})
}

// Capitals are accepted and read as what they mean.
func TestSubnetInCapitals(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	s := subnet(ns, "FD00:200:7::/112")
	s.Spec.Namespaces, s.Spec.Gateway = nil, "FD00:200:7::A"
	ns.Add(s)
	got := awaitCondition(t, s, ready)
	if got.Spec.CIDRBlock != "fd00:200:7::/112" || got.Spec.Gateway != "fd00:200:7::a" {
		t.Errorf("it became %s with gateway %s", got.Spec.CIDRBlock, got.Spec.Gateway)
	}
}

func TestSubnetTellsWhatIsNotImplemented(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	s := subnet(ns, "10.200.8.0/24")
	s.Spec.Namespaces, s.Spec.Private, s.Spec.EnableDHCP = nil, true, true
	ns.Add(s)
	got := awaitCondition(t, s, condition{v1.ConditionImplemented, metav1.ConditionFalse, v1.ReasonNotImplemented})
	message := v1.FindCondition(got.Status.Conditions, v1.ConditionImplemented).Message
	for _, field := range []string{"spec.private", "spec.enableDHCP"} {
		if !strings.Contains(message, field) {
			t.Errorf("the condition says %q, and nothing of %s", message, field)
		}
	}
	awaitCondition(t, s, ready) // and the rest of it works
	must(t, cluster.Patch(t.Context(), got, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"private":false,"enableDHCP":false}}`))))
	_, err := framework.AwaitOne(within(t, 30*time.Second, "taking the condition away"), cluster, &v1.SubnetList{}, client.ObjectKey{Name: s.Name},
		func(s *v1.Subnet) bool { return v1.FindCondition(s.Status.Conditions, v1.ConditionImplemented) == nil })
	must(t, err)
}

func TestSubnetGoes(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	s := subnet(ns, "10.200.9.0/24")
	ns.Add(s)
	awaitCondition(t, s, ready)
	p := framework.Idle("one")
	ns.Start(p)
	inside(t, "10.200.9.0/24", p)
	ns.Stop(p)
	must(t, cluster.Delete(t.Context(), s))
	must(t, db.Await(within(t, 30*time.Second, "removing the switch and the router port"), func() bool {
		switches, err := framework.Rows(db, func(ls *nb.LogicalSwitch) bool { return ls.Name == s.Name })
		ports, err2 := framework.Rows(db, func(rp *nb.LogicalRouterPort) bool { return rp.Name == v1.DefaultVpc+"-"+s.Name })
		return err == nil && err2 == nil && len(switches) == 0 && len(ports) == 0
	}))
}

func TestPodAsksForItsAddresses(t *testing.T) {
	const address, mac = "10.200.10.77", "0a:00:c0:a8:01:4d"
	ns := cluster.Namespace(t, nil)
	s := subnet(ns, "10.200.10.0/24")
	ns.Add(s)
	awaitCondition(t, s, ready)
	asking := framework.Annotated(map[string]string{v1.AnnotationIPAddress: address, v1.AnnotationMACAddress: mac})
	p := framework.Server("fixed", framework.On(here), asking)
	ns.Start(p)
	if p.Status.PodIP != address {
		t.Errorf("the pod has the address %s, not %s", p.Status.PodIP, address)
	}
	if got := ns.Run(p, "cat", "/sys/class/net/eth0/address"); got != mac {
		t.Errorf("the pod has the MAC %s, not %s", got, mac)
	}
	rival := framework.Server("rival", framework.On(there), framework.Annotated(map[string]string{v1.AnnotationIPAddress: address}))
	ns.Add(rival)
	message := do[string](t)(ns.AwaitEvent(within(t, 30*time.Second, "the rival's event"), "rival", "AcquireAddressFailed"))
	if !strings.Contains(message, address) {
		t.Errorf("the rival's event says %q, and nothing of %s", message, address)
	}
	outside := framework.Server("outside", framework.Annotated(map[string]string{v1.AnnotationIPAddress: "10.200.11.1"}))
	ns.Add(outside)
	must(t, second(ns.AwaitEvent(within(t, 30*time.Second, "the event"), "outside", "AcquireAddressFailed")))
	ns.Stop(p)
	ns.AwaitReady(rival)
}

// A pod that finds its subnet full says so, and starts as soon as another gives its address back.
func TestFullSubnet(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	s := subnet(ns, "10.200.12.0/29")
	ns.Add(s)
	awaitCondition(t, s, ready)
	var pods []*corev1.Pod
	const room = 8 - 2 - 1 // without the network's, the broadcast and the gateway's address
	for i := range room {
		pods = append(pods, framework.Idle("early-"+strconv.Itoa(i)))
	}
	ns.Start(pods...)
	late := framework.Idle("late")
	ns.Add(late)
	message := do[string](t)(ns.AwaitEvent(within(t, 30*time.Second, "the event"), "late", "AcquireAddressFailed"))
	if !strings.Contains(message, s.Name) || !strings.Contains(message, "full") {
		t.Errorf("the event says %q, and not that subnet %s is full", message, s.Name)
	}
	ns.Stop(pods[0])
	freed := time.Now()
	ns.AwaitReady(late)
	t.Logf("ready %s after the address was free", time.Since(freed).Round(time.Millisecond))
	if late.Status.PodIP != pods[0].Status.PodIP {
		t.Errorf("the pod has %s, and %s was the only free address", late.Status.PodIP, pods[0].Status.PodIP)
	}
}

// Vpcs are apart: they may have the same addresses, and nothing passes between them.
func TestVpcsAreApart(t *testing.T) {
	const cidr = "10.200.13.0/24"
	open := cluster.Namespace(t, nil)
	public := subnet(open, cidr)
	open.Add(public)
	awaitCondition(t, public, ready)
	ns := cluster.Namespace(t, nil)
	vpc := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: ns.Name + "-vpc"}, Spec: v1.VpcSpec{Namespaces: []string{ns.Name}}}
	private := subnet(ns, cidr)
	private.Spec.Vpc, private.Spec.NatOutgoing = vpc.Name, false
	ns.Add(vpc, private)
	awaitCondition(t, private, ready)

	near, far := framework.Server("near", framework.On(here)), framework.Server("far", framework.On(there))
	ns.Start(near, far)
	inside(t, cidr, near, far)
	ns.FetchUntil(near, served(far, "/hostname"), "far")
	stranger := framework.Server("stranger", framework.On(here), framework.Annotated(map[string]string{v1.AnnotationIPAddress: "10.200.13.200"}))
	open.Start(stranger)
	for _, target := range []string{served(stranger, "/hostname"), url(do[string](t)(cluster.NodeAddress(t.Context(), here)), 10250, "/")} {
		unserved(t, near, target)
	}
	for _, inner := range []*corev1.Pod{near, far} {
		unserved(t, stranger, served(inner, "/hostname"))
	}
	got, err := framework.AwaitOne(within(t, 30*time.Second, "the vpc's status"), cluster, &v1.VpcList{}, client.ObjectKey{Name: vpc.Name},
		func(v *v1.Vpc) bool { return slices.Contains(v.Status.Subnets, private.Name) })
	must(t, err)
	if got.Status.Router != vpc.Name || got.Status.Default {
		t.Errorf("the vpc's status is %+v", got.Status)
	}
}
