package ovstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// Chassis is a node's part of OVN, an ovs-vswitchd without a datapath in the kernel and an ovn-controller: what tells which
// OpenFlow flows rows become.
type Chassis struct {
	t   testing.TB
	dir string
	env []string
}

// StartChassis runs a chassis of a name on the southbound database until the test ends. The interfaces are those of ports
// that are bound to it.
func StartChassis(t testing.TB, northd *Northd, name string, interfaces ...string) *Chassis {
	t.Helper()
	// Unix socket paths are short, and t.TempDir's are not.
	dir, err := os.MkdirTemp("", "ovs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary directory
	c := &Chassis{t: t, dir: dir, env: append(os.Environ(), "OVS_RUNDIR="+dir, "OVN_RUNDIR="+dir, "OVS_LOGDIR="+dir, "OVN_LOGDIR="+dir)}
	db, socket := filepath.Join(dir, "conf.db"), filepath.Join(dir, "db.sock")
	Run(t, "ovsdb-tool", "create", db, Schema(t, "vswitch"))
	c.start("ovsdb-server", "-vconsole:off", "--no-chdir", "--remote=punix:"+socket, "--unixctl="+filepath.Join(dir, "db.ctl"), db)
	awaitSocket(t, socket)
	args := []string{
		"--no-wait", "--", "init", "--", "set", "Open_vSwitch", ".", "external_ids:system-id=" + name,
		"external_ids:ovn-remote=" + northd.SB.Endpoint(), "external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip=192.0.2.1",
		"--", "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy", "fail_mode=secure",
	}
	for i, iface := range interfaces {
		dev := "p" + strconv.Itoa(i)
		args = append(args, "--", "add-port", "br-int", dev, "--", "set", "Interface", dev, "type=dummy", "external_ids:iface-id="+iface)
	}
	c.run("ovs-vsctl", append([]string{"--db=unix:" + socket}, args...)...)
	c.start("ovs-vswitchd", "-vconsole:off", "--no-chdir", "--enable-dummy=override", "--disable-system", "--pidfile",
		"--unixctl="+filepath.Join(dir, "vswitchd.ctl"), "unix:"+socket)
	awaitSocket(t, filepath.Join(dir, "br-int.mgmt"))
	c.start("ovn-controller", "-vconsole:off", "--no-chdir", "--pidfile", "--unixctl="+filepath.Join(dir, "controller.ctl"), "unix:"+socket)
	awaitSocket(t, filepath.Join(dir, "controller.ctl"))
	return c
}

func (c *Chassis) start(name string, args ...string) {
	c.t.Helper()
	cmd := startIn(c.t, c.env, Program(c.t, name), args...)
	c.t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have died by itself
		cmd.Wait()         //nolint:errcheck // killed
	})
}

func (c *Chassis) run(name string, args ...string) string {
	c.t.Helper()
	cmd := exec.Command(Program(c.t, name), args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// Flows are how many OpenFlow flows br-int has, by table.
func (c *Chassis) Flows() map[int]int {
	c.t.Helper()
	flows, err := FlowsByTable(c.run("ovs-ofctl", "dump-tables", "unix:"+filepath.Join(c.dir, "br-int.mgmt")))
	if err != nil {
		c.t.Fatal(err)
	}
	return flows
}

var tableCount = regexp.MustCompile(`table (\d+)[^:]*:\s+active=(\d+)`)

// FlowsByTable reads what `ovs-ofctl dump-tables` prints. Tables without flows are left out.
func FlowsByTable(text string) (map[int]int, error) {
	flows := map[int]int{}
	for _, m := range tableCount.FindAllStringSubmatch(text, -1) {
		table, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", m[0], err)
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", m[0], err)
		}
		if n > 0 {
			flows[table] = n
		}
	}
	if len(flows) == 0 {
		return nil, fmt.Errorf("no table with flows in %q", text)
	}
	return flows, nil
}
