package framework

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func namedPod(name string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

func TestAwaitSeesWhatIsThereAndWhatComes(t *testing.T) {
	c := fake.NewClientBuilder().WithObjects(namedPod("a", corev1.ConditionTrue)).Build()
	if _, err := Await(t.Context(), c, &corev1.PodList{}, AllReady(1)); err != nil {
		t.Fatal(err)
	}
	looks := 0
	done := make(chan error, 1)
	looked := make(chan struct{}, 10)
	go func() {
		_, err := Await(t.Context(), c, &corev1.PodList{}, func(pods []*corev1.Pod) bool {
			looks++
			looked <- struct{}{}
			return AllReady(2)(pods)
		})
		done <- err
	}()
	<-looked // at the list
	if err := c.Create(t.Context(), namedPod("b", corev1.ConditionTrue)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("not seen in %d looks", looks)
	}
}

func TestAwaitTellsHowFarItGot(t *testing.T) {
	c := fake.NewClientBuilder().WithObjects(namedPod("slow", corev1.ConditionFalse)).Build()
	late := errors.New("the pod took too long")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, late)
	defer cancel()
	_, err := Await(ctx, c, &corev1.PodList{}, AllReady(1))
	if !errors.Is(err, late) || !strings.Contains(err.Error(), "slow") {
		t.Errorf("got %v", err)
	}
}

func TestIfaceIDs(t *testing.T) {
	got, err := ifaceIDs(`{"data":[[["map",[]]],[["map",[["iface-id","web.shop"],["ovn-installed","true"]]]],
		[["map",[["iface-id","node-node1"]]]]],"headings":["external_ids"]}`)
	if err != nil || !slices.Equal(got, []string{"web.shop"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ifaceIDs("ovs-vsctl: no"); err == nil {
		t.Error("read what is not JSON")
	}
}

func TestRecomputes(t *testing.T) {
	const stats = "Node: northd\n- recompute:            2\n- compute:              5\n- cancel:               0\n" +
		"Node: lflow\n- recompute:            1\n- compute:              9\n- cancel:               0\n"
	found := recomputed.FindAllStringSubmatch(stats, -1)
	if len(found) != 2 || found[0][1] != "northd" || found[0][2] != "2" || found[1][2] != "1" {
		t.Errorf("got %q", found)
	}
}

func TestFakeNodesHaveAddressesOfTheirOwn(t *testing.T) {
	seen := map[string]int{}
	for _, n := range []int{0, 1, 254, 255, 256, 70_000} {
		address := FakeNode(n).Status.Addresses[0].Address
		if other, taken := seen[address]; taken || !netip.MustParseAddr(address).IsPrivate() {
			t.Errorf("node %d has the address %s, and so has %d", n, address, other)
		}
		seen[address] = n
	}
}
