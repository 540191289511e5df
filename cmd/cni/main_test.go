package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/cni"
)

const asPlugin = "WOVEN_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// plugin runs the plugin as a runtime does.
func plugin(t *testing.T, command, config string) (output map[string]any, failed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(self)
	run.Env = []string{
		asPlugin + "=1", "CNI_COMMAND=" + command, "CNI_CONTAINERID=c1", "CNI_NETNS=/nonexistent", "CNI_IFNAME=eth0",
		"CNI_PATH=/opt/cni/bin", "CNI_ARGS=K8S_POD_NAME=web",
	}
	run.Stdin = strings.NewReader(config)
	text, err := run.Output()
	if err != nil && len(text) == 0 {
		t.Fatalf("%s: %v", command, err)
	}
	if len(bytes.TrimSpace(text)) > 0 {
		if jsonErr := json.Unmarshal(text, &output); jsonErr != nil {
			t.Fatalf("%s printed %q", command, text)
		}
	}
	return output, err != nil
}

func config(socket string) string {
	return `{"cniVersion":"1.1.0","name":"woven","type":"woven-cni","server_socket":"` + socket + `"}`
}

func TestWithoutADaemon(t *testing.T) {
	for command, code := range map[string]float64{"ADD": 11, "DEL": 11, "CHECK": 11, "GC": 11, "STATUS": 50} {
		output, failed := plugin(t, command, config(filepath.Join(t.TempDir(), "none", "cni.sock")))
		if !failed || output["code"] != code || output["cniVersion"] != "1.1.0" {
			t.Errorf("%s: failed %t, %v; want code %v", command, failed, output, code)
		}
	}
}

func TestVersion(t *testing.T) {
	output, failed := plugin(t, "VERSION", `{"cniVersion":"1.1.0"}`)
	versions, _ := output["supportedVersions"].([]any)
	for _, want := range []any{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		if failed || !slices.Contains(versions, want) {
			t.Errorf("versions %v lack %v", versions, want)
		}
	}
}

func TestTheCallArrivesUnchangedAndTheAnswerIsPrinted(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cni.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan cni.Request, 2)
	daemon := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request cni.Request
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		got <- request
		if request.Command() == "DEL" {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"code":7,"msg":"no","details":"because"}`))
			return
		}
		_, _ = w.Write([]byte(`{"cniVersion":"1.1.0","interfaces":[]}`))
	})}
	go func() { _ = daemon.Serve(listener) }()
	defer daemon.Close()

	output, failed := plugin(t, "CHECK", config(socket))
	if failed || output["cniVersion"] != "1.1.0" {
		t.Errorf("CHECK: failed %t, %v", failed, output)
	}
	request := <-got
	if string(request.Config) != config(socket) || request.Env["CNI_ARGS"] != "K8S_POD_NAME=web" || len(request.Env) != 6 {
		t.Errorf("the daemon got %v %s", request.Env, request.Config)
	}
	output, failed = plugin(t, "DEL", config(socket))
	if !failed || output["code"] != 7.0 || output["msg"] != "no" || output["details"] != "because" {
		t.Errorf("DEL: failed %t, %v", failed, output)
	}
}

func TestADaemonThatRestartsIsWaitedFor(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cni.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false) // as a killed daemon leaves it
	stale.Close()
	daemon := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	defer daemon.Close()
	go func() {
		time.Sleep(300 * time.Millisecond) // the plugin is waiting by then; if it is not, the test only tests less
		listener, err := net.Listen("unix", socket+".new")
		if err == nil {
			err = os.Rename(socket+".new", socket)
		}
		if err != nil {
			t.Error(err)
			return
		}
		_ = daemon.Serve(listener)
	}()
	if output, failed := plugin(t, "STATUS", config(socket)); failed {
		t.Errorf("STATUS: %v", output)
	}
}

// The plugin is started for every pod: what it links, it loads each time.
func TestNothingHeavyIsLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	for _, heavy := range []string{"k8s.io/", "libovsdb", "controller-runtime", "prometheus", "github.com/vishvananda/netlink\n"} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("the plugin links %s", heavy)
		}
	}
}
