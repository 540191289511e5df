package namespace

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Input is a namespace and the subnets that a pod of it may have its address from, the first choice first.
type Input struct {
	Namespace *corev1.Namespace // nil: there is none
	Subnets   []subnet.Subnet
	// IPPools are the names of those that it is to have its address of, if there are any.
	IPPools []string
}

// Translate wants no rows: what concerns a namespace's pods is on their ports.
func Translate(Input) (ovs.Desired, reconcile.Problems) { return ovs.Desired{}, nil }
