package pod

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
)

// wish is what a pod asks for by the annotation ip_pool: addresses of IPPools, or one of some addresses. The zero wish is none.
type wish struct {
	// pools are the names of IPPools, the first choice first.
	pools []string
	// choices are addresses, the first choice first.
	choices []ipam.Addrs
}

// Bounds of the annotation: the pods of a workload have the whole list, an address for each of them.
const (
	maxPools    = 8
	maxChoices  = 512
	maxPoolText = maxChoices * 64 // an address of each family
)

// parseWish reads the annotation ip_pool of a pod.
func parseWish(pod *corev1.Pod) (w wish, err error) {
	for _, entry := range choices(pod.Annotations[v1.AnnotationIPPool]) {
		if addrs, err := ipam.ParseAddrs(entry); err == nil {
			w.choices = append(w.choices, addrs)
		} else {
			w.pools = append(w.pools, entry)
		}
	}
	switch {
	case len(w.pools) > 0 && len(w.choices) > 0:
		return wish{}, fmt.Errorf("%q is no address; it holds addresses, or names of IPPools, and not both", w.pools[0])
	case len(w.pools) > maxPools:
		return wish{}, fmt.Errorf("it names %d IPPools, and may name %d", len(w.pools), maxPools)
	case len(w.choices) > maxChoices:
		return wish{}, fmt.Errorf("it has %d addresses, and may have %d", len(w.choices), maxChoices)
	}
	if n, is := ordinal(pod); is && len(w.choices) > 0 {
		if n >= len(w.choices) {
			return wish{}, fmt.Errorf("it has %d addresses for its StatefulSet, and none for number %d", len(w.choices), n)
		}
		w.choices = w.choices[n : n+1]
	}
	return w, nil
}

// choices are the entries of the annotation: with commas between, or with semicolons between pairs of an address of each family.
// Two addresses, one of each family, are a pair.
func choices(text string) []string {
	separator := ","
	if strings.Contains(text, ";") {
		separator = ";"
	}
	var out []string
	for _, entry := range strings.Split(text, separator) {
		if entry = strings.Trim(entry, ", "); entry != "" {
			out = append(out, entry)
		}
	}
	if len(out) == 2 && strings.Contains(out[0], ":") != strings.Contains(out[1], ":") {
		return []string{out[0] + "," + out[1]}
	}
	return out
}

// ordinal is the number of a pod in its StatefulSet, whose pods have the addresses of the list by their number.
func ordinal(pod *corev1.Pod) (n int, is bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "StatefulSet" {
		return 0, false
	}
	number, is := strings.CutPrefix(pod.Name, owner.Name+"-")
	n, err := strconv.Atoi(number)
	return n, is && err == nil && n >= 0
}

// fits says whether a lease is what is asked for; in are the IPPools that the lease is of.
func (w wish) fits(lease ipam.Lease, in []string) bool {
	if len(w.pools) > 0 {
		return slices.ContainsFunc(w.pools, func(name string) bool { return slices.Contains(in, name) })
	}
	return len(w.choices) == 0 || slices.ContainsFunc(w.choices, func(a ipam.Addrs) bool {
		return (!a.V4.IsValid() || a.V4 == lease.V4) && (!a.V6.IsValid() || a.V6 == lease.V6)
	})
}
