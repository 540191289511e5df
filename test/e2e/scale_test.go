//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// A growth step is so many nodes or Subnets. One flow for each node on each Subnet would be 25 of them in a step.
const step = 5

// What a node and a Subnet may cost a chassis, in flows, with room for another few tables of OVN.
const (
	mostFlowsOfNode   = 20
	mostFlowsOfSubnet = 500
)

// census is what a cluster of some size costs.
type census map[string]int

// TestNothingGrowsWithNodesTimesSubnets holds that nodes cost the same beside few Subnets as beside twice as many: flows of a
// chassis, logical flows and northbound rows. The nodes are objects only; docs/adr/0012 tells what happened without this test.
func TestNothingGrowsWithNodesTimesSubnets(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	nodes, subnets := 0, 0
	grow := func(moreNodes, moreSubnets int) census {
		t.Helper()
		for range moreNodes {
			n := framework.FakeNode(nodes)
			ns.Add(n)
			_, err := framework.AwaitOne(within(t, time.Minute, "the address of "+n.Name), cluster, &corev1.NodeList{},
				client.ObjectKeyFromObject(n), func(n *corev1.Node) bool { return n.Annotations[v1.AnnotationAllocated] == "true" })
			must(t, err)
			nodes++
		}
		for range moreSubnets {
			s := &v1.Subnet{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", ns.Name, subnets)},
				Spec:       v1.SubnetSpec{CIDRBlock: fmt.Sprintf("10.219.%d.0/24", subnets)},
			}
			ns.Add(s)
			awaitCondition(t, s, ready)
			subnets++
		}
		return count(t, db)
	}
	small, moreNodes := grow(step, step), grow(step, 0)
	moreSubnets, both := grow(0, step), grow(step, 0)
	for what := range small {
		beside, besideMore := moreNodes[what]-small[what], both[what]-moreSubnets[what]
		t.Logf("%s: %d nodes cost %d beside %d Subnets and %d beside %d; %d Subnets cost %d",
			what, step, beside, step, besideMore, 2*step, step, moreSubnets[what]-moreNodes[what])
		// What the tests before have left may go meanwhile: it is less than that.
		if grown := besideMore - beside; grown >= step*step/2 {
			t.Errorf("%s grow with nodes times Subnets: %d nodes cost %d beside %d Subnets, and %d beside %d",
				what, step, beside, step, besideMore, 2*step)
		}
	}
	if cost := (both[flowsOfChassis] - moreSubnets[flowsOfChassis]) / step; cost > mostFlowsOfNode {
		t.Errorf("a node costs a chassis %d flows, and %d are the most", cost, mostFlowsOfNode)
	}
	if cost := (moreSubnets[flowsOfChassis] - moreNodes[flowsOfChassis]) / step; cost > mostFlowsOfSubnet {
		t.Errorf("a Subnet costs a chassis %d flows, and %d are the most", cost, mostFlowsOfSubnet)
	}
}

const flowsOfChassis = "OpenFlow flows"

// count counts when every chassis has installed what there is.
func count(t *testing.T, db *framework.Northbound) census {
	t.Helper()
	must(t, cluster.Synced(within(t, time.Minute, "the sync")))
	c := census{"rows of Logical_Flow": do[int](t)(cluster.LogicalFlows(t.Context()))}
	for _, n := range do[map[int]int](t)(cluster.Flows(t.Context(), here)) {
		c[flowsOfChassis] += n
	}
	for _, n := range db.Count() {
		c["northbound rows"] += n
	}
	return c
}
