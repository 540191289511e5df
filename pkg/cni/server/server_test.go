package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cni"
	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/hosttest"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs/engine"
)

func TestMain(m *testing.M) { hosttest.Main(m) }

// node is a node that is ready unless told otherwise.
type node struct {
	err       error
	disturbed bool
}

func (n *node) AwaitReady(context.Context) error { return n.err }
func (n *node) Disturbed() bool                  { return n.disturbed }
func (n *node) PodMTU(string) int                { return 1400 }
func (n *node) ChecksumInSoftware() bool         { return true }

// bench is a server on a real database, with somebody who plays ovn-controller.
type bench struct {
	*testing.T
	*Server
	ovsdb  *hosttest.OVSDB
	node   *node
	socket string
	sent   atomic.Value // string: the last transaction
	ovn    *fakeOVN
	stop   context.CancelFunc // ends the daemon, as a kill would
	ended  sync.WaitGroup
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, ovsdb: hosttest.NewOVSDB(t), node: &node{}, socket: filepath.Join(t.TempDir(), "cni.sock")}
	b.ovn = newFakeOVN(t, b.ovsdb)
	b.start(NewPods())
	t.Cleanup(func() {
		b.halt()
		ends, err := sandbox.HostEnds()
		for _, end := range ends {
			err = errors.Join(err, sandbox.RemoveHostEnd(end.Name))
		}
		if err != nil {
			t.Error(err)
		}
	})
	return b
}

// start starts a daemon that knows some pods.
func (b *bench) start(pods *Pods) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	b.stop = stop
	log := testr.NewWithOptions(b.T, testr.Options{Verbosity: 1})
	db, err := vsdb.Open(ctx, b.ovsdb.Endpoint(), engine.WithLogger(log.WithName("daemon")),
		engine.WithRecorder(func(params []byte) { b.sent.Store(string(params)) }))
	if err != nil {
		b.Fatal(err)
	}
	b.Server = New(db, pods, b.node, log)
	listener, err := Listen(b.socket)
	if err != nil {
		b.Fatal(err)
	}
	b.ended.Go(func() { _ = b.Serve(ctx, listener) })
	if err := db.Await(ctx); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) halt() {
	b.stop()
	b.ended.Wait()
}

// fakeOVN writes ovn-installed into every interface that has an iface-id, as ovn-controller does: by a connection of its own.
type fakeOVN struct {
	db     *vsdb.DB
	paused chan bool
}

func newFakeOVN(t testing.TB, ovsdb *hosttest.OVSDB) *fakeOVN {
	ctx, cancel := context.WithCancel(context.Background())
	db, err := vsdb.Open(ctx, ovsdb.Endpoint())
	hosttest.Must(t, err)
	f := &fakeOVN{db: db, paused: make(chan bool)}
	wake := make(chan struct{}, 1)
	f.db.OnChange(func(vsdb.Change) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	var ended sync.WaitGroup
	ended.Go(func() {
		paused := false
		for {
			select {
			case paused = <-f.paused:
			case <-wake:
			case <-ctx.Done():
				return
			}
			if !paused {
				f.install(ovsdb)
			}
		}
	})
	t.Cleanup(func() { cancel(); ended.Wait() })
	return f
}

func (f *fakeOVN) install(ovsdb *hosttest.OVSDB) {
	for _, iface := range f.db.Interfaces() {
		if iface.ExternalIDs["iface-id"] != "" && iface.ExternalIDs["ovn-installed"] == "" {
			ovsdb.Transact(`{"op":"mutate","table":"Interface","where":[["_uuid","==",["uuid","` + iface.UUID + `"]]],` +
				`"mutations":[["external_ids","insert",["map",[["ovn-installed","true"]]]]]}`)
		}
	}
}

// pod tells the server of a pod, with its network unless annotations are given.
func (b *bench) pod(name, uid string, annotations ...map[string]string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: apitypes.UID(uid)}}
	pod.Annotations = networkAnnotations()
	if len(annotations) > 0 {
		pod.Annotations = annotations[0]
	}
	pod.Annotations[kubeovnv1.AnnotationAllocatedUID] = uid
	b.Pods.Set(pod.Namespace, pod.Name, pod)
	return pod
}

