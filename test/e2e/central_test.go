//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// With three members, the network goes on being changed whichever of them dies, at any time.
func TestCentralMembersDie(t *testing.T) {
	if members := do[[]corev1.Pod](t)(cluster.Members(t.Context())); len(members) == 1 {
		t.Skip("ovn-central has one member")
	}
	for _, c := range []struct {
		name   string
		strike func(context.Context, *corev1.Pod) (framework.Recovered, error)
	}{
		{"the leading server is killed", func(ctx context.Context, p *corev1.Pod) (framework.Recovered, error) {
			return cluster.KillContainer(ctx, p, "nb-ovsdb")
		}},
		{"the leading server's pod is deleted", func(ctx context.Context, p *corev1.Pod) (framework.Recovered, error) {
			return cluster.Replace(ctx, framework.Central, p)
		}},
		{"all servers are killed", func(ctx context.Context, _ *corev1.Pod) (framework.Recovered, error) { return killAll(ctx) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := cluster.Namespace(t, nil)
			baseline := vethsBeside(t)
			d := deployment("wave", waveSize)
			ns.Add(d)
			awaitWave(t, ns, d, waveSize/4)
			leader := do[*corev1.Pod](t)(cluster.DatabaseLeader(t.Context(), framework.NB))
			recovered := do[framework.Recovered](t)(c.strike(within(t, time.Minute, "the blow"), leader))
			awaitWave(t, ns, d, waveSize)
			must(t, recovered(within(t, 2*time.Minute, "the recovery")))
			checkCounts(t, baseline)
			must(t, cluster.Delete(t.Context(), d, client.PropagationPolicy(metav1.DeletePropagationBackground)))
			none := func(pods []*corev1.Pod) bool { return len(pods) == 0 }
			_, err := framework.Await(within(t, waveTime, "the end of the wave"), cluster, &corev1.PodList{}, none, client.InNamespace(ns.Name))
			must(t, err)
			checkCounts(t, baseline)
			checkMembers(t)
		})
	}
}

// A leader hands over whenever it compacts its database, and whenever it ends in order. If both databases do so every second
// for a minute, pods start and stop as ever: each ADD is answered, and every client of the databases follows.
func TestCentralLeadershipTransfers(t *testing.T) {
	if members := do[[]corev1.Pod](t)(cluster.Members(t.Context())); len(members) == 1 {
		t.Skip("ovn-central has one member, and leadership cannot be transferred: make up CENTRAL=3")
	}
	ns := cluster.Namespace(t, nil)
	baseline := vethsBeside(t)
	databases := []framework.Database{framework.NB, framework.SB}
	before := map[framework.Database]int{}
	for _, d := range databases {
		before[d] = do[int](t)(cluster.Term(t.Context(), d))
	}
	minute, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var transfers sync.WaitGroup
	for _, d := range databases {
		transfers.Go(func() { handOverAgainAndAgain(minute, d) })
	}
	const few = 15
	pods := 0
	for wave := 0; minute.Err() == nil; wave++ {
		d := deployment(fmt.Sprintf("wave-%d", wave), few)
		ns.Add(d)
		awaitWave(t, ns, d, few)
		must(t, cluster.Delete(t.Context(), d, client.PropagationPolicy(metav1.DeletePropagationBackground)))
		pods += few
	}
	transfers.Wait()
	for _, d := range databases {
		const most, fair = 60, 3 // a tick finds no leader while an election goes on
		if n := do[int](t)(cluster.Term(t.Context(), d)) - before[d]; n < most/fair {
			t.Errorf("%v has had %d elections in a minute, too few to tell anything", d, n)
		} else {
			t.Logf("%v has had %d elections, while %d pods started", d, n, pods)
		}
	}
	none := func(pods []*corev1.Pod) bool { return len(pods) == 0 }
	_, err := framework.Await(within(t, waveTime, "the end of the waves"), cluster, &corev1.PodList{}, none, client.InNamespace(ns.Name))
	must(t, err)
	checkCounts(t, baseline)
	checkMembers(t)
	checkAdded(t, ns)
}

// handOverAgainAndAgain has the leader of a database hand over every second. A try that meets an election is no loss.
func handOverAgainAndAgain(ctx context.Context, d framework.Database) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = cluster.HandOver(ctx, d)
		}
	}
}

// checkAdded holds that no pod of the namespace was refused by the network: the kubelet tells of each failed ADD.
func checkAdded(t *testing.T, ns *framework.Namespace) {
	t.Helper()
	var events corev1.EventList
	must(t, cluster.List(t.Context(), &events, client.InNamespace(ns.Name)))
	for _, e := range events.Items {
		if e.Reason == "FailedCreatePodSandBox" {
			t.Errorf("%s: %s", e.InvolvedObject.Name, e.Message)
		}
	}
}

// killAll ends the northbound servers of all members, as a loss of power does.
func killAll(ctx context.Context) (framework.Recovered, error) {
	members, err := cluster.Members(ctx)
	if err != nil {
		return nil, err
	}
	var all []framework.Recovered
	for i := range members {
		recovered, err := cluster.KillContainer(ctx, &members[i], "nb-ovsdb")
		if err != nil {
			return nil, err
		}
		all = append(all, recovered)
	}
	return func(ctx context.Context) error {
		for _, recovered := range all {
			if err := recovered(ctx); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// checkMembers compares the servers that each member counts to its cluster with the pods there are.
func checkMembers(t *testing.T) {
	t.Helper()
	members := do[[]corev1.Pod](t)(cluster.Members(t.Context()))
	var want []string
	for _, m := range members {
		want = append(want, m.Status.PodIP)
	}
	slices.Sort(want)
	for i := range members {
		if got := do[[]string](t)(cluster.RaftServers(t.Context(), &members[i])); !slices.Equal(got, want) {
			t.Errorf("%s counts the servers %v, and the pods are at %v", members[i].Name, got, want)
		}
	}
}
