package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"testing"
)

func TestIssue(t *testing.T) {
	ca, err := NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(Subject{
		Name: "system:node:node1", Groups: []string{"system:nodes"}, Hosts: []string{"node1"},
		Addrs: []netip.Addr{netip.MustParseAddr("172.31.0.1"), netip.MustParseAddr("fd00:31::1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
		t.Errorf("certificate and key do not fit: %v", err)
	}
	block, _ := pem.Decode(pair.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"node1", "172.31.0.1", "fd00:31::1"} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool(t, ca), DNSName: host}); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool(t, other), DNSName: "node1"}); err == nil {
		t.Error("another cluster's authority accepts the certificate")
	}
	if cert.Subject.CommonName != "system:node:node1" || len(cert.Subject.Organization) != 1 {
		t.Errorf("subject is %s", cert.Subject)
	}
}

func pool(t *testing.T, a *Authority) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(a.Cert) {
		t.Fatal("the authority's certificate is not PEM")
	}
	return p
}
