package group

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/woven-cni/woven/pkg/ovs"
)

// NamedPort is a port of containers by its name. Number is what a pod means by the name; 0 stands for whatever it is.
type NamedPort struct {
	Protocol corev1.Protocol
	Name     string
	Number   int32
}

// Selector says which pods belong to a group. Equal selectors select the same pods; it is a value and can be a key.
type Selector struct {
	// Namespace is the name of the one namespace whose pods are meant. When it is empty, Namespaces selects by labels.
	Namespace string
	// Namespaces and Pods are label selectors as Canonical writes them; empty selects everything.
	Namespaces, Pods string
	// Port, if it has a name, keeps only the pods that have such a port.
	Port NamedPort
}

// With narrows the selector to the pods with a port.
func (s Selector) With(p NamedPort) Selector {
	s.Port = p
	return s
}

// Name is the name of the group's row. Names of port groups allow few characters, so that anything readable could
// collide (test-np with test.np); what it stands for is in external_ids.
func (s Selector) Name() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Namespace, s.Namespaces, s.Pods, s.Port.String()}, "\x00")))
	return prefix + hex.EncodeToString(sum[:10])
}

const prefix = "g_"

// Sym names the Port_Group with this name.
func Sym(name string) ovs.Sym { return ovs.Sym(FeatureName + "/" + name) }

// String is "tcp/http=8080"; empty for the zero NamedPort.
func (p NamedPort) String() string {
	if p.Name == "" {
		return ""
	}
	return strings.ToLower(string(p.Protocol)) + "/" + p.Name + "=" + strconv.Itoa(int(p.Number))
}

// The keys of external_ids that hold a Selector.
const (
	keyNamespace  = "namespace"
	keyNamespaces = "namespaces"
	keyPods       = "pods"
	keyPort       = "port"
)

// ids are external_ids that tell a person, and the next controller, what the group is.
func (s Selector) ids() map[string]string {
	ids := map[string]string{keyPods: s.Pods}
	if s.Namespace != "" {
		ids[keyNamespace] = s.Namespace
	} else {
		ids[keyNamespaces] = s.Namespaces
	}
	if s.Port.Name != "" {
		ids[keyPort] = s.Port.String()
	}
	return ids
}

// ParseIDs reads what is in the external_ids of a group's row.
func ParseIDs(ids map[string]string) (Selector, error) {
	s := Selector{Namespace: ids[keyNamespace], Namespaces: ids[keyNamespaces], Pods: ids[keyPods]}
	if text := ids[keyPort]; text != "" {
		protocol, rest, _ := strings.Cut(text, "/")
		name, number, _ := strings.Cut(rest, "=")
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			return s, fmt.Errorf("%q is no named port: %w", text, err)
		}
		s.Port = NamedPort{Protocol: corev1.Protocol(strings.ToUpper(protocol)), Name: name, Number: int32(n)}
	}
	return s, nil
}

// String is the selector for people.
func (s Selector) String() string {
	text := "pods"
	if s.Pods != "" {
		text += " with " + s.Pods
	}
	switch {
	case s.Namespace != "":
		text += " in namespace " + s.Namespace
	case s.Namespaces != "":
		text += " in namespaces with " + s.Namespaces
	}
	if s.Port.Name != "" {
		text += " and port " + s.Port.String()
	}
	return text
}

// Of makes a Selector of the selectors of an API object.
func Of(namespaces, pods *metav1.LabelSelector) (Selector, error) {
	var s Selector
	var err error
	if s.Pods, err = Canonical(pods); err != nil {
		return s, fmt.Errorf("podSelector: %w", err)
	}
	if s.Namespace = byName(namespaces); s.Namespace != "" {
		return s, nil
	}
	if s.Namespaces, err = Canonical(namespaces); err != nil {
		return s, fmt.Errorf("namespaceSelector: %w", err)
	}
	return s, nil
}

// byName finds the one namespace that a selector means, when it selects by the label that every namespace has its name
// in: such groups are found by the namespace, and are the same as those that name it.
func byName(s *metav1.LabelSelector) string {
	switch {
	case s == nil:
	case len(s.MatchLabels) == 1 && len(s.MatchExpressions) == 0:
		return s.MatchLabels[corev1.LabelMetadataName]
	case len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 1:
		if e := s.MatchExpressions[0]; e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpIn && len(e.Values) == 1 {
			return e.Values[0]
		}
	}
	return ""
}

// Canonical writes a label selector so that selectors which say the same are the same text. Nil and empty select all.
func Canonical(s *metav1.LabelSelector) (string, error) {
	if s == nil {
		return "", nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return "", err //nolint:wrapcheck // the caller says which selector it is
	}
	requirements, _ := parsed.Requirements()
	texts := make([]string, len(requirements))
	for i, r := range requirements {
		values := r.ValuesUnsorted()
		if r.Operator() == selection.In && len(values) == 1 {
			texts[i] = r.Key() + "=" + values[0]
			continue
		}
		texts[i] = r.String()
	}
	slices.Sort(texts)
	text := strings.Join(slices.Compact(texts), ",")
	if _, err := labels.Parse(text); err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	return text, nil
}
