package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// step is a change and what becomes of calls by it.
type step struct {
	what     string
	calls    *answers
	answered bool
	do       func(context.Context) error
}

func (b *bench) steps(ctx context.Context, all ...step) error {
	for _, s := range all {
		if _, err := s.calls.await(ctx, !s.answered); err != nil {
			return fmt.Errorf("before %s: %w", s.what, err)
		}
		began := time.Now()
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		at, err := s.calls.await(ctx, s.answered)
		if err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		b.note(s.what, at.Sub(began))
	}
	return nil
}

// round takes the endpoint out of the Service and puts it back. Then it creates a policy that denies, edits it to let in,
// which a new pod makes use of, and to deny again, has a label take the server out of it and in again, and deletes it.
func (b *bench) round(ctx context.Context, n int) error {
	pods := func(app string) map[string]string { return map[string]string{"app": app, roundLabel(n): app} }
	p := b.policy("measured", pods("server"), letIn(pods("nobody")))
	create := func(ctx context.Context) error { return b.Create(ctx, p) }
	edit := func(app string) func(context.Context) error {
		return func(ctx context.Context) error {
			before := p.DeepCopy()
			p.Spec.Ingress[0] = letIn(pods(app))
			return b.Patch(ctx, p, client.MergeFrom(before))
		}
	}
	err := b.steps(ctx,
		step{"endpoint goes", b.byName, false, b.endpoint(false)},
		step{"endpoint comes", b.byName, true, b.endpoint(true)},
		step{"policy, to deny", b.byAddress, false, create},
		step{"edit, to let in", b.byAddress, true, edit("client")})
	if err != nil {
		return err
	}
	if err := b.newcomer(ctx, n, pods("client")); err != nil {
		return fmt.Errorf("a pod that starts: %w", err)
	}
	return b.steps(ctx,
		step{"edit, to deny", b.byAddress, false, edit("nobody")},
		step{"label, to leave", b.byAddress, true, b.relabel("free")},
		step{"label, to join", b.byAddress, false, b.relabel("server")},
		step{"policy goes", b.byAddress, true, func(ctx context.Context) error { return b.Delete(ctx, p) }})
}

// roundLabel is the label by which a round's policy selects.
func roundLabel(n int) string { return fmt.Sprint("round-", n) }

func letIn(pods map[string]string) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{
		{PodSelector: &metav1.LabelSelector{MatchLabels: pods}},
	}}
}

func (b *bench) policy(name string, pods map[string]string, rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: pods},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: rules,
	}}
}

func (b *bench) relabel(app string) func(context.Context) error {
	return func(ctx context.Context) error {
		before := b.server.DeepCopy()
		b.server.Labels["app"] = app
		return b.Patch(ctx, b.server, client.MergeFrom(before))
	}
}

// serve makes the Service. Its endpoints are this program's to change, so that figures begin with them.
func (b *bench) serve(ctx context.Context) error {
	b.service = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "server"}, Spec: corev1.ServiceSpec{
		Ports: []corev1.ServicePort{{Name: "echo", Port: framework.EchoPort, Protocol: corev1.ProtocolUDP}},
	}}
	if err := b.Create(ctx, b.service); err != nil {
		return fmt.Errorf("creating the Service: %w", err)
	}
	family := discoveryv1.AddressTypeIPv4
	if net.ParseIP(b.server.Status.PodIP).To4() == nil {
		family = discoveryv1.AddressTypeIPv6
	}
	b.endpoints = &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.namespace, Name: "server", Labels: map[string]string{discoveryv1.LabelServiceName: "server"},
		},
		AddressType: family,
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("echo"), Port: ptr.To[int32](framework.EchoPort), Protocol: ptr.To(corev1.ProtocolUDP)},
		},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{b.server.Status.PodIP}, NodeName: &b.server.Spec.NodeName}},
	}
	if err := b.Create(ctx, b.endpoints); err != nil {
		return fmt.Errorf("creating the endpoints: %w", err)
	}
	return nil
}

func (b *bench) endpoint(there bool) func(context.Context) error {
	return func(ctx context.Context) error {
		before := b.endpoints.DeepCopy()
		b.endpoints.Endpoints = []discoveryv1.Endpoint{}
		if there {
			b.endpoints.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{b.server.Status.PodIP}, NodeName: &b.server.Spec.NodeName}}
		}
		return b.Patch(ctx, b.endpoints, client.MergeFrom(before))
	}
}

// newcomer starts a pod that the policy lets in, and notes how long after its first instruction it is: its own policies
// are in force by then, and this is when the other nodes know of it.
func (b *bench) newcomer(ctx context.Context, n int, labels map[string]string) error {
	p := framework.Server(fmt.Sprint("newcomer-", n), framework.On(b.client.Spec.NodeName))
	p.Namespace, p.Labels, p.Spec.RestartPolicy = b.namespace, labels, corev1.RestartPolicyNever
	knock := fmt.Sprintf("echo begins; until /agnhost connect %s --timeout=20ms; do :; done; echo is let in",
		net.JoinHostPort(b.server.Status.PodIP, strconv.Itoa(framework.EchoPort)))
	p.Spec.Containers[0].Command, p.Spec.Containers[0].Args = []string{"sh", "-c", knock}, nil
	if err := b.Create(ctx, p); err != nil {
		return fmt.Errorf("creating it: %w", err)
	}
	done := func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded }
	if _, err := framework.AwaitOne(ctx, b, &corev1.PodList{}, client.ObjectKeyFromObject(p), done); err != nil {
		return fmt.Errorf("awaiting its end: %w", err)
	}
	lines, err := b.LogTimes(ctx, p)
	if err != nil {
		return err
	}
	b.note("pod starts, is let in", lines[len(lines)-1].Sub(lines[0]))
	if err := b.Delete(ctx, p); err != nil {
		return fmt.Errorf("deleting it: %w", err)
	}
	// What its end takes is not to be a part of the next figure.
	gone := func(all []*corev1.Pod) bool {
		return !slices.ContainsFunc(all, func(other *corev1.Pod) bool { return other.Name == p.Name })
	}
	if _, err := framework.Await(ctx, b, &corev1.PodList{}, gone, client.InNamespace(b.namespace)); err != nil {
		return fmt.Errorf("awaiting that it is gone: %w", err)
	}
	return nil
}
