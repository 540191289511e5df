package framework

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Images of the pods that tests start.
const (
	Agnhost = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
	Pause   = "registry.k8s.io/pause:3.10.2"
)

// Ports that a Server listens on.
const (
	HTTPPort = 8080
	UDPPort  = 8081
)

// PodOption changes a pod before it is created.
type PodOption func(*corev1.Pod)

// Server is a pod that answers HTTP with its name (/hostname) and its caller's address (/clientip), and UDP likewise.
// It is just as good a client.
func Server(name string, opts ...PodOption) *corev1.Pod {
	return pod(name, corev1.Container{
		Name: "agnhost", Image: Agnhost, Args: []string{"netexec", "--http-port=8080", "--udp-port=8081"},
		Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: HTTPPort},
			{Name: "udp", ContainerPort: UDPPort, Protocol: corev1.ProtocolUDP},
		},
	}, opts)
}

// The ports that a server's command line names.
var (
	httpFlag = regexp.MustCompile(`--http-port=(\d+)`)
	udpFlag  = regexp.MustCompile(`--udp-port=(\d+)`)
)

// awaitListening waits until a Server takes calls. It is asked inside, where no network is in the way.
func (c *Cluster) awaitListening(ctx context.Context, p *corev1.Pod) error {
	script := listening(&p.Spec.Containers[0])
	if script == "" {
		return nil
	}
	return Until(ctx, func(ctx context.Context) error {
		_, err := c.Exec(ctx, p, "sh", "-c", script)
		return err
	})
}

// listening is a script that succeeds if a container's server listens; empty if it has none.
func listening(c *corev1.Container) string {
	command := strings.Join(slices.Concat(c.Command, c.Args), " ")
	http := httpFlag.FindStringSubmatch(command)
	if http == nil {
		return ""
	}
	script := "curl -sS -o /dev/null http://localhost:" + http[1] + "/hostname"
	if udp := udpFlag.FindStringSubmatch(command); udp != nil {
		port, err := strconv.ParseUint(udp[1], 10, 16)
		if err == nil {
			script += fmt.Sprintf(" && cat /proc/net/udp /proc/net/udp6 2>/dev/null | grep -q ':%04X '", port)
		}
	}
	return script
}

// Idle is a pod that does nothing, for the price of nothing.
func Idle(name string, opts ...PodOption) *corev1.Pod {
	return pod(name, corev1.Container{Name: "pause", Image: Pause}, opts)
}

func pod(name string, container corev1.Container, opts []PodOption) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{container},
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			// A stray node condition must not keep a test waiting.
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}
	for _, opt := range opts {
		opt(p)
	}
	return p
}

// On places a pod on a node, past the scheduler.
func On(node string) PodOption {
	return func(p *corev1.Pod) { p.Spec.NodeName = node }
}

// OnHostNetwork gives a pod its node's network instead of its own.
func OnHostNetwork() PodOption {
	return func(p *corev1.Pod) {
		p.Spec.HostNetwork = true
		p.Spec.DNSPolicy = corev1.DNSClusterFirstWithHostNet
	}
}

// Labelled adds a label.
func Labelled(key, value string) PodOption {
	return func(p *corev1.Pod) { p.Labels[key] = value }
}

// Annotated adds annotations.
func Annotated(annotations map[string]string) PodOption {
	return func(p *corev1.Pod) {
		if p.Annotations == nil {
			p.Annotations = map[string]string{}
		}
		maps.Copy(p.Annotations, annotations)
	}
}

// HostPort publishes the server's HTTP on a port of its node.
func HostPort(port int32) PodOption {
	return func(p *corev1.Pod) {
		ports := p.Spec.Containers[0].Ports
		i := slices.IndexFunc(ports, func(cp corev1.ContainerPort) bool { return cp.Name == "http" })
		ports[i].HostPort = port
	}
}

// Listening moves the server's HTTP and UDP to other ports: on a node's network its own may be taken.
func Listening(http, udp string) PodOption {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Args = []string{"netexec", "--http-port=" + http, "--udp-port=" + udp}
		p.Spec.Containers[0].Ports = nil
	}
}
