package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/group"
)

// protocols are those that have ports, as OVN calls them.
var protocols = map[corev1.Protocol]string{corev1.ProtocolTCP: "tcp", corev1.ProtocolUDP: "udp", corev1.ProtocolSCTP: "sctp"}

// everyPort is what a rule names that names a protocol only.
var everyPort = Range{0, 65535}

// add takes a range in.
func (p *Ports) add(protocol corev1.Protocol, r Range) {
	if p.Numbers == nil {
		p.Numbers = map[corev1.Protocol][]Range{}
	}
	p.Numbers[protocol] = append(p.Numbers[protocol], r)
}

// name takes a named port in.
func (p *Ports) name(n group.NamedPort) {
	if !slices.Contains(p.Named, n) {
		p.Named = append(p.Named, n)
	}
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

// match is the part of an ACL's match that is about ports: "tcp.dst == {80, 443} || udp".
func (p *Ports) match() string {
	var parts []string
	for _, protocol := range slices.Sorted(maps.Keys(p.Numbers)) {
		field := protocols[protocol]
		var single []string
		for _, r := range p.Numbers[protocol] {
			switch {
			case r == everyPort:
				parts = append(parts, field)
			case r.First == r.Last:
				single = append(single, fmt.Sprint(r.First))
			default:
				parts = append(parts, fmt.Sprintf("(%s.dst >= %d && %s.dst <= %d)", field, r.First, field, r.Last))
			}
		}
		if len(single) > 0 {
			parts = append(parts, field+".dst == "+oneOf(single))
		}
	}
	return strings.Join(parts, " || ")
}

// oneOf is a value, or a set of several, as OVN's expressions have them.
func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "{" + strings.Join(values, ", ") + "}"
}
