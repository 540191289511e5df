package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// restart is what followed when controllers ended.
type restart struct {
	// FirstPod is how long a pod that was created at that moment took to be told its address.
	FirstPod time.Duration `json:"first_pod_ns"`
	// Writes are changes of northbound rows until then, but for the pod's own.
	Writes int `json:"northbound_writes"`
}

// endLeader deletes the pod of the controller that leads, which is the graceful end of it.
func (l *load) endLeader(ctx context.Context, r *report) error {
	leader, err := l.Leader(ctx)
	if err != nil {
		return err
	}
	var recovered framework.Recovered
	r.LeaderEnds, err = l.firstPod(ctx, "after-end", func() (err error) {
		recovered, err = l.Replace(ctx, framework.Controller, leader)
		return err
	})
	if err != nil {
		return err
	}
	return recovered(ctx)
}

// killControllers kills the processes of all controllers at once.
func (l *load) killControllers(ctx context.Context, r *report) error {
	pods, err := l.Cluster.Pods(ctx, framework.System, "app", string(framework.Controller))
	if err != nil {
		return err
	}
	recovered := make([]framework.Recovered, len(pods))
	r.AllKilled, err = l.firstPod(ctx, "after-kill", func() error {
		return each(len(pods), func(i int) (err error) {
			recovered[i], err = l.KillContainer(ctx, &pods[i], string(framework.Controller))
			return err
		})
	})
	for i := range pods {
		if err == nil {
			err = recovered[i](ctx)
		}
		l.restarted[pods[i].Name+" "+string(framework.Controller)]++
	}
	return err
}

// firstPod ends controllers and creates a pod.
func (l *load) firstPod(ctx context.Context, name string, end func() error) (*restart, error) {
	db, err := l.OpenNorthbound(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := end(); err != nil {
		return nil, err
	}
	began := time.Now()
	p := l.newPod(name, 0)
	isTold := func(obj client.Object) bool { return obj.GetName() == name && addressed(obj) }
	told := l.follow(ctx, &corev1.PodList{}, isTold, client.InNamespace(namespace))
	if err := l.Create(ctx, p); err != nil {
		return nil, fmt.Errorf("creating pod %s: %w", name, err)
	}
	seen, err := told.await(ctx, 1)
	if err != nil {
		return nil, err
	}
	res := &restart{FirstPod: last(seen).Sub(began)}
	res.Writes = len(db.Foreign(0, name))
	return res, nil
}
