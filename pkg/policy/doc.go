// Package policy turns the policies of Kubernetes' network APIs into ACLs on the port groups of the pods they are about.
//
// Package rules reads each API into the same Policy, which Translate turns into rows. The ACLs of a policy are one owner's
// and change in one transaction; groups of pods are package group's.
package policy

// The custom resources of administrators' policies are those of the module: one version as it is there, the older one,
// of which the module has the types only, made of them.
//
//go:generate sh -c "cat $(go list -m -f {{.Dir}} sigs.k8s.io/network-policy-api)/config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml > ../../charts/woven/crds/policy.networking.k8s.io_clusternetworkpolicies.yaml"
//go:generate go tool -modfile=../../tools/go.mod controller-gen crd paths=sigs.k8s.io/network-policy-api/apis/v1alpha1 output:crd:dir=../../charts/woven/crds
//go:generate sed -i "0,/annotations:/s||annotations:\\n    api-approved.kubernetes.io: https://github.com/kubernetes-sigs/network-policy-api/pull/106|" ../../charts/woven/crds/policy.networking.k8s.io_adminnetworkpolicies.yaml ../../charts/woven/crds/policy.networking.k8s.io_baselineadminnetworkpolicies.yaml
