package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/policy/rules"
)

// protocols are those that have ports, as OVN calls them.
var protocols = map[corev1.Protocol]string{corev1.ProtocolTCP: "tcp", corev1.ProtocolUDP: "udp", corev1.ProtocolSCTP: "sctp"}

// portMatch is the part of an ACL's match that is about ports given by number: "tcp.dst == {80, 443} || udp"; "" when any
// will do.
func portMatch(r *rules.Rule) string {
	if r.AnyPort {
		return ""
	}
	var parts []string
	for _, protocol := range slices.Sorted(maps.Keys(r.Ports.Numbers)) {
		field := protocols[protocol]
		var single []string
		for _, span := range r.Ports.Numbers[protocol] {
			switch {
			case span == rules.EveryPort:
				parts = append(parts, field)
			case span.First == span.Last:
				single = append(single, fmt.Sprint(span.First))
			default:
				parts = append(parts, fmt.Sprintf("(%s.dst >= %d && %s.dst <= %d)", field, span.First, field, span.Last))
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

// joinAll is the conjunction of parts that are not empty; "ip" when all are.
func joinAll(parts ...string) string {
	var all []string
	for _, p := range parts {
		switch {
		case p == "":
		case strings.Contains(p, "||"):
			all = append(all, "("+p+")")
		default:
			all = append(all, p)
		}
	}
	switch len(all) {
	case 0:
		return "ip"
	case 1:
		return parts[slices.IndexFunc(parts, func(p string) bool { return p != "" })]
	}
	return strings.Join(all, " && ")
}
