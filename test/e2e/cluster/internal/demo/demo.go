// Package demo shows that the network works: it spreads a Deployment over all nodes, and prints a matrix of who reaches
// whom, every cell with its latency or its failure.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/kube"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Ports that the demonstration connects to.
const (
	OutsidePort = 8080  // the test host outside, which tells whom it sees
	podPort     = 8080  // the demonstration's pods
	servicePort = 80    // their Service
	nodePort    = 10256 // kube-proxy's health on every node
)

const (
	namespace   = "woven-demo"
	serviceName = "demo." + namespace + ".svc.cluster.local"
	perNode     = 2 // pods, so that there is a pair on one node
)

//go:embed demo.yaml
var manifest string

// Run makes the demonstration and removes it again. It fails if any cell does.
func Run(ctx context.Context, client *kube.Client, nodes []*node.Node, c spec.Cluster) error {
	m := strings.ReplaceAll(manifest, "REPLICAS", strconv.Itoa(perNode*len(nodes)))
	if err := client.Apply(ctx, m, "-f", "-"); err != nil {
		return err
	}
	if err := kube.Until(ctx, c.Patience(3*time.Minute), client.DeploymentReady(namespace, "demo")); err != nil {
		return err
	}
	failures := 0
	for i, p := range c.Prefixes(spec.Pods) {
		s, err := look(ctx, client, nodes, i)
		if err != nil {
			return err
		}
		s.limit = c.Patience(3 * time.Second)
		if err := kube.Until(ctx, c.Patience(settleTime), s.settled); err != nil {
			return err
		}
		matrix := s.measure(ctx)
		fmt.Fprintf(os.Stdout, "\n%s\n", title(p))
		matrix.Print(os.Stdout)
		failures += matrix.Failures()
	}
	if failures > 0 {
		return fmt.Errorf("%d cells of the matrix failed", failures)
	}
	_, err := client.Kubectl(ctx, "", "delete", "namespace", namespace, "--wait=false")
	return err
}

// settleTime is how long kube-proxy may take on every node to learn that the pods are ready.
const settleTime = 15 * time.Second

// settled says whether all nodes reach the Service. Until its endpoints have come to a node, that refuses connections.
func (s *scene) settled(ctx context.Context) error {
	for _, n := range s.nodes {
		err := n.Command(ctx, "curl", "--silent", "--fail", "--max-time", "2", "--output", "/dev/null", url(s.service, servicePort, "hostname")).Run()
		if err != nil {
			return fmt.Errorf("%s does not reach the Service: %w", n.Name, err)
		}
	}
	return nil
}

func title(pods netip.Prefix) string {
	if pods.Addr().Is4() {
		return "Who reaches whom, over IPv4: HTTP requests, slowest of " + strconv.Itoa(tries)
	}
	return "Who reaches whom, over IPv6: HTTP requests, slowest of " + strconv.Itoa(tries)
}

// scene is what the demonstration finds in the cluster, in one IP family.
type scene struct {
	client  *kube.Client
	nodes   []*node.Node
	pods    map[string][]*corev1.Pod // by node
	address map[string]netip.Addr    // of pods and nodes, by name
	service netip.Addr
	outside netip.Addr
	limit   time.Duration // of one request
}

