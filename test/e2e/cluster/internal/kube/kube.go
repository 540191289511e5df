// Package kube talks to the cluster's API: it waits until things are so, applies manifests with kubectl as users do,
// and runs commands in pods.
package kube

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
)

// Client is the administrator's access to the cluster.
type Client struct {
	kubernetes.Interface
	config *rest.Config
	dir    sandbox.Dir
}

// New reads the kubeconfig of the sandbox.
func New(dir sandbox.Dir) (*Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", dir.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("no cluster here (make up starts one): %w", err)
	}
	config.QPS, config.Burst = 100, 200
	config.Timeout = 30 * time.Second
	cs, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &Client{Interface: cs, config: config, dir: dir}, nil
}

// Until asks a question until the answer is nil, and reports the last answer if time runs out. Programs that are
// starting up offer nothing better to wait on.
func Until(ctx context.Context, limit time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-ticker.C:
		}
	}
}

// APIReady says whether the API server is up.
func (c *Client) APIReady(ctx context.Context) error {
	_, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// Registered says whether that many nodes have registered.
func (c *Client) Registered(count int) func(context.Context) error {
	return func(ctx context.Context) error {
		nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err == nil && len(nodes.Items) < count {
			err = fmt.Errorf("%d of %d nodes have registered", len(nodes.Items), count)
		}
		return err
	}
}

// NodesReady says whether all nodes are Ready.
func (c *Client) NodesReady(ctx context.Context) error {
	nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		for _, cond := range n.Status.Conditions {
			if cond.Type == corev1.NodeReady && cond.Status != corev1.ConditionTrue {
				return fmt.Errorf("node %s is not ready: %s", n.Name, cond.Message)
			}
		}
	}
	return nil
}

// Restarts are how often each container of the network plugin has restarted, by "pod/container".
func (c *Client) Restarts(ctx context.Context) (map[string]int32, error) {
	pods, err := c.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "k8s-app!=kube-dns"})
	if err != nil {
		return nil, fmt.Errorf("listing the plugin's pods: %w", err)
	}
	out := map[string]int32{}
	for _, p := range pods.Items {
		for _, s := range p.Status.ContainerStatuses {
			out[p.Name+"/"+s.Name] = s.RestartCount
		}
	}
	return out, nil
}

// Apply runs kubectl apply with the given arguments ("-f", "x.yaml") and input.
func (c *Client) Apply(ctx context.Context, input string, args ...string) error {
	_, err := c.Kubectl(ctx, input, append([]string{"apply"}, args...)...)
	return err
}

// Kubectl runs kubectl and returns what it printed.
func (c *Client) Kubectl(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.dir.Bin(), "kubectl"), append([]string{"--kubeconfig", c.dir.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// DeploymentReady says whether all replicas of a Deployment's latest version are available.
func (c *Client) DeploymentReady(namespace, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		d, err := c.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return deploymentReady(d)
	}
}

func deploymentReady(d *appsv1.Deployment) error {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas < want || s.AvailableReplicas < want || s.Replicas > want {
		return fmt.Errorf("deployment %s: %d of %d replicas are up to date and available", d.Name, min(s.UpdatedReplicas, s.AvailableReplicas), want)
	}
	return nil
}

// Exec runs a command in a pod's first container and returns its standard output.
func (c *Client) Exec(ctx context.Context, pod *corev1.Pod, argv ...string) (string, error) {
	req := c.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: argv, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	ex, err := remotecommand.NewWebSocketExecutor(c.config, "GET", req.URL().String())
	if err != nil {
		return "", fmt.Errorf("preparing exec in %s: %w", pod.Name, err)
	}
	var stdout, stderr bytes.Buffer
	if err := ex.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		return stdout.String(), fmt.Errorf("%s in pod %s: %w: %s", argv[0], pod.Name, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
