package framework

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// SinkPort is where Sink listens.
const SinkPort = 7001

// Without takes all capabilities from a pod but some.
func Without(but ...corev1.Capability) PodOption {
	return func(p *corev1.Pod) {
		no := false
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: but},
		}
	}
}

// Knock tells which of some addresses a pod can open a TCP connection to; cut, by a first segment in fragments.
func (c *Cluster) Knock(ctx context.Context, from *corev1.Pod, cut bool, addresses ...string) ([]string, error) {
	how := "knock"
	if cut {
		how = "knock-cut"
	}
	out, err := c.Exec(ctx, from, append([]string{probePath, how}, addresses...)...)
	return strings.Fields(out), err
}

// Forgery is a tunnel packet with a datagram for a pod in it, as if a node had sent it.
type Forgery struct {
	// To is where a tunnel ends, and Source the address to send from; the kernel's choice when it is empty.
	To, Source string
	// Cut sends it in fragments, from a raw socket.
	Cut bool
	// Network, FromPort and ToPort are OVN's numbers of the switch and its ports, and MAC the pod's.
	Network, FromPort, ToPort int
	MAC                       string
	// Victim is the pod's address and port, and Text what the datagram says.
	Victim, Text string
}

// Forge sends tunnel packets from a pod that has the probe, all that are not refused.
func (c *Cluster) Forge(ctx context.Context, from *corev1.Pod, all ...Forgery) error {
	command := []string{probePath, "geneve"}
	for _, f := range all {
		text, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("describing a tunnel packet: %w", err)
		}
		command = append(command, string(text))
	}
	_, err := c.Exec(ctx, from, command...)
	return err
}

// Tools is the pod of the tests on a node, in the node's network.
func (c *Cluster) Tools(node string) *corev1.Pod { return c.tools[node] }

// Sink is a pod that notes each datagram that comes to SinkPort.
type Sink struct {
	n   *Namespace
	job *job
	in  *io.PipeWriter
}

// Sink makes a pod listen until the test ends or the sink is stopped.
func (n *Namespace) Sink(p *corev1.Pod) *Sink {
	n.t.Helper()
	n.Equip(p)
	in, out := io.Pipe()
	return &Sink{n: n, in: out, job: n.background(p, in, "listening", []string{probePath, "sink", strconv.Itoa(SinkPort)})}
}

// Stop ends the sink and returns what came.
func (s *Sink) Stop() []string {
	s.n.t.Helper()
	s.in.Close()
	select {
	case err := <-s.job.done:
		if err != nil {
			s.n.t.Fatalf("the sink: %v: %s", err, s.job.complaint.String())
		}
	case <-time.After(s.n.Patience(time.Minute)):
		s.n.t.Fatal("the sink does not end")
	}
	return strings.Split(strings.TrimSpace(s.job.out.String()), "\n")
}
