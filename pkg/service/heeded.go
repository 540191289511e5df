package service

import (
	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

// heeded are Kube-OVN's annotations of Services that need no answer: the first is acted on, and Kube-OVN writes the others.
var heeded = spec.Heeded{v1.AnnotationVpc: nil, v1.AnnotationLogicalRouter: nil, v1.AnnotationLogicalSwitch: nil}
