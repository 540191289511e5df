package framework

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// toolsName is the namespace and the DaemonSet of the pods that OnNode works in.
const toolsName = "woven-e2e-tools"

// StartTools puts a pod on every node that sees the node's network, processes and, at /host, its files: the tests'
// hands there. The function it returns takes them away.
func (c *Cluster) StartTools(ctx context.Context) (stop func(context.Context) error, err error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: toolsName, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
	}}
	ended := func(left []*corev1.Namespace) bool { return len(left) == 0 || left[0].DeletionTimestamp == nil }
	if _, err := Await(ctx, c, &corev1.NamespaceList{}, ended, client.MatchingFields{"metadata.name": toolsName}); err != nil {
		return nil, fmt.Errorf("awaiting the end of the tools of a run before: %w", err)
	}
	for _, obj := range []client.Object{namespace, tools()} {
		if err := c.Create(ctx, obj); client.IgnoreAlreadyExists(err) != nil {
			return nil, fmt.Errorf("creating %s: %w", toolsName, err)
		}
	}
	stop = func(ctx context.Context) error { return client.IgnoreNotFound(c.Delete(ctx, namespace)) }
	pods, err := Await(ctx, c, &corev1.PodList{}, AllReady(len(c.Nodes)), client.InNamespace(toolsName))
	if err != nil {
		return stop, fmt.Errorf("awaiting the tools: %w", err)
	}
	c.tools = map[string]*corev1.Pod{}
	for _, p := range pods {
		c.tools[p.Spec.NodeName] = p
	}
	return stop, nil
}

func tools() *appsv1.DaemonSet {
	labels := map[string]string{"app": toolsName}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: toolsName, Name: toolsName},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					// Nodes without a machine do not say this of themselves; see FakeNode.
					NodeSelector:                  map[string]string{corev1.LabelOSStable: "linux"},
					HostNetwork:                   true,
					HostPID:                       true,
					TerminationGracePeriodSeconds: ptr.To[int64](1),
					Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers: []corev1.Container{{
						Name: "tools", Image: Agnhost, Args: []string{"pause"},
						SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)},
						VolumeMounts: []corev1.VolumeMount{{
							Name: "host", MountPath: "/host", MountPropagation: ptr.To(corev1.MountPropagationHostToContainer),
						}},
					}},
					Volumes: []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{
						HostPath: &corev1.HostPathVolumeSource{Path: "/"},
					}}},
				},
			},
		},
	}
}

// OnNode runs a shell script with a node's network and processes, as root.
func (c *Cluster) OnNode(ctx context.Context, node, script string) (string, error) {
	pod := c.tools[node]
	if pod == nil {
		return "", fmt.Errorf("no tools on node %s", node)
	}
	return c.Exec(ctx, pod, "sh", "-c", script)
}

// PutOnNode writes a program to a path of a node's file system.
func (c *Cluster) PutOnNode(ctx context.Context, node, path string, program []byte) error {
	pod := c.tools[node]
	if pod == nil {
		return fmt.Errorf("no tools on node %s", node)
	}
	return c.put(ctx, pod, "/host"+path, program)
}

// put writes a program into a container, whole or not at all.
func (c *Cluster) put(ctx context.Context, pod *corev1.Pod, path string, program []byte) error {
	var out, complaint bytes.Buffer
	// head, not cat: the end of standard input is not worth waiting for.
	script := fmt.Sprintf("head -c %d > %[2]s.part && chmod 755 %[2]s.part && mv %[2]s.part %[2]s", len(program), path)
	err := c.exec(ctx, process{
		Pod: pod, Container: pod.Spec.Containers[0].Name, Command: []string{"sh", "-c", script},
		In: bytes.NewReader(program), Out: &out, Err: &complaint,
	})
	if err != nil {
		return fmt.Errorf("putting %s into %s: %w: %s", path, pod.Name, err, complaint.String())
	}
	return nil
}

// Kill ends every process of a container with SIGKILL, as the kernel does when memory runs out.
func (c *Cluster) Kill(ctx context.Context, pod *corev1.Pod, container string) error {
	i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == container })
	if i < 0 {
		return fmt.Errorf("pod %s has no container %s", pod.Name, container)
	}
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[i].ContainerID, "://")
	script := fmt.Sprintf(`
set -- $(grep -l %s /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3)
[ $# = 0 ] || kill -9 "$@" || true # the first may have taken others with it
echo $#`, id)
	killed, err := c.OnNode(ctx, pod.Spec.NodeName, script)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(killed); err != nil || n == 0 {
		return fmt.Errorf("found no process of container %s of pod %s on %s", container, pod.Name, pod.Spec.NodeName)
	}
	return nil
}

// Veths counts the veth interfaces in a node's own network namespace.
func (c *Cluster) Veths(ctx context.Context, node string) (int, error) {
	out, err := c.OnNode(ctx, node, "ip -o link show type veth | wc -l")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}