// look finds the pods and the Service. The family is an index into the lists of addresses.
func look(ctx context.Context, client *kube.Client, nodes []*node.Node, family int) (*scene, error) {
	s := &scene{client: client, nodes: nodes, pods: map[string][]*corev1.Pod{}, address: map[string]netip.Addr{}}
	svc, err := client.CoreV1().Services(namespace).Get(ctx, "demo", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("finding the Service: %w", err)
	}
	if s.service, err = pick(svc.Spec.ClusterIPs, family); err != nil {
		return nil, fmt.Errorf("cluster IP of the Service: %w", err)
	}
	for _, n := range nodes {
		s.address[n.Name] = n.Addrs[family]
	}
	outside := spec.Outside.V4
	if s.service.Is6() {
		outside = spec.Outside.V6
	}
	s.outside = spec.Host(outside, spec.OutsideHost)
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=demo"})
	if err != nil {
		return nil, fmt.Errorf("listing the pods: %w", err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning {
			continue
		}
		var ips []string
		for _, ip := range p.Status.PodIPs {
			ips = append(ips, ip.IP)
		}
		if s.address[p.Name], err = pick(ips, family); err != nil {
			return nil, fmt.Errorf("address of pod %s: %w", p.Name, err)
		}
		s.pods[p.Spec.NodeName] = append(s.pods[p.Spec.NodeName], p)
	}
	for _, n := range nodes {
		if len(s.pods[n.Name]) < perNode {
			return nil, fmt.Errorf("node %s has %d pods of the demonstration, want %d", n.Name, len(s.pods[n.Name]), perNode)
		}
	}
	return s, nil
}

func pick(addrs []string, family int) (netip.Addr, error) {
	if family >= len(addrs) {
		return netip.Addr{}, fmt.Errorf("%v lacks a family", addrs)
	}
	return netip.ParseAddr(addrs[family])
}

// target is a column of the matrix as one source sees it.
type target struct {
	column string
	url    string
	check  func(body string) error
}

// columns in the order of the table.
var columns = []string{"pod, same node", "pod, other node", "node, own", "node, other", "Service", "DNS name", "outside (NAT)"}

// measure asks every source for all its cells, sources side by side.
func (s *scene) measure(ctx context.Context) *Matrix {
	m := NewMatrix(columns)
	var g errgroup.Group
	for i, n := range s.nodes {
		pod := s.pods[n.Name][0]
		m.AddRow("pod on " + n.Name)
		g.Go(func() error {
			s.row(m, "pod on "+n.Name, s.fromPod(i), func(argv []string) (string, error) { return s.client.Exec(ctx, pod, argv...) })
			return nil
		})
	}
	for i, n := range s.nodes {
		m.AddRow(n.Name)
		g.Go(func() error {
			s.row(m, n.Name, s.fromNode(i), func(argv []string) (string, error) {
				out, err := n.Command(ctx, argv...).Output()
				return string(out), err
			})
			return nil
		})
	}
	_ = g.Wait() // failures are cells
	return m
}

// fromPod are the targets of the first pod on a node.
func (s *scene) fromPod(i int) []target {
	self := s.address[s.pods[s.nodes[i].Name][0].Name]
	own, other := s.nodes[i].Name, s.nodes[(i+1)%len(s.nodes)].Name
	all := []target{
		// Pods see each other as they are: no NAT in between.
		{columns[0], url(s.address[s.pods[own][1].Name], podPort, "clientip"), seenAs(self)},
		{columns[2], url(s.address[own], nodePort, "livez"), nil},
		{columns[4], url(s.service, servicePort, "hostname"), s.isPod},
		{columns[5], "http://" + serviceName + "/hostname", s.isPod},
		{columns[6], url(s.outside, OutsidePort, "clientip"), s.seenAsNode},
	}
	if own != other {
		all = append(all,
			target{columns[1], url(s.address[s.pods[other][0].Name], podPort, "clientip"), seenAs(self)},
			target{columns[3], url(s.address[other], nodePort, "livez"), nil})
	}
	return all
}

// fromNode are the targets of a node itself.
func (s *scene) fromNode(i int) []target {
	own, other := s.nodes[i].Name, s.nodes[(i+1)%len(s.nodes)].Name
	all := []target{
		{columns[0], url(s.address[s.pods[own][0].Name], podPort, "hostname"), s.isPod},
		{columns[4], url(s.service, servicePort, "hostname"), s.isPod},
	}
	if own != other {
		all = append(all, target{columns[1], url(s.address[s.pods[other][0].Name], podPort, "hostname"), s.isPod})
	}
	return all
}

func url(a netip.Addr, port int, path string) string {
	return "http://" + netip.AddrPortFrom(a, uint16(port)).String() + "/" + path
}

// seenAs checks that the other side saw the given client.
func seenAs(want netip.Addr) func(string) error {
	return func(body string) error {
		got, err := netip.ParseAddrPort(body)
		if err != nil || got.Addr() != want {
			return fmt.Errorf("seen as %s", body)
		}
		return nil
	}
}

// seenAsNode checks that the other side saw a node, as it must when pods leave the cluster.
func (s *scene) seenAsNode(body string) error {
	got, err := netip.ParseAddrPort(body)
	if err == nil {
		for _, n := range s.nodes {
			if got.Addr() == s.address[n.Name] {
				return nil
			}
		}
	}
	return fmt.Errorf("seen as %s", body)
}

// isPod checks that one of the demonstration's pods answered.
func (s *scene) isPod(body string) error {
	for _, pods := range s.pods {
		if slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return p.Name == body }) {
			return nil
		}
	}
	return errors.New("answered by " + body)
}
