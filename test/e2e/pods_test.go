//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// portName is what a pod's switch port, interface and IP object are called.
func portName(p *corev1.Pod) string { return p.Name + "." + p.Namespace }

// awaitPort is a pod's switch port, of which this view of the database may not have heard yet.
func awaitPort(t *testing.T, db *framework.Northbound, p *corev1.Pod) *nb.LogicalSwitchPort {
	t.Helper()
	var port *nb.LogicalSwitchPort
	must(t, db.Await(within(t, 30*time.Second, "the switch port of "+p.Name), func() bool {
		port = db.Port(portName(p))
		return port != nil
	}))
	return port
}

// What a pod leaves in the cluster while it lives, and that all of it goes.
func TestPodHasItsRecords(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	p := framework.Server("web", framework.On(here))
	ns.Start(p)
	var subnet v1.Subnet
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: v1.DefaultSubnet}, &subnet))

	t.Run("annotations", func(t *testing.T) {
		ns := ns.For(t)
		for key, want := range map[string]string{
			v1.AnnotationAllocated:     "true",
			v1.AnnotationRouted:        "true",
			v1.AnnotationIPAddress:     addresses(p),
			v1.AnnotationCIDR:          subnet.Spec.CIDRBlock,
			v1.AnnotationGateway:       subnet.Spec.Gateway,
			v1.AnnotationLogicalSwitch: v1.DefaultSubnet,
			v1.AnnotationLogicalRouter: v1.DefaultVpc,
			v1.AnnotationMACAddress:    ns.Run(p, "cat", "/sys/class/net/eth0/address"),
		} {
			if got := p.Annotations[key]; got != want {
				t.Errorf("%s is %q, not %q", key, got, want)
			}
		}
	})
	t.Run("switch port", func(t *testing.T) {
		port := awaitPort(t, db, p)
		want := p.Annotations[v1.AnnotationMACAddress] + " " + strings.ReplaceAll(addresses(p), ",", " ")
		if !slices.Equal(port.Addresses, []string{want}) || !slices.Equal(port.PortSecurity, []string{want}) {
			t.Errorf("it has addresses %q and port security %q, want %q", port.Addresses, port.PortSecurity, want)
		}
	})
	t.Run("IP object", func(t *testing.T) {
		ns := ns.For(t)
		ip := do[*v1.IP](t)(framework.AwaitOne(within(t, 30*time.Second, "writing the IP object"), cluster, &v1.IPList{},
			client.ObjectKey{Name: portName(p)}, func(*v1.IP) bool { return true }))
		want := v1.IPSpec{
			PodName: p.Name, Namespace: ns.Name, Subnet: v1.DefaultSubnet, NodeName: here,
			IPAddress: addresses(p), MACAddress: p.Annotations[v1.AnnotationMACAddress],
		}
		got := v1.IPSpec{
			PodName: ip.Spec.PodName, Namespace: ip.Spec.Namespace, Subnet: ip.Spec.Subnet, NodeName: ip.Spec.NodeName,
			IPAddress: ip.Spec.IPAddress, MACAddress: ip.Spec.MACAddress,
		}
		if got.PodName != want.PodName || got.Namespace != want.Namespace || got.Subnet != want.Subnet ||
			got.NodeName != want.NodeName || got.IPAddress != want.IPAddress || got.MACAddress != want.MACAddress {
			t.Errorf("it says %+v, not %+v", got, want)
		}
	})
	t.Run("interface", func(t *testing.T) {
		if ids := do[[]string](t)(cluster.Attachments(t.Context(), here)); !slices.Contains(ids, portName(p)) {
			t.Errorf("the node's switch has %v", ids)
		}
	})
	t.Run("all of it goes", func(t *testing.T) {
		ns := ns.For(t)
		ns.Stop(p)
		ctx := within(t, 30*time.Second, "removing the pod's records")
		must(t, db.Await(ctx, func() bool { return db.Port(portName(p)) == nil }))
		_, err := framework.Await(ctx, cluster, &v1.IPList{}, func(ips []*v1.IP) bool { return len(ips) == 0 },
			client.MatchingFields{"metadata.name": portName(p)})
		must(t, err)
		if ids := do[[]string](t)(cluster.Attachments(ctx, here)); slices.Contains(ids, portName(p)) {
			t.Errorf("the node's switch still has %s", portName(p))
		}
	})
}

// addresses are a pod's addresses as annotations have them.
func addresses(p *corev1.Pod) string {
	var all []string
	for _, ip := range p.Status.PodIPs {
		all = append(all, ip.IP)
	}
	slices.SortStableFunc(all, func(a, b string) int { return strings.Count(a, ":") - strings.Count(b, ":") })
	return strings.Join(all, ",")
}

// A pod that has ended keeps its object and gives back its address.
func TestEndedPodFreesItsAddress(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	p := framework.Server("job", framework.On(here))
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	p.Spec.Containers[0].Command = []string{"sh", "-c", "ip -4 addr show eth0"}
	ns.Add(p)
	ended := func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded }
	_, err := framework.AwaitOne(within(t, time.Minute, "the job"), cluster, &corev1.PodList{}, client.ObjectKeyFromObject(p), ended)
	must(t, err)
	must(t, db.Await(within(t, 30*time.Second, "removing the switch port"), func() bool { return db.Port(portName(p)) == nil }))
}
