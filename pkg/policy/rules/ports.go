package rules

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/group"
)

// protocols are those that have ports.
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// EveryPort is the range of a rule that names a protocol only.
var EveryPort = Range{0, 65535}

// add takes a range in.
func (p *Ports) add(protocol corev1.Protocol, r Range) {
	if p.Numbers == nil {
		p.Numbers = map[corev1.Protocol][]Range{}
	}
	p.Numbers[protocol] = append(p.Numbers[protocol], r)
}

// addRange takes in what a user wrote.
func (p *Ports) addRange(protocol corev1.Protocol, first, last int32) error {
	if first < 1 || last > 65535 || last < first {
		return fmt.Errorf("there are no ports from %d to %d", first, last)
	}
	p.add(protocol, Range{uint16(first), uint16(last)})
	return nil
}

// name takes a named port in.
func (p *Ports) name(n group.NamedPort) {
	if !slices.Contains(p.Named, n) {
		p.Named = append(p.Named, n)
	}
}

// Count is how many ranges and names they are.
func (p *Ports) Count() int {
	count := len(p.Named)
	for _, ranges := range p.Numbers {
		count += len(ranges)
	}
	return count
}

// tidy merges ranges that overlap or touch, and sorts.
func (p *Ports) tidy() {
	for protocol, ranges := range p.Numbers {
		slices.SortFunc(ranges, func(a, b Range) int { return int(a.First) - int(b.First) })
		var out []Range
		for _, r := range ranges {
			if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
				out[n-1].Last = max(out[n-1].Last, r.Last)
				continue
			}
			out = append(out, r)
		}
		p.Numbers[protocol] = out
	}
	slices.SortFunc(p.Named, func(a, b group.NamedPort) int { return strings.Compare(a.String(), b.String()) })
}
