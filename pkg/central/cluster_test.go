package central_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/woven-cni/woven/pkg/central"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

const namespace = "kube-system"

// world has nodes with disks, and a Kubernetes API in memory. The servers are real, started by the script of the image.
type world struct {
	t    *testing.T
	api  client.WithWatch
	dir  string
	pods int

	schemas map[string]string // by database
}

// node is one at which a member may run. Each has an address of its own on the loopback interface.
type node struct {
	*world
	address, disk, run string

	pod     *corev1.Pod
	servers []*exec.Cmd
	stop    func()
}

func newWorld(t *testing.T) (*world, []*node) {
	t.Helper()
	dir, err := os.MkdirTemp("", "central") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary directory
	w := &world{
		t: t, api: fake.NewClientBuilder().Build(), dir: dir,
		schemas: map[string]string{"nb": ovstest.Schema(t, "ovn-nb"), "sb": ovstest.Schema(t, "ovn-sb")},
	}
	w.newRecord()
	net := fmt.Sprintf("127.%d.%d.", 64+os.Getpid()>>8&63, os.Getpid()&255)
	var nodes []*node
	for i := range 4 {
		n := &node{world: w, address: net + fmt.Sprint(i+1), disk: filepath.Join(dir, fmt.Sprint(i), "disk"), run: filepath.Join(dir, fmt.Sprint(i), "run")}
		for _, d := range []string{n.disk, n.run} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		nodes = append(nodes, n)
		t.Cleanup(n.die)
	}
	return w, nodes
}

func (w *world) newRecord() {
	w.t.Helper()
	record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: central.Name}}
	if err := w.api.Delete(w.t.Context(), record); err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	record.ResourceVersion = ""
	if err := w.api.Create(w.t.Context(), record); err != nil {
		w.t.Fatal(err)
	}
}

// seat gives the node a new pod, in the place of the one it had.
func (n *node) seat() {
	n.t.Helper()
	n.unseat()
	n.pods++
	n.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: fmt.Sprintf("%s-%d", central.Name, n.pods), UID: types.UID(fmt.Sprint("uid-", n.pods)),
		Labels: map[string]string{"app": central.Name},
	}}
	if err := n.api.Create(n.t.Context(), n.pod); err != nil {
		n.t.Fatal(err)
	}
}

// unseat deletes the node's pod and all that runs for it.
func (n *node) unseat() {
	n.t.Helper()
	n.die()
	if n.pod != nil {
		if err := n.api.Delete(n.t.Context(), n.pod); err != nil {
			n.t.Fatal(err)
		}
		n.pod = nil
	}
}

// live runs what the pod's containers run, in their order.
func (n *node) live(ctx context.Context) error {
	if err := os.RemoveAll(n.run); err != nil { // it is in memory
		return err
	}
	if err := os.Mkdir(n.run, 0o755); err != nil {
		return err
	}
	m := &central.Member{
		Client: n.api, Namespace: namespace, Seat: central.Seat{Address: n.address, Pod: string(n.pod.UID)}, Replicas: 3,
		DatabaseDir: n.disk, RunDir: n.run, Log: testr.New(n.t).WithValues("node", n.address),
	}
	if err := m.Begin(ctx); err != nil {
		return err
	}
	n.serve()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Tend(ctx); err != nil {
			n.t.Error(err)
		}
	})
	running.Go(func() { n.probe(ctx) })
	n.stop = func() { cancel(); running.Wait() }
	return nil
}

// serve starts the database servers.
func (n *node) serve() {
	for _, db := range []string{"nb", "sb"} {
		port := map[string]string{"nb": "6641", "sb": "6642"}[db]
		cmd := exec.Command("sh", "../../dist/images/start-ovsdb.sh", n.file(db),
			n.schemas[db], filepath.Join(n.run, "ovn"+db+"_db.sock"), port, n.address)
		cmd.Env = append(os.Environ(), "ELECTION_TIMER=500", "OVS_RUNDIR="+n.run,
			"PATH="+filepath.Dir(ovstest.Program(n.t, "ovsdb-server"))+":"+os.Getenv("PATH"))
		log, err := os.OpenFile(filepath.Join(n.dir, n.address+"."+db+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			n.t.Error(err)
			return
		}
		cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setpgid: true}
		err = cmd.Start()
		log.Close()
		if err != nil {
			n.t.Error(err)
			return
		}
		n.servers = append(n.servers, cmd)
	}
}

func (n *node) file(db string) string { return filepath.Join(n.disk, "ovn"+db+"_db.db") }

