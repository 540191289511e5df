package framework

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Recovered waits until what was struck is up again.
type Recovered func(context.Context) error

// KillProcess ends the process of a component's container on a node (anywhere, when node is empty).
func (c *Cluster) KillProcess(ctx context.Context, comp Component, node, container string) (Recovered, error) {
	pod, err := c.PodOf(ctx, comp, node)
	if err != nil {
		return nil, err
	}
	return c.KillContainer(ctx, pod, container)
}

// KillContainer ends the process of a pod's container.
func (c *Cluster) KillContainer(ctx context.Context, pod *corev1.Pod, container string) (Recovered, error) {
	if err := c.Kill(ctx, pod, container); err != nil {
		return nil, err
	}
	return c.restarted(pod, container), nil
}

// Strike ends a component's container on a node by a command in it.
func (c *Cluster) Strike(ctx context.Context, comp Component, node, container string, command ...string) (Recovered, error) {
	pod, err := c.PodOf(ctx, comp, node)
	if err != nil {
		return nil, err
	}
	if _, err := c.ExecIn(ctx, pod, container, command...); err != nil {
		return nil, err
	}
	return c.restarted(pod, container), nil
}

// restarted waits until a container has restarted since its pod was read.
func (c *Cluster) restarted(pod *corev1.Pod, container string) Recovered {
	before := restarts(pod, container)
	return func(ctx context.Context) error {
		_, err := AwaitOne(ctx, c, &corev1.PodList{}, client.ObjectKeyFromObject(pod), func(p *corev1.Pod) bool {
			return Ready(p) && (p.UID != pod.UID || restarts(p, container) > before)
		})
		if err != nil {
			return fmt.Errorf("awaiting the restart of %s: %w", container, err)
		}
		return nil
	}
}

func restarts(pod *corev1.Pod, container string) int32 {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s.RestartCount
		}
	}
	return 0
}

// DeletePod deletes a component's pod on a node (anywhere, when node is empty).
func (c *Cluster) DeletePod(ctx context.Context, comp Component, node string) (Recovered, error) {
	pod, err := c.PodOf(ctx, comp, node)
	if err != nil {
		return nil, err
	}
	return c.Replace(ctx, comp, pod)
}

// Replace deletes one of a component's pods.
func (c *Cluster) Replace(ctx context.Context, comp Component, pod *corev1.Pod) (Recovered, error) {
	pods, err := c.Pods(ctx, System, "app", string(comp))
	if err != nil {
		return nil, err
	}
	if err := c.Delete(ctx, pod); err != nil {
		return nil, fmt.Errorf("deleting pod %s: %w", pod.Name, err)
	}
	return func(ctx context.Context) error {
		_, err := Await(ctx, c, &corev1.PodList{}, func(now []*corev1.Pod) bool {
			gone := !slices.ContainsFunc(now, func(p *corev1.Pod) bool { return p.UID == pod.UID })
			return gone && AllReady(len(pods))(now)
		}, client.InNamespace(System), client.MatchingLabels{"app": string(comp)})
		if err != nil {
			return fmt.Errorf("awaiting a new pod of %s: %w", comp, err)
		}
		return nil
	}, nil
}

// Scale sets how many controllers there are, and waits until there are. It returns how many there were.
func (c *Cluster) Scale(ctx context.Context, replicas int32) (before int32, err error) {
	var d appsv1.Deployment
	if err := c.Get(ctx, client.ObjectKey{Namespace: System, Name: string(Controller)}, &d); err != nil {
		return 0, fmt.Errorf("reading the controller's deployment: %w", err)
	}
	before = *d.Spec.Replicas
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if err := c.Patch(ctx, &d, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return before, fmt.Errorf("scaling the controller: %w", err)
	}
	_, err = Await(ctx, c, &corev1.PodList{}, AllReady(int(replicas)), client.InNamespace(System),
		client.MatchingLabels{"app": string(Controller)})
	if err != nil {
		return before, fmt.Errorf("awaiting %d controllers: %w", replicas, err)
	}
	return before, nil
}

// crashed are what programs exit with that end by themselves: by a signal of their own doing, or by a panic of Go.
var crashed = []int32{
	2, 128 + int32(unix.SIGILL), 128 + int32(unix.SIGABRT), 128 + int32(unix.SIGBUS), 128 + int32(unix.SIGFPE), 128 + int32(unix.SIGSEGV),
}

// Crashes are the containers of the system whose program ended by a crash the last time it ended. Tests kill by other signals.
func (c *Cluster) Crashes(ctx context.Context) ([]string, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(System)); err != nil {
		return nil, fmt.Errorf("listing the pods of the system: %w", err)
	}
	var out []string
	for i := range pods.Items {
		for _, s := range pods.Items[i].Status.ContainerStatuses {
			if end := s.LastTerminationState.Terminated; end != nil && slices.Contains(crashed, end.ExitCode) {
				out = append(out, fmt.Sprintf("%s of %s (exit code %d, at %s)", s.Name, pods.Items[i].Name, end.ExitCode, end.FinishedAt.UTC()))
			}
		}
	}
	return out, nil
}
