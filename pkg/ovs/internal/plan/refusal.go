package plan

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/session"
)

// ErrCrossed says that the database had changed since the plan was made; the change is in the cache by now.
var ErrCrossed = errors.New("crossed by another change")

var (
	inUse     = regexp.MustCompile(`cannot delete (\w+) row`)
	taken     = regexp.MustCompile(`multiple rows in "?(\w+)"? table to have identical values`)
	vanished  = regexp.MustCompile(`references? (to )?nonexistent row|reference to nonexistent`)
	duplicate = regexp.MustCompile(`duplicate uuid`)
)

// Refusal turns the results of the transaction into an error; nil if it was committed.
func (t Transaction) Refusal(results []session.Result) error {
	for i, r := range results {
		if r.Error == "" {
			continue
		}
		text := r.Error
		if r.Details != "" {
			text += ": " + r.Details
		}
		switch {
		case r.Error == "timed out" && i < len(t.operations) && t.operations[i].guard == guardName:
			return &ovs.ErrTaken{Table: t.operations[i].table.Name, Name: t.operations[i].name, Details: "another row has the name"}
		case r.Error == "timed out", r.Error == "duplicate uuid", duplicate.MatchString(text), vanished.MatchString(text):
			return ErrCrossed
		case r.Error == "not owner", r.Error == "resources exhausted", r.Error == "I/O error":
			return fmt.Errorf("the database could not commit: %s", text)
		}
		if m := inUse.FindStringSubmatch(text); m != nil {
			return &ovs.ErrInUse{Table: m[1], Details: text}
		}
		if m := taken.FindStringSubmatch(text); m != nil {
			return &ovs.ErrTaken{Table: m[1], Details: text}
		}
		return &ovs.ErrRefused{Details: text}
	}
	return nil
}
