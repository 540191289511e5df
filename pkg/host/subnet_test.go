package host

import (
	"net/netip"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

// TestNodeGoesByWhatIsInForce holds that a node which starts while a Subnet's spec is nonsense keeps its routes and NAT.
func TestNodeGoesByWhatIsInForce(t *testing.T) {
	web := &kubeovnv1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "web", Generation: 2}, Spec: kubeovnv1.SubnetSpec{Vlan: "v1"}}
	web.Status.Conditions = []kubeovnv1.Condition{{Type: kubeovnv1.ConditionValidated, Status: metav1.ConditionFalse, ObservedGeneration: 2}}
	web.Status.InForce = &kubeovnv1.SubnetInForce{Vpc: "ovn-cluster", CIDRBlock: "10.30.0.0/24", Gateway: "10.30.0.1", NatOutgoing: true, Mtu: 1300}
	s, _ := spec.InForce(web, "ovn-cluster")
	want := Subnet{Name: "web", MTU: 1300, Routed: true, NAT: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.30.0.0/24")}}
	if got := NewSubnet(s, "ovn-cluster", "join"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
