package framework

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// EchoPort is where Echo listens.
const EchoPort = 7000

const probePath = "/tmp/probe"

// BuildProbe builds the program that Echo, Stream and SendSized run inside pods.
func (c *Cluster) BuildProbe(ctx context.Context) error {
	program, err := Build(ctx, "github.com/woven-cni/woven/test/e2e/probe")
	if err != nil {
		return err
	}
	c.probe = program
	return nil
}

// Build builds a static program of this module.
func Build(ctx context.Context, pkg string, flags ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "woven-e2e-")
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", pkg, err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "program")
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", path}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, pkg)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s: %w: %s", pkg, err, out)
	}
	return os.ReadFile(path)
}

// Equip puts the probe into pods.
func (n *Namespace) Equip(pods ...*corev1.Pod) {
	n.t.Helper()
	for _, p := range pods {
		if err := n.put(n.t.Context(), p, probePath, n.probe); err != nil {
			n.t.Fatal(err)
		}
	}
}

// Echo makes a pod answer TCP and UDP on EchoPort, until the test ends.
func (n *Namespace) Echo(p *corev1.Pod) {
	n.t.Helper()
	n.Equip(p)
	n.background(p, nil, "listening", []string{probePath, "echo", strconv.Itoa(EchoPort)})
}

// Stream is messages that flow from one pod to another and back.
type Stream struct {
	n    *Namespace
	name string
	in   *io.PipeWriter
	job  *job
}

// StreamReport is what became of a Stream's messages.
type StreamReport struct {
	Sent, Received int
	// Missing are the numbers of the first messages that never came back.
	Missing []int
	// LongestGap is the longest time without an answer.
	LongestGap time.Duration
	// LastAnswer is when the last answer came, by the clock that all nodes of the local cluster share.
	LastAnswer time.Time
	// Broken is why a TCP connection ended before its time; empty if it did not.
	Broken string
}

// Lost is how many messages never came back.
func (r StreamReport) Lost() int { return r.Sent - r.Received }

// String is the report in one line.
func (r StreamReport) String() string {
	text := fmt.Sprintf("%d sent, %d lost, longest gap %s", r.Sent, r.Lost(), r.LongestGap.Round(time.Millisecond))
	if len(r.Missing) > 0 {
		text += fmt.Sprintf(", missing %v", r.Missing)
	}
	if r.Broken != "" {
		text += ", broken: " + r.Broken
	}
	return text
}

// Stream starts to send numbered messages over network ("udp" or "tcp") from one pod to another that Echoes, at a
// steady pace, over one socket.
func (n *Namespace) Stream(network string, from, to *corev1.Pod, every time.Duration) *Stream {
	n.t.Helper()
	return n.stream(from, to, network, "stream", network, echoAt(to), every.String())
}

// Calls is a Stream over UDP that sends each message from a socket of its own: policies see a new connection each time.
func (n *Namespace) Calls(from, to *corev1.Pod, every time.Duration) *Stream {
	n.t.Helper()
	return n.stream(from, to, "calls", "calls", echoAt(to), every.String())
}

func echoAt(to *corev1.Pod) string { return net.JoinHostPort(to.Status.PodIP, strconv.Itoa(EchoPort)) }

func (n *Namespace) stream(from, to *corev1.Pod, kind string, command ...string) *Stream {
	n.t.Helper()
	in, out := io.Pipe()
	job := n.background(from, in, "streaming", append([]string{probePath}, command...))
	return &Stream{n: n, name: kind + " " + from.Name + " → " + to.Name, in: out, job: job}
}

