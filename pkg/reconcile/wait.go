package reconcile

import (
	"errors"
	"slices"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
)

// Wait is what Gather returns as its error when something has to come first that is neither wrong nor a row: nothing is
// sent, the last good rows stay, Report is told, and nobody retries by the clock. A feature that returns a Wait has the key
// looked at again when the wait is over.
type Wait struct {
	// For completes "waiting for …".
	For string
}

// Error implements error.
func (w *Wait) Error() string { return "waiting for " + w.For }

// kinds are the objects, by the feature that makes their rows, that rows of others wait for.
var kinds = map[string]string{"vpc": "Vpc", "subnet": "Subnet", "node": "Node"}

// Awaited says what is waited for in the words of the object's author: OVN's rows are called by the objects that they are for.
func Awaited(err error) string {
	rows := (*ovs.ErrWaiting)(nil)
	if !errors.As(err, &rows) {
		return err.Error()
	}
	var names []string
	for _, ref := range rows.Refs {
		name := ref.String()
		feature, rest, _ := strings.Cut(string(ref.Sym), "/")
		if kind, known := kinds[feature]; known {
			key, _, _ := strings.Cut(rest, "/")
			name = kind + " " + key + ", which does not exist or is not ready"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "waiting for " + strings.Join(names, "; ")
}
