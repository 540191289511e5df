package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// allReady waits until that many Subnets are.
func (w *world) allReady(want int) {
	w.t.Helper()
	reconciletest.Eventually(w.t, fmt.Sprintf("%d Subnets Ready", want), func() string {
		var list v1.SubnetList
		if err := w.List(w.t.Context(), &list); err != nil {
			return err.Error()
		}
		ready := 0
		for i := range list.Items {
			if v1.IsConditionTrue(list.Items[i].Status.Conditions, v1.ConditionReady) {
				ready++
			}
		}
		if ready != want {
			return fmt.Sprintf("%d are", ready)
		}
		return ""
	})
}

// TestManySubnets bounds what a Subnet costs beside many others and many nodes: a write of its spec and one of its
// status. A third comes where the event of the first arrives before the cache has the second.
func TestManySubnets(t *testing.T) {
	const subnets, nodes = 100, 50
	w := loneWorld(t)
	for i := range nodes {
		w.create(newNode(fmt.Sprintf("n%d", i), fmt.Sprintf("192.0.2.%d", i+1)))
	}
	w.leadsTo(fmt.Sprintf("192.0.2.%d", nodes), fmt.Sprintf("n%d", nodes-1))
	before, vpcs, began := w.Writes(&v1.Subnet{}), w.Writes(&v1.Vpc{}), time.Now()
	for i := range subnets {
		w.create(newSubnet(fmt.Sprintf("s%d", i), fmt.Sprintf("10.%d.%d.0/24", 30+i/256, i%256)))
	}
	w.allReady(subnets + 2)
	t.Logf("%d Subnets beside %d nodes are Ready after %s; %d writes of Subnets, %d of Vpcs",
		subnets, nodes, time.Since(began), w.Writes(&v1.Subnet{})-before, w.Writes(&v1.Vpc{})-vpcs)
	// The join Subnet's usage is written once a second besides.
	if writes := w.Writes(&v1.Subnet{}) - before; writes > 3*subnets+20 {
		t.Errorf("%d Subnets cost %d writes", subnets, writes)
	}
	if writes := w.Writes(&v1.Vpc{}) - vpcs; writes > subnets/2+20 {
		t.Errorf("%d Subnets cost %d writes of their Vpc", subnets, writes)
	}
}

// TestSubnetsThatComeTogetherAndOverlap are judged side by side: of each pair one is in force, never both.
func TestSubnetsThatComeTogetherAndOverlap(t *testing.T) {
	const pairs = 30
	w := loneWorld(t)
	for i := range pairs {
		// The younger name first: by the object alone the second one would win.
		w.create(newSubnet(fmt.Sprintf("b%d", i), fmt.Sprintf("10.40.%d.0/24", i)), newSubnet(fmt.Sprintf("a%d", i), fmt.Sprintf("10.40.%d.128/25", i)))
	}
	w.allReady(pairs + 2)
	for i := range pairs {
		rows := w.nb.Ctl("--bare", "--columns=name", "find", "Logical_Switch", fmt.Sprintf("name=a%d", i)) +
			w.nb.Ctl("--bare", "--columns=name", "find", "Logical_Switch", fmt.Sprintf("name=b%d", i))
		if n := len(strings.Fields(rows)); n != 1 {
			t.Fatalf("of a%d and b%d, which overlap, OVN has %d: %s", i, i, n, rows)
		}
	}
	var list v1.SubnetList
	if err := w.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if c := v1.FindCondition(list.Items[i].Status.Conditions, v1.ConditionValidated); c != nil && c.Status == "True" {
			w.remove(&list.Items[i])
		}
	}
	w.allReady(pairs) // those that were refused take the place of those that went
}
