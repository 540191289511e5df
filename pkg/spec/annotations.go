package spec

import (
	"cmp"
	"slices"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// Heeded are the annotations of Kube-OVN on a kind of object that need no answer. One that is acted on, or that a controller
// writes, has no values; of the others these are the values that ask for nothing beside what is so anyway.
type Heeded map[string][]string

// Unheeded are the annotations of an object, in order, that ask for something that nobody acts on: all those of Kube-OVN, also
// of an attachment and also those that are new to it, that are not heeded. An empty value asks for nothing.
func (h Heeded) Unheeded(annotations map[string]string) []string {
	const domain = v1.Provider + ".kubernetes.io"
	var out []string
	for key, value := range annotations {
		of, _, _ := strings.Cut(key, "/")
		values, heeded := h[key]
		switch {
		case of != domain && !strings.HasSuffix(of, "."+domain), value == "", heeded && len(values) == 0, slices.Contains(values, value):
		default:
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), cmp.Compare(a, b))
	})
	return out
}
