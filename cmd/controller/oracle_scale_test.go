//go:build oracle

package main

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// cost is what a cluster of some size costs.
type cost struct {
	// flows are OpenFlow flows of the chassis, and tables the same by table.
	flows  int
	tables map[int]int
	// logical are rows of Logical_Flow. One that several datapaths share counts once.
	logical int
	// rows are those of the northbound database.
	rows int
}

// TestOracleNothingGrowsWithNodesTimesSubnets holds that nodes cost the same beside few Subnets as beside twice as many: a
// chassis, northd, and the northbound database. See docs/adr/0012.
func TestOracleNothingGrowsWithNodesTimesSubnets(t *testing.T) {
	const few, many = 4, 8
	o := newOracleOf(t, dualStack())
	chassis := ovstest.StartChassis(t, o.northd, "n1", "node-n1")
	nodes, subnets := 0, 0
	grow := func(toNodes, toSubnets int) cost {
		for ; subnets < toSubnets; subnets++ {
			o.create(newSubnet(fmt.Sprintf("s%d", subnets), fmt.Sprintf("10.200.%d.0/24,fd00:200:%d::/64", subnets, subnets)))
		}
		for ; nodes < toNodes; nodes++ {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("more-%d", nodes)}}
			for _, a := range []string{fmt.Sprintf("198.18.0.%d", nodes+1), fmt.Sprintf("2001:db8:1::%d", nodes+1)} {
				n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
			}
			o.create(n)
		}
		o.grown(nodes, subnets)
		return o.cost(chassis)
	}
	small, more := grow(few, few), grow(2*few, few)
	wide, big := grow(2*few, many), grow(3*few, many)
	for what, of := range map[string]func(cost) int{
		"OpenFlow flows":       func(c cost) int { return c.flows },
		"rows of Logical_Flow": func(c cost) int { return c.logical },
		"northbound rows":      func(c cost) int { return c.rows },
	} {
		beside, besideMore := of(more)-of(small), of(big)-of(wide)
		t.Logf("%s: %d nodes cost %d beside %d Subnets and %d beside %d; a Subnet costs %d",
			what, few, beside, few, besideMore, many, (of(wide)-of(more))/(many-few))
		if beside != besideMore {
			t.Errorf("%s grow with nodes times Subnets: %d nodes cost %d beside %d Subnets, and %d beside %d",
				what, few, beside, few, besideMore, many)
		}
	}
	for table, n := range big.tables {
		if d := n - wide.tables[table] - more.tables[table] + small.tables[table]; d != 0 {
			t.Errorf("table %d has %d of these flows", table, d)
		}
	}
}

// grown waits until all nodes and Subnets have their rows, and the chassis its flows.
func (o *oracle) grown(nodes, subnets int) {
	o.t.Helper()
	for i := range nodes {
		name := fmt.Sprintf("more-%d", i)
		reconciletest.Eventually(o.t, "the address of node "+name, func() string {
			var n corev1.Node
			if err := o.Get(o.t.Context(), types.NamespacedName{Name: name}, &n); err != nil {
				return err.Error()
			}
			if n.Annotations[v1.AnnotationAllocated] != "true" {
				return "it has none"
			}
			return ""
		})
	}
	for i := range subnets {
		o.ready(fmt.Sprintf("s%d", i))
	}
	o.nb.Ctl("--timeout=60", "--wait=hv", "sync")
}

func (o *oracle) cost(chassis *ovstest.Chassis) cost {
	o.t.Helper()
	c := cost{tables: chassis.Flows()}
	for _, n := range c.tables {
		c.flows += n
	}
	c.logical = strings.Count(ovstest.Run(o.t, "ovn-sbctl", "--db="+o.northd.SB.Endpoint(), "--no-leader-only",
		"--format=csv", "--no-headings", "--columns=priority", "list", "Logical_Flow"), "\n")
	for _, table := range []string{
		"Logical_Switch", "Logical_Switch_Port", "Logical_Router_Port", "Logical_Router_Policy", "Logical_Router_Static_Route",
		"ACL", "QoS", "Port_Group", "Address_Set", "Chassis_Template_Var", "Load_Balancer",
	} {
		c.rows += strings.Count(o.nb.Ctl("--format=csv", "--no-headings", "--columns=_uuid", "list", table), "\n")
	}
	return c
}