// Stop ends a stream and tells what became of it.
func (s *Stream) Stop() StreamReport {
	s.n.t.Helper()
	s.in.Close()
	select {
	case err := <-s.job.done:
		if err != nil {
			s.n.t.Fatalf("stream %s: %v: %s", s.name, err, s.job.complaint.String())
		}
	case <-time.After(s.n.Patience(time.Minute)):
		s.n.t.Fatalf("stream %s does not end", s.name)
	}
	var r StreamReport
	if err := json.Unmarshal(s.job.out.Bytes(), &r); err != nil {
		s.n.t.Fatalf("reading the report of stream %s: %v: %s", s.name, err, s.job.out.String())
	}
	s.n.t.Logf("stream %s: %s", s.name, r)
	return r
}

// Change is the time from which on calls are answered, or are not.
type Change struct {
	At       time.Time
	Answered bool
}

// WatchAnswers calls EchoPort of an address by UDP at a steady pace, and hands each change of whether it answers to changed,
// until ctx ends. The pod from has the probe; see Install.
func (c *Cluster) WatchAnswers(ctx context.Context, from *corev1.Pod, address string, every time.Duration, changed func(Change)) error {
	in, done := io.Pipe()
	defer done.Close()
	out, lines := io.Pipe()
	go func() {
		decoder := json.NewDecoder(out)
		for {
			var change Change
			if decoder.Decode(&change) != nil {
				return // the end
			}
			changed(change)
		}
	}()
	defer lines.Close()
	return c.exec(ctx, process{
		Pod: from, Container: from.Spec.Containers[0].Name,
		Command: []string{probePath, "watch", net.JoinHostPort(address, strconv.Itoa(EchoPort)), every.String()},
		In:      in, Out: lines, Err: io.Discard,
	})
}

// Install puts the probe into a pod.
func (c *Cluster) Install(ctx context.Context, p *corev1.Pod) error {
	return c.put(ctx, p, probePath, c.probe)
}

// Serve makes a pod with the probe answer TCP and UDP on EchoPort until ctx ends.
func (c *Cluster) Serve(ctx context.Context, p *corev1.Pod) error {
	return c.exec(ctx, process{
		Pod: p, Container: p.Spec.Containers[0].Name, Command: []string{probePath, "echo", strconv.Itoa(EchoPort)}, Out: io.Discard, Err: io.Discard,
	})
}

// SendSized sends one packet of an exact size that nobody may cut up, from a pod to another that Echoes.
func (n *Namespace) SendSized(ctx context.Context, from, to *corev1.Pod, size int) error {
	_, err := n.Exec(ctx, from, probePath, "size", echoAt(to), strconv.Itoa(size))
	return err
}

// job is a process that runs in a pod beside the test.
type job struct {
	out       bytes.Buffer
	complaint announcer
	done      chan error
}

// background starts a process and waits until it says word on its standard error.
func (n *Namespace) background(p *corev1.Pod, in io.Reader, word string, command []string) *job {
	n.t.Helper()
	j := &job{complaint: announcer{word: word, said: make(chan struct{})}, done: make(chan error, 1)}
	go func() {
		j.done <- n.exec(n.t.Context(), process{
			Pod: p, Container: p.Spec.Containers[0].Name, Command: command, In: in, Out: &j.out, Err: &j.complaint,
		})
	}()
	select {
	case <-j.complaint.said:
	case err := <-j.done:
		n.t.Fatalf("%s in %s: %v: %s", strings.Join(command, " "), p.Name, err, j.complaint.String())
	case <-time.After(n.Patience(podTime)):
		n.t.Fatalf("%s in %s did not begin", strings.Join(command, " "), p.Name)
	}
	return j
}

// announcer keeps what is written and tells when a word was among it.
type announcer struct {
	text bytes.Buffer // not embedded: io.Copy would go past Write
	word string
	said chan struct{}
	told bool
}

// String is all that was written.
func (a *announcer) String() string { return a.text.String() }

// Write implements io.Writer.
func (a *announcer) Write(p []byte) (int, error) {
	n, err := a.text.Write(p)
	if !a.told && strings.Contains(a.String(), a.word) {
		a.told = true
		close(a.said)
	}
	return n, err
}
