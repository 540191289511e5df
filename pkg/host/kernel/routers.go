package kernel

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/woven-cni/woven/pkg/host/device"
)

// Forwarding6 is the sysctl that makes the node forward IPv6.
const Forwarding6 = "net/ipv6/conf/all/forwarding"

const (
	linkSysctls = "net/ipv6/conf"
	// learnAsHost and learnAlways are values of accept_ra: take router advertisements unless the link forwards, or whatever it does.
	learnAsHost = "1"
	learnAlways = "2"
)

func acceptRA(link string) string { return linkSysctls + "/" + link + "/accept_ra" }

// keepLearning has links that take router advertisements go on to when the node begins to forward. Without, the kernel
// drops the default routes it has learned, and learns neither these nor addresses any more: a node that has its address and
// its way out by SLAAC would lose IPv6 (kernel: Documentation/networking/ip-sysctl, accept_ra). What was set to take none
// before stays so, and what appears later is whoever's that configures it.
func keepLearning(plan *Plan, want, have State) {
	if plan.Sysctls[Forwarding6] != "1" {
		return
	}
	for _, link := range have.Learning {
		if !slices.Contains(want.TakenOver, link) {
			plan.Sysctls[acceptRA(link)] = learnAlways
		}
	}
}

// inOrder sorts sysctls as they are to be written. mcast_resolicit comes before ucast_solicit: a kernel without the second and
// not yet with the first would have no probe left, and give neighbours up. Forwarding comes last, after what keeps links learning.
func inOrder(sysctls map[string]string) []string {
	keys := slices.Sorted(maps.Keys(sysctls))
	if i := slices.Index(keys, Forwarding6); i >= 0 {
		keys = append(slices.Delete(keys, i, i+1), Forwarding6)
	}
	return keys
}

// learningLinks are the links that take router advertisements now. Those of pods and ovn0 are left out: a pod must not
// be the node's router.
func learningLinks() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(sysctlRoot, linkSysctls))
	if err != nil {
		return nil, fmt.Errorf("listing links with IPv6: %w", err)
	}
	var out []string
	for _, entry := range entries {
		link := entry.Name()
		if slices.Contains([]string{"all", "default", "lo", NodeInterface}, link) || device.IsPodName(link) {
			continue
		}
		accepts, _, err := readSysctl(acceptRA(link))
		if err != nil {
			return nil, err
		}
		forwards, _, err := readSysctl(linkSysctls + "/" + link + "/forwarding")
		if err != nil {
			return nil, err
		}
		if accepts == learnAsHost && forwards == "0" {
			out = append(out, link)
		}
	}
	return out, nil
}