// die ends everything at once, as a node does that loses its power.
func (n *node) die() {
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
	n.crash()
	if n.pod != nil {
		n.setReady(context.Background(), corev1.ConditionFalse)
	}
}

// crash ends the servers only.
func (n *node) crash() {
	for _, cmd := range n.servers {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have died by itself
		cmd.Wait()                                      //nolint:errcheck // killed
	}
	n.servers = nil
}

// status is what the server of a database says of its cluster.
func (n *node) status(db, name string) string {
	out, err := exec.Command(ovstest.Program(n.t, "ovs-appctl"), "-t", filepath.Join(n.run, "ovn"+db+"_db.ctl"), "cluster/status", name).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

func (n *node) member() bool {
	return strings.Contains(n.status("nb", "OVN_Northbound"), "Status: cluster member") &&
		strings.Contains(n.status("sb", "OVN_Southbound"), "Status: cluster member")
}

// probe is the kubelet's: it tells the API when the pod is ready.
func (n *node) probe(ctx context.Context) {
	last := corev1.ConditionFalse
	for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; {
		now := corev1.ConditionFalse
		if n.member() {
			now = corev1.ConditionTrue
		}
		if now != last {
			n.setReady(ctx, now)
			last = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (n *node) setReady(ctx context.Context, status corev1.ConditionStatus) {
	pod := n.pod.DeepCopy()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	patch := client.MergeFrom(n.pod)
	if err := n.api.Status().Patch(ctx, pod, patch); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
		n.t.Error(err)
	}
}

// begin runs the pods of the nodes, side by side.
func begin(t *testing.T, nodes ...*node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	for _, n := range nodes {
		running.Go(func() {
			if err := n.live(ctx); err != nil {
				t.Errorf("the member at %s: %v", n.address, err)
			}
		})
	}
	running.Wait()
}

// whole waits until the nodes, and no others, are a cluster for both databases.
func whole(t *testing.T, nodes ...*node) {
	t.Helper()
	eventually(t, func() string {
		for _, n := range nodes {
			for db, name := range map[string]string{"nb": "OVN_Northbound", "sb": "OVN_Southbound"} {
				s := n.status(db, name)
				_, servers, _ := strings.Cut(s, "Servers:\n")
				for _, other := range nodes {
					if strings.Count(servers, "tcp:"+other.address+":") != 1 {
						return fmt.Sprintf("%s does not know %s once:\n%s", n.address, other.address, s)
					}
				}
				if !strings.Contains(s, "Status: cluster member") || strings.Count(servers, "\n") != len(nodes) {
					return fmt.Sprintf("%s says\n%s", n.address, s)
				}
			}
		}
		return ""
	})
}

func eventually(t *testing.T, wrong func() string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		what := wrong()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		time.Sleep(50 * time.Millisecond) // servers come up when they do
	}
}

// nbctl edits the northbound database by the server of a node, which need not lead.
func (n *node) nbctl(args ...string) string {
	n.t.Helper()
	return ovstest.Run(n.t, "ovn-nbctl", n.nbctlArgs(args...)...)
}

func (n *node) nbctlArgs(args ...string) []string {
	return append([]string{"--timeout=20", "--db=unix:" + filepath.Join(n.run, "ovnnb_db.sock"), "--no-leader-only"}, args...)
}

func (n *node) holds(switches ...string) {
	n.t.Helper()
	eventually(n.t, func() string {
		b, err := exec.Command(ovstest.Program(n.t, "ovn-nbctl"), n.nbctlArgs("ls-list")...).CombinedOutput()
		out := string(b)
		if err != nil {
			return out
		}
		if strings.Count(out, "\n") != len(switches) {
			return fmt.Sprintf("%s holds\n%s, want %s", n.address, out, switches)
		}
		for _, s := range switches {
			if !strings.Contains(out, "("+s+")") {
				return fmt.Sprintf("%s holds\n%s, want %s", n.address, out, switches)
			}
		}
		return ""
	})
}

// schemaVersion is that of the northbound database, or what went wrong: a server that changes the schema closes its
// clients' connections.
func (n *node) schemaVersion() string {
	out, _ := exec.Command(ovstest.Program(n.t, "ovsdb-client"), "--no-leader-only", "get-schema-version",
		"unix:"+filepath.Join(n.run, "ovnnb_db.sock"), "OVN_Northbound").CombinedOutput()
	return strings.TrimSpace(string(out))
}

func TestClusterLives(t *testing.T) {
	_, n := newWorld(t)
	n[0].seat()
	n[1].seat()
	n[2].seat()
	begin(t, n[:3]...)
	whole(t, n[:3]...)
	n[0].nbctl("ls-add", "first")
	n[2].holds("first")

	t.Log("a member's servers crash: they go on with what they have")
	n[1].crash()
	n[0].nbctl("ls-add", "second")
	n[1].serve()
	whole(t, n[:3]...)
	n[1].holds("first", "second")

	t.Log("a pod moves to another node: its old server is forgotten")
	n[0].unseat()
	n[3].seat()
	begin(t, n[3])
	whole(t, n[1:]...)
	n[3].holds("first", "second")

	t.Log("it moves back to where its old database is: that one is not used")
	n[3].unseat()
	n[1].nbctl("ls-add", "third")
	n[0].seat()
	begin(t, n[0])
	whole(t, n[:3]...)
	n[0].holds("first", "second", "third")
	if _, err := os.Stat(n[0].file("nb") + ".unused"); err != nil {
		t.Errorf("the old database was not set aside: %v", err)
	}

	t.Log("a disk is lost: its earlier self is forgotten")
	n[1].unseat()
	for _, db := range []string{"nb", "sb"} {
		if err := os.Remove(n[1].file(db)); err != nil {
			t.Fatal(err)
		}
	}
	n[1].seat()
	begin(t, n[1])
	whole(t, n[:3]...)
	n[1].holds("first", "second", "third")

	t.Log("the power is lost: all go on with what they have")
	for _, m := range n[:3] {
		m.die()
	}
	begin(t, n[:3]...)
	whole(t, n[:3]...)
	n[2].holds("first", "second", "third")
}

func TestInstalledAgain(t *testing.T) {
	w, n := newWorld(t)
	all := n[:3]
	seat := func() {
		for _, m := range all {
			m.seat()
		}
	}
	t.Log("one member alone has a database")
	n[1].serve()
	n[1].holds()
	n[1].nbctl("ls-add", "alone")
	n[1].crash()

	t.Log("with three, its database is everybody's")
	seat()
	begin(t, all...)
	whole(t, all...)
	n[0].holds("alone")
	n[0].nbctl("ls-add", "cluster")

	t.Log("installed again, the cluster goes on")
	w.newRecord()
	seat()
	begin(t, all...)
	whole(t, all...)
	n[2].holds("alone", "cluster")

	t.Log("two disks are lost and the record is taken away: the third is everybody's")
	for _, m := range all {
		m.unseat()
	}
	w.newRecord()
	for _, m := range n[:2] {
		for _, db := range []string{"nb", "sb"} {
			if err := os.Remove(m.file(db)); err != nil {
				t.Fatal(err)
			}
		}
	}
	seat()
	begin(t, all...)
	whole(t, all...)
	n[0].holds("alone", "cluster")

	t.Log("with one member again, it keeps what the cluster had")
	for _, m := range all {
		m.unseat()
		if err := os.RemoveAll(m.run); err != nil {
			t.Fatal(err)
		}
	}
	n[1].serve()
	n[1].holds("alone", "cluster")
	n[1].nbctl("ls-add", "newest")
	n[1].crash()

	t.Log("with three for the second time, old databases of the cluster give way to the newer one")
	w.newRecord()
	seat()
	begin(t, all...)
	whole(t, all...)
	n[2].holds("alone", "cluster", "newest")
}

// A newer image brings newer schemas, which only the servers together can change to.
func TestSchemaFollowsTheImage(t *testing.T) {
	w, n := newWorld(t)
	newer := w.schemas["nb"]
	text, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	want := schema["version"].(string)
	schema["version"] = "1.0.0"
	delete(schema["tables"].(map[string]any), "Sampling_App")
	if text, err = json.Marshal(schema); err != nil {
		t.Fatal(err)
	}
	w.schemas["nb"] = filepath.Join(w.dir, "older.ovsschema")
	if err := os.WriteFile(w.schemas["nb"], text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, m := range n[:3] {
		m.seat()
	}
	begin(t, n[:3]...)
	whole(t, n[:3]...)
	n[0].nbctl("ls-add", "first")
	w.schemas["nb"] = newer
	for _, m := range n[:3] {
		m.seat()
		begin(t, m)
		whole(t, n[:3]...)
	}
	eventually(t, func() string {
		if got := n[1].schemaVersion(); got != want {
			return "the schema is " + got + ", not " + want
		}
		return ""
	})
	n[2].holds("first")
}
