package framework

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// IntegrationBridge is the bridge that all pods of a node are on.
const IntegrationBridge = "br-int"

// Component is one of Woven's workloads, by the label "app" of its pods.
type Component string

// The components of an installation.
const (
	Central    Component = "ovn-central"
	Switch     Component = "ovs"
	Controller Component = "woven-controller"
	Daemon     Component = "woven-daemon"
)

// PodOf is the pod of a component on a node; any of its pods when node is empty.
func (c *Cluster) PodOf(ctx context.Context, comp Component, node string) (*corev1.Pod, error) {
	pods, err := c.Pods(ctx, System, "app", string(comp))
	if err != nil {
		return nil, err
	}
	for i := range pods {
		if (node == "" || pods[i].Spec.NodeName == node) && pods[i].DeletionTimestamp == nil {
			return &pods[i], nil
		}
	}
	return nil, fmt.Errorf("no pod of %s on node %q", comp, node)
}

// Leader is the controller's pod that leads, or is about to when the last leader has just ended.
func (c *Cluster) Leader(ctx context.Context) (*corev1.Pod, error) {
	var leader *corev1.Pod
	var failure error
	key := client.ObjectKey{Namespace: System, Name: string(Controller)}
	_, err := AwaitOne(ctx, c, &coordinationv1.LeaseList{}, key, func(lease *coordinationv1.Lease) bool {
		var pods []corev1.Pod
		if pods, failure = c.Pods(ctx, System, "app", string(Controller)); failure != nil {
			return true
		}
		i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return holds(lease, &p) })
		if i >= 0 {
			leader = &pods[i]
		}
		return i >= 0
	})
	if err = errors.Join(err, failure); err != nil {
		return nil, fmt.Errorf("awaiting the controller that leads: %w", err)
	}
	return leader, nil
}

// holds says whether a lease is held by the process that runs in a pod now: an identity begins with the name of the pod or, on
// the host's network, of the node, and what ran in the pod before has held the lease by the same name.
func holds(lease *coordinationv1.Lease, pod *corev1.Pod) bool {
	if lease.Spec.HolderIdentity == nil || lease.Spec.RenewTime == nil || !Ready(pod) {
		return false
	}
	running := pod.Status.ContainerStatuses[0].State.Running
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return (name == pod.Name || name == pod.Spec.NodeName) && running != nil && lease.Spec.RenewTime.After(running.StartedAt.Time)
}

// NBCtl runs ovn-nbctl: the hand that edits rows behind Woven's back. The member that it asks need not lead.
func (c *Cluster) NBCtl(ctx context.Context, args ...string) (string, error) {
	pod, err := c.PodOf(ctx, Central, "")
	if err != nil {
		return "", err
	}
	return c.ExecIn(ctx, pod, "nb-ovsdb", append([]string{"ovn-nbctl", "--timeout=30", "--no-leader-only"}, args...)...)
}

// NBCtlUntil runs ovn-nbctl and then waits for a row, as wait-until of ovn-nbctl describes it. It tells how long that took by the clock of
// the database's container, for on a busy machine the way there takes longer.
func (c *Cluster) NBCtlUntil(ctx context.Context, edit []string, row ...string) (time.Duration, error) {
	pod, err := c.PodOf(ctx, Central, "")
	if err != nil {
		return 0, err
	}
	script := nbctl(edit...) + ` && began=$(date +%s%N) && ` + nbctl(append([]string{"wait-until"}, row...)...) + ` && echo $(($(date +%s%N) - began))`
	out, err := c.ExecIn(ctx, pod, "nb-ovsdb", "sh", "-c", script)
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading how long it took: %w", err)
	}
	return time.Duration(ns), nil
}

// nbctl is a command of ovn-nbctl for a shell.
func nbctl(args ...string) string {
	command := "ovn-nbctl --timeout=30 --no-leader-only"
	for _, arg := range args {
		command += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return command
}

// Members are the pods of ovn-central.
func (c *Cluster) Members(ctx context.Context) ([]corev1.Pod, error) {
	return c.Pods(ctx, System, "app", string(Central))
}

// Database is one of the two databases of ovn-central: its container, its server's control socket and its name.
type Database struct{ container, control, name string }

// The databases of ovn-central.
var (
	NB = Database{"nb-ovsdb", "/run/ovn/ovnnb_db.ctl", "OVN_Northbound"}
	SB = Database{"sb-ovsdb", "/run/ovn/ovnsb_db.ctl", "OVN_Southbound"}
)

// String is the database's name.
func (d Database) String() string { return d.name }

func (d Database) status() []string {
	return []string{"ovn-appctl", "-t", d.control, "cluster/status", d.name}
}

// DatabaseLeader is the member of a raft cluster that leads a database.
func (c *Cluster) DatabaseLeader(ctx context.Context, d Database) (*corev1.Pod, error) {
	return c.memberWhere(ctx, d.container, "Role: leader", d.status()...)
}

// HandOver has the leader of a database make another member the leader, as it does of itself before it compacts.
func (c *Cluster) HandOver(ctx context.Context, d Database) error {
	leader, err := c.DatabaseLeader(ctx, d)
	if err != nil {
		return err
	}
	_, err = c.ExecIn(ctx, leader, d.container, "ovn-appctl", "-t", d.control, "cluster/failure-test", "transfer-leadership")
	return err
}

var raftTerm = regexp.MustCompile(`(?m)^Term: (\d+)$`)

// Term is how many elections a database has had, as one of the members knows.
func (c *Cluster) Term(ctx context.Context, d Database) (int, error) {
	pod, err := c.PodOf(ctx, Central, "")
	if err != nil {
		return 0, err
	}
	out, err := c.ExecIn(ctx, pod, d.container, d.status()...)
	if err != nil {
		return 0, err
	}
	m := raftTerm.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("the status of %s has no term: %q", d.name, out)
	}
	return strconv.Atoi(m[1])
}

