package reconcile

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestTurn is what people are told of by Events: that something is not ready, another reason for that, and the end of it.
func TestTurn(t *testing.T) {
	subnet := func(status metav1.ConditionStatus, reason string) *v1.Subnet {
		s := &v1.Subnet{}
		if status != "" {
			s.Status.Conditions = []v1.Condition{{Type: v1.ConditionReady, Status: status, Reason: reason, Message: "why"}}
		}
		return s
	}
	for name, tc := range map[string]struct {
		was, now *v1.Subnet
		want     string // kind, reason and message
	}{
		"new and ready":    {subnet("", ""), subnet("True", "Ready"), ""},
		"new and refused":  {subnet("", ""), subnet("False", "Overlap"), "Warning Overlap why"},
		"refused":          {subnet("True", "Ready"), subnet("False", "Overlap"), "Warning Overlap why"},
		"as before":        {subnet("False", "Overlap"), subnet("False", "Overlap"), ""},
		"for another sake": {subnet("False", "Overlap"), subnet("False", "InUse"), "Warning InUse why"},
		"ready again":      {subnet("False", "Overlap"), subnet("True", "Ready"), "Normal Ready ready again; it was not: why"},
		"ready as before":  {subnet("True", "Ready"), subnet("True", "Ready"), ""},
	} {
		got := ""
		if kind, ready, turned := turn(tc.was, tc.now); turned {
			got = kind + " " + ready.Reason + " " + ready.Message
		}
		if got != tc.want {
			t.Errorf("%s: %q is told, want %q", name, got, tc.want)
		}
	}
	if _, _, turned := turn(&v1.IP{}, &v1.IP{}); turned {
		t.Error("an object without conditions has turned")
	}
}
