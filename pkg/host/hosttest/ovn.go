package hosttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// OVN is a real northbound and southbound database with northd, and room for ovn-controller.
type OVN struct {
	t   testing.TB
	dir string
}

// NewOVN starts the databases and northd.
func NewOVN(t testing.TB) *OVN {
	t.Helper()
	o := &OVN{t: t, dir: t.TempDir()}
	for _, db := range []string{"nb", "sb"} {
		conf := filepath.Join(o.dir, db+".db")
		o.run("ovsdb-tool", "create", conf, ovstest.Schema(t, "ovn-"+db))
		o.daemon(ovstest.Program(t, "ovsdb-server"), conf, "--remote=p"+o.socket(db), "--unixctl="+conf+".ctl", "--no-chdir", "-vconsole:off")
	}
	o.run("ovsdb-client", "--timeout=10", "wait", o.socket("nb"), "OVN_Northbound", "connected")
	o.run("ovsdb-client", "--timeout=10", "wait", o.socket("sb"), "OVN_Southbound", "connected")
	o.daemon(ovstest.Program(t, "ovn-northd"), "--ovnnb-db="+o.socket("nb"), "--ovnsb-db="+o.Southbound(),
		"--unixctl="+filepath.Join(o.dir, "northd.ctl"), "--no-chdir", "-vconsole:off")
	return o
}

func (o *OVN) socket(db string) string { return "unix:" + filepath.Join(o.dir, db+".sock") }

// Southbound is where chassis find the southbound database.
func (o *OVN) Southbound() string { return o.socket("sb") }

// Controller starts ovn-controller on an Open vSwitch.
func (o *OVN) Controller(db *OVSDB) (stop func()) {
	o.t.Helper()
	// It looks for the bridges' management sockets where vswitchd puts them.
	return o.daemon("env", "OVS_RUNDIR="+db.dir, ovstest.Program(o.t, "ovn-controller"), db.Endpoint(), "--no-chdir", "-vconsole:off")
}

// NBCtl runs ovn-nbctl.
func (o *OVN) NBCtl(args ...string) string {
	o.t.Helper()
	return o.run("ovn-nbctl", append([]string{"--db=" + o.socket("nb"), "--timeout=20"}, args...)...)
}

func (o *OVN) daemon(name string, args ...string) (stop func()) {
	o.t.Helper()
	proc := exec.Command(name, args...)
	proc.Env = append(os.Environ(), "OVN_RUNDIR="+o.dir)
	proc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := proc.Start(); err != nil {
		o.t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = proc.Process.Kill()
			_ = proc.Wait()
		}
	}
	o.t.Cleanup(stop)
	return stop
}

func (o *OVN) run(name string, args ...string) string {
	o.t.Helper()
	return ovstest.Run(o.t, name, args...)
}
