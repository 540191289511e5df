package namespace

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// heeded are Kube-OVN's annotations of Namespaces that need no answer: the feature writes them.
var heeded = spec.Heeded{
	v1.AnnotationLogicalSwitch: nil, v1.AnnotationCIDR: nil, v1.AnnotationExcludeIPs: nil, v1.AnnotationIPPool: nil,
}

// report tells which annotations are not in force: a Namespace has no condition of ours.
func (f *feature) report(_ context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	switch {
	case in.Namespace != nil:
		f.unheeded.Tell(in.Namespace, false)
	case out.Waiting == nil:
		f.unheeded.Forget(key)
	}
	return nil
}

// record writes the annotations. With no subnet at all they are taken away.
func record() reconcile.Record[Input, *corev1.Namespace] {
	return reconcile.Record[Input, *corev1.Namespace]{
		Object: func(in Input) (*corev1.Namespace, bool) {
			return in.Namespace, in.Namespace != nil && in.Namespace.DeletionTimestamp == nil
		},
		Fill: func(in Input, _ reconcile.Outcome, ns *corev1.Namespace) {
			for name, value := range in.annotations() {
				if value == "" {
					delete(ns.Annotations, name)
					continue
				}
				if ns.Annotations == nil {
					ns.Annotations = map[string]string{}
				}
				ns.Annotations[name] = value
			}
		},
	}
}

// annotations have the separators that Kube-OVN has: a comma inside what is one subnet's, a semicolon between subnets.
func (in Input) annotations() map[string]string {
	var names, cidrs, excluded []string
	for _, s := range in.Subnets {
		names = append(names, s.Name)
		cidrs = append(cidrs, s.CIDRs.String())
		excluded = append(excluded, strings.Join(s.ExcludeTexts, ","))
	}
	return map[string]string{
		v1.AnnotationLogicalSwitch: strings.Join(names, ","),
		v1.AnnotationCIDR:          strings.Join(cidrs, ";"),
		v1.AnnotationExcludeIPs:    strings.Join(excluded, ";"),
		v1.AnnotationIPPool:        strings.Join(in.IPPools, ","),
	}
}
