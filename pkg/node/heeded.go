package node

import (
	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

// heeded are Kube-OVN's annotations of nodes that need no answer: the first is acted on by the node, and all others are the
// answer.
var heeded = spec.Heeded{
	v1.AnnotationTunnelInterface: nil,
	v1.AnnotationAllocated:       nil, v1.AnnotationRouted: nil, v1.AnnotationIPAddress: nil, v1.AnnotationMACAddress: nil, v1.AnnotationCIDR: nil,
	v1.AnnotationGateway: nil, v1.AnnotationLogicalSwitch: nil, v1.AnnotationLogicalRouter: nil, v1.AnnotationPortName: nil, v1.AnnotationChassis: nil,
}
