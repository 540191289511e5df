package pod

import (
	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

// heeded are Kube-OVN's annotations of pods that need no answer. All others get one: whoever asks for a security group or a
// limit of rates has to know that there is none.
var heeded = spec.Heeded{
	// acted on, here or by the pod's node
	v1.AnnotationIPAddress: nil, v1.AnnotationMACAddress: nil, v1.AnnotationIPFamily: nil, v1.AnnotationLogicalSwitch: nil,
	v1.AnnotationIPPool: nil, v1.AnnotationRoutes: nil,
	// the answer
	v1.AnnotationAllocated: nil, v1.AnnotationAllocatedUID: nil, v1.AnnotationRouted: nil, v1.AnnotationCIDR: nil,
	v1.AnnotationGateway: nil, v1.AnnotationLogicalRouter: nil,
	// what Kube-OVN has written to a pod that moved over
	"ovn.kubernetes.io/virtualmachine": nil, "ovn.kubernetes.io/vlan_id": nil, "ovn.kubernetes.io/provider_network": nil,
	"ovn.kubernetes.io/vf": nil, "ovn.kubernetes.io/vf_representor": nil,
	// so anyway
	v1.AnnotationPortSecurity: {"true"}, v1.AnnotationPodNicType: {"veth-pair"}, v1.AnnotationDefaultRoute: {"true"},
	v1.AnnotationMirror: {"false"}, v1.AnnotationLayer2Forward: {"false"},
}
