package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/pki"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// pkiDir is where the control plane's node keeps keys and certificates.
const pkiDir = "/etc/kubernetes/pki/"

// Secrets are the files that let each node, and the administrator, into the cluster.
type Secrets struct {
	nodes      map[string]map[string]string // by node and path
	kubeconfig []byte
}

// ForNode are the secret files of one node, by path.
func (s *Secrets) ForNode(name string) map[string]string { return s.nodes[name] }

// WriteKubeconfig stores the administrator's kubeconfig.
func (s *Secrets) WriteKubeconfig(path string) error { return os.WriteFile(path, s.kubeconfig, 0o600) }

// issuer makes certificates and remembers the first error, so that a list of them reads as a list.
type issuer struct {
	ca     *pki.Authority
	server string
	err    error
}

// NewSecrets makes all secrets of a cluster.
func NewSecrets(c spec.Cluster) (*Secrets, error) {
	ca, err := pki.NewAuthority("woven-sandbox")
	if err != nil {
		return nil, err
	}
	proxyCA, err := pki.NewAuthority("woven-sandbox-front-proxy")
	if err != nil {
		return nil, err
	}
	accounts, err := pki.SigningKey()
	if err != nil {
		return nil, err
	}
	is := &issuer{ca: ca, server: ServerURL(c)}
	front := &issuer{ca: proxyCA}
	s := &Secrets{nodes: map[string]map[string]string{}}
	for i := 1; i <= c.All(); i++ {
		s.nodes[spec.NodeName(i)] = is.node(c, i)
	}
	master := s.nodes[spec.NodeName(1)]
	put(master, pkiDir+"ca", ca.Pair)
	put(master, pkiDir+"front-proxy-ca", proxyCA.Pair)
	put(master, pkiDir+"sa", accounts)
	put(master, pkiDir+"apiserver", is.issue(apiServer(c)))
	put(master, pkiDir+"apiserver-kubelet-client", is.issue(pki.Subject{Name: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}}))
	put(master, pkiDir+"front-proxy-client", front.issue(pki.Subject{Name: "front-proxy-client"}))
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		master[pkiDir+name+".conf"] = string(is.kubeconfig(pki.Subject{Name: "system:" + name}))
	}
	s.kubeconfig = is.kubeconfig(pki.Subject{Name: "kubernetes-admin", Groups: []string{"system:masters"}})
	if is.err != nil {
		return nil, is.err
	}
	return s, front.err
}

// node makes the secrets that every node has.
func (is *issuer) node(c spec.Cluster, i int) map[string]string {
	name := spec.NodeName(i)
	user := pki.Subject{
		Name: "system:node:" + name, Groups: []string{"system:nodes"},
		Hosts: []string{name}, Addrs: c.Addrs(spec.Management, i),
	}
	files := map[string]string{
		"/etc/kubernetes/ca.crt":          string(is.ca.Cert),
		"/etc/kubernetes/kubelet.conf":    string(is.kubeconfig(user)),
		"/etc/kubernetes/kube-proxy.conf": string(is.kubeconfig(pki.Subject{Name: "system:kube-proxy"})),
	}
	put(files, "/etc/kubernetes/node", is.issue(user))
	return files
}

func put(files map[string]string, path string, p pki.Pair) {
	files[path+".crt"], files[path+".key"] = string(p.Cert), string(p.Key)
}

// apiServer is whom the API server's certificate is for: every name and address it is reached by.
func apiServer(c spec.Cluster) pki.Subject {
	s := pki.Subject{Name: "kube-apiserver", Hosts: []string{
		"localhost", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}}
	s.Addrs = append(s.Addrs, netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback())
	s.Addrs = append(s.Addrs, c.Addrs(spec.Management, 1)...)
	s.Addrs = append(s.Addrs, c.Addrs(spec.Services, 1)...)
	return s
}

// ServerURL is how everybody reaches the API server: at the first node, over the management network.
func ServerURL(c spec.Cluster) string {
	return "https://" + net.JoinHostPort(c.Addrs(spec.Management, 1)[0].String(), "6443")
}

func (is *issuer) issue(s pki.Subject) pki.Pair {
	if is.err != nil {
		return pki.Pair{}
	}
	p, err := is.ca.Issue(s)
	is.err = err
	return p
}

func (is *issuer) kubeconfig(s pki.Subject) []byte {
	p := is.issue(s)
	if is.err != nil {
		return nil
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["woven"] = &clientcmdapi.Cluster{Server: is.server, CertificateAuthorityData: is.ca.Cert}
	cfg.AuthInfos[s.Name] = &clientcmdapi.AuthInfo{ClientCertificateData: p.Cert, ClientKeyData: p.Key}
	cfg.Contexts["woven"] = &clientcmdapi.Context{Cluster: "woven", AuthInfo: s.Name}
	cfg.CurrentContext = "woven"
	b, err := clientcmd.Write(*cfg)
	if err != nil {
		is.err = fmt.Errorf("encoding the kubeconfig of %s: %w", s.Name, err)
	}
	return b
}
