// Package v1 holds the kubeovn.io/v1 API: the kinds, fields and annotation keys
// that Kube-OVN's users already have in their manifests.
//
// What can be known to be wrong from one object alone is refused by the API
// server, through the OpenAPI and CEL markers here; what needs the sight of
// other objects is answered by the controller in a condition.
//
// +kubebuilder:object:generate=true
// +kubebuilder:validation:Optional
// +groupName=kubeovn.io
package v1

//go:generate go tool -modfile=../../../../tools/go.mod controller-gen object crd:allowDangerousTypes=true paths=. output:crd:dir=../../../../charts/woven/crds
