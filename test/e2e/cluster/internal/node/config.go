package node

import (
	"fmt"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// containerdConfig: restrict_oom_score_adj, because a container without CAP_SYS_RESOURCE may not lower the score. The
// sandbox image is pinned, so that the kubelet never collects it.
const containerdConfig = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "registry.k8s.io/pause:3.10.2"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
`

// kubeletConfig: images are loaded by hand and cannot be pulled again, so none is ever collected.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/node.crt
tlsPrivateKeyFile: /etc/kubernetes/node.key
cgroupDriver: cgroupfs
cgroupRoot: /
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: true
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDomain: cluster.local
clusterDNS: [%s]
resolvConf: /etc/resolv.conf
serializeImagePulls: false
imageMaximumGCAge: 0s
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 2%%, imagefs.available: 2%%}
nodeStatusUpdateFrequency: 5s
shutdownGracePeriod: 0s
`

// kubeletConfigVM: an emulated machine would spend half its time on looking whether its containers still run.
const kubeletConfigVM = `featureGates: {EventedPLEG: true}
`

// kubeProxyConfig: maxPerCore 0, because the conntrack limit is the machine's and not ours to set.
const kubeProxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.conf}
mode: nftables
clusterCIDR: %s
hostnameOverride: %s
conntrack: {maxPerCore: 0}
`

// config renders the node's configuration files, by path.
func (n *Node) config() map[string]string {
	hosts := "127.0.0.1 localhost\n::1 localhost\n"
	for i := 1; i <= n.cluster.All(); i++ {
		for _, a := range n.cluster.Addrs(spec.Management, i) {
			hosts += fmt.Sprintf("%s %s\n", a, spec.NodeName(i))
		}
	}
	// Nobody answers there: names of the outer world do not resolve in the cluster.
	resolver := n.cluster.Addrs(spec.Management, spec.MachineHost)[0]
	kubelet := kubeletConfig
	if n.cluster.VM(n.Index) {
		kubelet += kubeletConfigVM
	}
	return map[string]string{
		"/etc/hostname":                   n.Name + "\n",
		"/etc/hosts":                      hosts,
		"/etc/resolv.conf":                fmt.Sprintf("nameserver %s\n", resolver),
		"/etc/containerd/config.toml":     containerdConfig,
		"/etc/kubernetes/kubelet.yaml":    fmt.Sprintf(kubelet, join(n.cluster.Addrs(spec.Services, spec.DNSHost))),
		"/etc/kubernetes/kube-proxy.yaml": fmt.Sprintf(kubeProxyConfig, join(n.cluster.Prefixes(spec.Pods)), n.Name),
	}
}

// Kubelet is the command line of the kubelet.
func (n *Node) Kubelet() []string {
	argv := []string{
		"kubelet", "--config=/etc/kubernetes/kubelet.yaml", "--kubeconfig=/etc/kubernetes/kubelet.conf",
		"--hostname-override=" + n.Name, "--node-ip=" + join(n.Addrs), "--v=2",
	}
	if n.cluster.VM(n.Index) {
		// What does not ask for this node goes to another.
		argv = append(argv, "--housekeeping-interval=60s", "--register-with-taints=woven-sandbox/slow=:PreferNoSchedule")
	}
	return argv
}

// join prints values with commas between them, as Kubernetes takes dual-stack values.
func join[T fmt.Stringer](values []T) string {
	var s []string
	for _, v := range values {
		s = append(s, v.String())
	}
	return strings.Join(s, ",")
}
