package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cni"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

// options are the daemon's flags. Where Kube-OVN has a flag of the same meaning, it has the same name.
type options struct {
	nodeName  string
	namespace string

	kubeconfig    string
	bindSocket    string
	ovsSocket     string
	metricsListen string
	logging       zap.Options

	iface         string
	mtu           int
	datapath      string
	encapChecksum bool
	clusterRouter string
	nodeSwitch    string
	serviceRange  string
	closed        string

	cniConfDir  string
	cniConfName string
	cniBinDir   string
	binaries    string

	// what follows from the flags
	userspace    bool
	serviceCIDRs []netip.Prefix
	closedPorts  []uint16
}

const (
	datapathAuto = "auto"
	// kernelFamily is the generic netlink family of the openvswitch kernel module. Asking for it loads the module
	// where the kernel may.
	kernelFamily = "ovs_datapath"
)

func (o *options) parse(args []string) error {
	f := flag.NewFlagSet("woven-daemon", flag.ContinueOnError)
	f.StringVar(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of this node's Node object (environment: NODE_NAME)")
	f.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the OVN databases' Services (environment: POD_NAMESPACE)")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path of a kubeconfig; empty: the service account of the pod")
	f.StringVar(&o.bindSocket, "bind-socket", cni.DefaultSocket, "unix socket for the CNI plugin")
	f.StringVar(&o.ovsSocket, "ovs-socket", vsdb.DefaultEndpoint, "the local Open vSwitch database")
	f.StringVar(&o.metricsListen, "metrics-bind-address", "127.0.0.1:10665", "where /metrics, /healthz and /readyz are served")
	o.logging.BindFlags(f)
	f.StringVar(&o.iface, "iface", "", "interface for tunnels: names or regular expressions with commas between; empty: the one of the node's address")
	f.IntVar(&o.mtu, "mtu", 0, "MTU of pods; 0: worked out from the tunnel interface")
	f.StringVar(&o.datapath, "datapath", datapathAuto, "auto, kernel or userspace")
	f.BoolVar(&o.encapChecksum, "encap-checksum", true, "send tunnel packets with a UDP checksum")
	f.StringVar(&o.clusterRouter, "cluster-router", kubeovnv1.DefaultVpc, "name of the default Vpc")
	f.StringVar(&o.nodeSwitch, "node-switch", kubeovnv1.JoinSubnet, "name of the subnet of nodes")
	f.StringVar(&o.serviceRange, "service-cluster-ip-range", "10.96.0.0/12", "addresses of Services, never behind source NAT; one CIDR of each family")
	f.StringVar(&o.closed, "closed-ports", "10660,10665",
		"TCP ports of the node that pods do not reach, with commas between, beside those of OVN's databases")
	f.StringVar(&o.cniConfDir, "cni-conf-dir", "/etc/cni/net.d", "where the CNI configuration is written")
	f.StringVar(&o.cniConfName, "cni-conf-name", "01-woven.conflist", "name of the CNI configuration")
	f.StringVar(&o.cniBinDir, "cni-bin-dir", "/opt/cni/bin", "where the CNI plugins are installed")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("reading the flags: %w", err)
	}
	if f.NArg() > 0 {
		return fmt.Errorf("reading the flags: unexpected %q", f.Args())
	}
	return nil
}

// complete works out what follows from the flags and the machine.
func (o *options) complete() error {
	if o.nodeName == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("asking for the host's name: %w", err)
		}
		o.nodeName = strings.ToLower(name)
	}
	if o.namespace == "" {
		o.namespace = "kube-system"
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the daemon's own directory: %w", err)
	}
	o.binaries = filepath.Dir(self)
	for text := range strings.SplitSeq(o.serviceRange, ",") {
		cidr, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("--service-cluster-ip-range: %w", err)
		}
		o.serviceCIDRs = append(o.serviceCIDRs, cidr.Masked())
	}
	for text := range strings.FieldsFuncSeq(o.closed, func(r rune) bool { return r == ',' }) {
		port, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
		if err != nil || port == 0 {
			return fmt.Errorf("--closed-ports: %q is not a port", text)
		}
		o.closedPorts = append(o.closedPorts, uint16(port))
	}
	o.userspace = o.datapath == kubeovnv1.DatapathUserspace
	if o.datapath == datapathAuto {
		_, err := netlink.GenlFamilyGet(kernelFamily)
		o.userspace = err != nil
	}
	return nil
}

func (o *options) validate() error {
	var errs []error
	switch o.datapath {
	case datapathAuto, kubeovnv1.DatapathKernel, kubeovnv1.DatapathUserspace:
	default:
		errs = append(errs, fmt.Errorf("--datapath is %q, not auto, kernel or userspace", o.datapath))
	}
	if o.mtu != 0 && (o.mtu < 576 || o.mtu > 65535) {
		errs = append(errs, fmt.Errorf("--mtu is %d, not 0 or between 576 and 65535", o.mtu))
	}
	return errors.Join(errs...)
}

// datapathLabel is the value of the node's label.
func (o *options) datapathLabel() string {
	if o.userspace {
		return kubeovnv1.DatapathUserspace
	}
	return kubeovnv1.DatapathKernel
}
