package framework

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// Exec runs a command in a pod's first container and returns what it prints. The error has what it complains of.
func (c *Cluster) Exec(ctx context.Context, pod *corev1.Pod, command ...string) (string, error) {
	return c.ExecIn(ctx, pod, pod.Spec.Containers[0].Name, command...)
}

// ExecIn is Exec in a container of a name.
func (c *Cluster) ExecIn(ctx context.Context, pod *corev1.Pod, container string, command ...string) (string, error) {
	var out, complaint bytes.Buffer
	err := c.exec(ctx, process{Pod: pod, Container: container, Command: command, Out: &out, Err: &complaint})
	if err != nil {
		return out.String(), fmt.Errorf("in %s/%s: %s: %w: %s", pod.Namespace, pod.Name, strings.Join(command, " "), err,
			strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// process is a command in a container. Its end of In is the process's end of standard input.
type process struct {
	Pod       *corev1.Pod
	Container string
	Command   []string
	In        io.Reader
	Out, Err  io.Writer
}

func (c *Cluster) exec(ctx context.Context, p process) error {
	config := rest.CopyConfig(c.Config)
	config.GroupVersion = &corev1.SchemeGroupVersion
	config.APIPath = "/api"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	rc, err := rest.RESTClientFor(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	request := rc.Get().Namespace(p.Pod.Namespace).Resource("pods").Name(p.Pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: p.Container, Command: p.Command, Stdin: p.In != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, request.URL().String())
	if err != nil {
		return fmt.Errorf("making an executor: %w", err)
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: p.In, Stdout: p.Out, Stderr: p.Err})
}

// Logs is all that a pod's first container has printed.
func (c *Cluster) Logs(ctx context.Context, pod *corev1.Pod) (string, error) {
	return c.logs(ctx, pod, &corev1.PodLogOptions{})
}

// LogTimes are the times, by the clock of the pod's node, of the lines that the only container of a pod printed.
func (c *Cluster) LogTimes(ctx context.Context, pod *corev1.Pod) ([]time.Time, error) {
	text, err := c.logs(ctx, pod, &corev1.PodLogOptions{Timestamps: true})
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for line := range strings.Lines(text) {
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return nil, fmt.Errorf("reading the log of %s: %w", pod.Name, err)
		}
		times = append(times, at)
	}
	return times, nil
}

func (c *Cluster) logs(ctx context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (string, error) {
	set, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return "", fmt.Errorf("making a client: %w", err)
	}
	text, err := set.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, opts).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the log of %s: %w", pod.Name, err)
	}
	return string(text), nil
}
