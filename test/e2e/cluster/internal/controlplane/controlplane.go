// Package controlplane runs etcd, the API server, the controller manager and the scheduler on the first node, and makes
// the secrets that let everybody else in.
package controlplane

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// StartAPI starts etcd and the API server on a node. The API server waits for etcd by itself.
func StartAPI(ctx context.Context, n *node.Node, c spec.Cluster) error {
	if err := n.Service(ctx, etcd()...); err != nil {
		return err
	}
	return n.Service(ctx, apiServerCommand(c)...)
}

// StartControllers starts the controller manager and the scheduler on a node, once the API answers.
func StartControllers(ctx context.Context, n *node.Node, c spec.Cluster) error {
	if err := n.Service(ctx, controllerManager(c)...); err != nil {
		return err
	}
	return n.Service(ctx, withKubeconfig("kube-scheduler", "--leader-elect=false")...)
}

// etcd need not survive a power cut, so it need not wait for the disk either.
func etcd() []string {
	return []string{
		"etcd", "--name=woven", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=woven=http://127.0.0.1:2380",
	}
}

func apiServerCommand(c spec.Cluster) []string {
	return []string{
		"kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address=" + c.Addrs(spec.Management, 1)[0].String(),
		"--bind-address=::", "--secure-port=6443",
		"--service-cluster-ip-range=" + Prefixes(c, spec.Services),
		"--tls-cert-file=" + pkiDir + "apiserver.crt", "--tls-private-key-file=" + pkiDir + "apiserver.key",
		"--client-ca-file=" + pkiDir + "ca.crt",
		"--kubelet-client-certificate=" + pkiDir + "apiserver-kubelet-client.crt",
		"--kubelet-client-key=" + pkiDir + "apiserver-kubelet-client.key",
		"--kubelet-certificate-authority=" + pkiDir + "ca.crt",
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-key-file=" + pkiDir + "sa.crt", "--service-account-signing-key-file=" + pkiDir + "sa.key",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--requestheader-client-ca-file=" + pkiDir + "front-proxy-ca.crt",
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + pkiDir + "front-proxy-client.crt",
		"--proxy-client-key-file=" + pkiDir + "front-proxy-client.key",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
	}
}

// controllerManager gives nodes pod CIDRs only where the plugin wants them: Woven has subnets of its own.
func controllerManager(c spec.Cluster) []string {
	argv := withKubeconfig("kube-controller-manager",
		"--leader-elect=false",
		"--service-cluster-ip-range="+Prefixes(c, spec.Services),
		"--service-account-private-key-file="+pkiDir+"sa.key", "--root-ca-file="+pkiDir+"ca.crt",
		"--cluster-signing-cert-file="+pkiDir+"ca.crt", "--cluster-signing-key-file="+pkiDir+"ca.key",
		"--use-service-account-credentials", "--cluster-cidr="+Prefixes(c, spec.Pods))
	if c.CNI != spec.Bridge {
		return append(argv, "--allocate-node-cidrs=false")
	}
	argv = append(argv, "--allocate-node-cidrs")
	for _, p := range c.Prefixes(spec.Pods) {
		switch {
		case c.Family != spec.Dual:
			argv = append(argv, fmt.Sprintf("--node-cidr-mask-size=%d", nodeBits(p)))
		case p.Addr().Is4():
			argv = append(argv, fmt.Sprintf("--node-cidr-mask-size-ipv4=%d", nodeBits(p)))
		default:
			argv = append(argv, fmt.Sprintf("--node-cidr-mask-size-ipv6=%d", nodeBits(p)))
		}
	}
	return argv
}

// nodeBits is the length of a node's part of the pod network.
func nodeBits(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 24
	}
	return 64
}

func withKubeconfig(program string, args ...string) []string {
	conf := pkiDir + program + ".conf"
	return append([]string{
		program, "--kubeconfig=" + conf, "--authentication-kubeconfig=" + conf,
		"--authorization-kubeconfig=" + conf,
	}, args...)
}

// Prefixes prints the prefixes of a network in the cluster's families, as Kubernetes takes them.
func Prefixes(c spec.Cluster, n spec.Net) string {
	var s []string
	for _, p := range c.Prefixes(n) {
		s = append(s, p.String())
	}
	return strings.Join(s, ",")
}
