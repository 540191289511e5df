// Package policyapi is the conformance suite of sigs.k8s.io/network-policy-api as a test program. The tests and their
// manifests are upstream's, unchanged. So are the time limits, but for machines that are emulated.
package policyapi

import (
	"flag"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	api "sigs.k8s.io/network-policy-api/apis/v1alpha2"
	report "sigs.k8s.io/network-policy-api/conformance/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/conformance/tests"
	timeout "sigs.k8s.io/network-policy-api/conformance/utils/config"
	"sigs.k8s.io/network-policy-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

var (
	kubeconfig = flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "the cluster's kubeconfig")
	version    = flag.String("woven-version", "", "the version that the report names")
	patience   = flag.Int("patience", 1, "how many times as long as by default to wait for pods, and for what a call should find")
	output     = flag.String("report", "", "file for the report that upstream collects")
)

// TestConformance runs every test of the suite, with all features: Woven claims both the standard and the experimental.
func TestConformance(t *testing.T) {
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Install(c.Scheme()); err != nil {
		t.Fatal(err)
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	limits := timeout.DefaultTimeoutConfig()
	limits.NamespacesMustBeReady *= time.Duration(*patience)
	limits.PokeTimeout *= time.Duration(*patience)
	s, err := suite.NewConformanceProfileTestSuite(suite.ConformanceProfileOptions{
		Options: suite.Options{
			Client: c, ClientSet: set, KubeConfig: *config, TimeoutConfig: limits,
			CleanupBaseResources: true, SupportedFeatures: suite.AllFeatures.Clone(),
		},
		Implementation: report.Implementation{
			Organization: "woven-cni", Project: "woven", URL: "https://github.com/woven-cni/woven", Version: *version,
			Contact:               []string{"https://github.com/woven-cni/woven/issues/new"},
			AdditionalInformation: "https://github.com/woven-cni/woven/blob/main/docs/conformance.md",
		},
		ConformanceProfiles: sets.New(suite.CNPConformanceProfileName),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Setup(t)
	if err := s.Run(t, tests.ConformanceTests); err != nil {
		t.Fatal(err)
	}
	write(t, s)
}

// write stores the report in upstream's format.
func write(t *testing.T, s *suite.ConformanceProfileTestSuite) {
	if *output == "" {
		return
	}
	r, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	b, err := yaml.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*output, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