func networkAnnotations() map[string]string {
	return map[string]string{
		kubeovnv1.AnnotationAllocated:     "true",
		kubeovnv1.AnnotationMACAddress:    "0a:58:0a:10:00:05",
		kubeovnv1.AnnotationIPAddress:     "10.16.0.5,fd00:10:16::5",
		kubeovnv1.AnnotationCIDR:          "10.16.0.0/16,fd00:10:16::/64",
		kubeovnv1.AnnotationGateway:       "10.16.0.1,fd00:10:16::1",
		kubeovnv1.AnnotationLogicalSwitch: "ovn-default",
	}
}

// request is a call about a sandbox of pod shop/<pod>.
func (b *bench) request(command, container, pod, netns string) cni.Request {
	return cni.Request{
		Env: map[string]string{
			"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": netns, "CNI_IFNAME": "eth0",
			"CNI_PATH": "/opt/cni/bin",
			"CNI_ARGS": fmt.Sprintf("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s-uid", pod, container, pod),
		},
		Config: b.config(nil),
	}
}

// check is a CHECK of what an ADD has answered.
func (b *bench) check(container, pod, netns string, answer []byte) cni.Request {
	request := b.request("CHECK", container, pod, netns)
	request.Config = b.config(map[string]any{"prevResult": json.RawMessage(answer)})
	return request
}

func (b *bench) config(extra map[string]any) json.RawMessage {
	conf := map[string]any{"cniVersion": "1.1.0", "name": "woven", "type": "woven-cni", "server_socket": b.socket}
	for key, value := range extra {
		conf[key] = value
	}
	text, err := json.Marshal(conf)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

// call sends a request through the socket, as the plugin does.
func (b *bench) call(ctx context.Context, request cni.Request) ([]byte, *types.Error) {
	answer, err := cni.Call(ctx, b.socket, request)
	if err == nil {
		return answer, nil
	}
	refusal := &types.Error{}
	if !errors.As(err, &refusal) {
		b.Fatalf("%s: %v is not a CNI error", request.Command(), err)
	}
	return nil, refusal
}

func (b *bench) mustCall(request cni.Request) []byte {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	answer, refusal := b.call(ctx, request)
	if refusal != nil {
		b.Fatalf("%s: %v", request.Command(), refusal)
	}
	return answer
}

// counts are the host ends that are not doomed, and the ports of ours.
func (b *bench) counts() (links, ports int) {
	b.Helper()
	ends, err := sandbox.HostEnds()
	if err != nil {
		b.Fatal(err)
	}
	for _, end := range ends {
		if !end.Doomed {
			links++
		}
	}
	if err := b.Switch.Await(b.Context()); err != nil {
		b.Fatal(err)
	}
	return links, len(attachments(b.Switch))
}

func (b *bench) wantCounts(links, ports int) {
	b.Helper()
	if haveLinks, havePorts := b.counts(); haveLinks != links || havePorts != ports {
		b.Errorf("%d host links and %d ports, want %d and %d", haveLinks, havePorts, links, ports)
	}
}

func TestAddThenCheckThenDel(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	netns, _ := hosttest.NetNS(t)
	answer := b.mustCall(b.request("ADD", "c1", "web", netns))
	result, err := current.NewResult(answer)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := current.NewResultFromResult(result)
	if got.CNIVersion != "1.1.0" || len(got.Interfaces) != 2 || len(got.IPs) != 2 || len(got.Routes) != 2 {
		t.Errorf("result %s", answer)
	}
	if eth0 := got.Interfaces[*got.IPs[0].Interface]; eth0.Name != "eth0" || eth0.Sandbox != netns || eth0.Mtu != 1400 {
		t.Errorf("the address is on %v", eth0)
	}
	b.wantCounts(1, 1)
	iface := b.Switch.Interface((sandbox.Attachment{ContainerID: "c1", IfName: "eth0"}).HostName())
	if iface == nil || iface.ExternalIDs["iface-id"] != "web.shop" || iface.ExternalIDs["attached-mac"] != "0a:58:0a:10:00:05" {
		t.Errorf("interface %+v", iface)
	}
	b.mustCall(b.check("c1", "web", netns, answer))
	b.mustCall(b.request("DEL", "c1", "web", netns))
	b.wantCounts(0, 0)
}
