package service

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/ovs"
)

// FeatureName is the Owner.Feature of a Service's rows.
const FeatureName = "service"

func balancer(key string, p corev1.Protocol) ovs.Sym {
	return ovs.Sym("service/" + key + "/" + strings.ToLower(string(p)))
}