var raftServer = regexp.MustCompile(`(?m)^ +[0-9a-f]+ \([0-9a-f]+ at tcp:(\S+):\d+\)`)

// RaftServers are the addresses of the servers that a member of ovn-central counts to the northbound cluster.
func (c *Cluster) RaftServers(ctx context.Context, member *corev1.Pod) ([]string, error) {
	out, err := c.ExecIn(ctx, member, NB.container, NB.status()...)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, m := range raftServer.FindAllStringSubmatch(out, -1) {
		addresses = append(addresses, strings.Trim(m[1], "[]"))
	}
	slices.Sort(addresses)
	return addresses, nil
}

// memberWhere is the member of ovn-central in whose container a command prints the words.
func (c *Cluster) memberWhere(ctx context.Context, container, words string, command ...string) (*corev1.Pod, error) {
	pods, err := c.Members(ctx)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		if out, err := c.ExecIn(ctx, &pods[i], container, command...); err == nil && strings.Contains(out, words) {
			return &pods[i], nil
		}
	}
	return nil, fmt.Errorf("in no pod of %s says %v: %s", Central, command, words)
}

var northdVersion = regexp.MustCompile(`(?m)^ovn-northd (\S+)`)

// OVNVersion is the version of OVN that ovn-central runs, "26.03.1".
func (c *Cluster) OVNVersion(ctx context.Context) (string, error) {
	pod, err := c.PodOf(ctx, Central, "")
	if err != nil {
		return "", err
	}
	out, err := c.ExecIn(ctx, pod, "northd", "ovn-northd", "--version")
	if err != nil {
		return "", err
	}
	m := northdVersion.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("ovn-northd says of its version %q", out)
	}
	return m[1], nil
}

// Synced waits until every node's ovn-controller has installed what the northbound database holds now.
func (c *Cluster) Synced(ctx context.Context) error {
	return c.SyncedWithin(ctx, 30*time.Second)
}

// SyncedWithin is Synced for what takes long: ovn-nbctl waits no longer than that.
func (c *Cluster) SyncedWithin(ctx context.Context, limit time.Duration) error {
	_, err := c.NBCtl(ctx, fmt.Sprintf("--timeout=%d", int(limit.Seconds())), "--wait=hv", "sync")
	return err
}

// Attachments are the iface-ids of the interfaces that a node's switch has for pods.
func (c *Cluster) Attachments(ctx context.Context, node string) ([]string, error) {
	pod, err := c.PodOf(ctx, Switch, node)
	if err != nil {
		return nil, err
	}
	out, err := c.ExecIn(ctx, pod, "ovs-vswitchd", "ovs-vsctl", "--format=json", "--columns=external_ids", "list", "Interface")
	if err != nil {
		return nil, err
	}
	return ifaceIDs(out)
}

// ifaceIDs reads ovs-vsctl's JSON: maps are ["map",[["key","value"],…]].
func ifaceIDs(text string) ([]string, error) {
	var table struct{ Data [][]json.RawMessage }
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return nil, fmt.Errorf("reading the interfaces: %w", err)
	}
	var ids []string
	for _, row := range table.Data {
		var kind string
		var pairs [][2]string
		if err := json.Unmarshal(row[0], &[]any{&kind, &pairs}); err != nil {
			return nil, fmt.Errorf("reading external_ids: %w", err)
		}
		for _, pair := range pairs {
			if pair[0] == "iface-id" && !strings.HasPrefix(pair[1], "node-") {
				ids = append(ids, pair[1])
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Flows are how many OpenFlow flows a node's integration bridge has, by table.
func (c *Cluster) Flows(ctx context.Context, node string) (map[int]int, error) {
	pod, err := c.PodOf(ctx, Switch, node)
	if err != nil {
		return nil, err
	}
	out, err := c.ExecIn(ctx, pod, "ovs-vswitchd", "ovs-ofctl", "dump-tables", IntegrationBridge)
	if err != nil {
		return nil, err
	}
	return ovstest.FlowsByTable(out)
}

// LogicalFlows is how many rows of Logical_Flow northd has made.
func (c *Cluster) LogicalFlows(ctx context.Context) (int, error) {
	pod, err := c.PodOf(ctx, Central, "")
	if err != nil {
		return 0, err
	}
	out, err := c.ExecIn(ctx, pod, "sb-ovsdb", "sh", "-c",
		"ovn-sbctl --timeout=120 --no-leader-only --format=csv --no-headings --columns=priority list Logical_Flow | wc -l")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

var recomputed = regexp.MustCompile(`(?m)^Node: (\S+)\n- recompute:\s+(\d+)`)

// Recomputes are how often each node of northd's engine was computed anew, rather than by the difference.
func (c *Cluster) Recomputes(ctx context.Context) (map[string]int, error) {
	pod, err := c.memberWhere(ctx, "northd", "Status: active", "ovn-appctl", "-t", "ovn-northd", "status")
	if err != nil {
		return nil, err
	}
	out, err := c.ExecIn(ctx, pod, "northd", "ovn-appctl", "-t", "ovn-northd", "inc-engine/show-stats")
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, m := range recomputed.FindAllStringSubmatch(out, -1) {
		if counts[m[1]], err = strconv.Atoi(m[2]); err != nil {
			return nil, fmt.Errorf("reading %q: %w", m[0], err)
		}
	}
	return counts, nil
}
