package ovstest

import (
	"encoding/json"
	"strings"
	"testing"
)

// operation is what is read of an operation of OVSDB (RFC 7047, 5.2).
type operation struct {
	Op        string              `json:"op"`
	Table     string              `json:"table"`
	UUID      string              `json:"uuid"`
	Where     json.RawMessage     `json:"where"`
	Row       json.RawMessage     `json:"row"`
	Mutations [][]json.RawMessage `json:"mutations"`
}

// Foreign are the operations of the transactions that write anything but what is of the named: rows that have one of the
// names in their content, edits of such rows, and elements of other rows' sets that are such rows or have such a name.
// Owners that write at the same time share a transaction, so an operation is judged by itself and not by its neighbours.
func Foreign(t testing.TB, sent []string, names ...string) []string {
	t.Helper()
	own := func(part []byte) bool {
		for _, name := range names {
			if strings.Contains(string(part), name) {
				return true
			}
		}
		return false
	}
	var out []string
	for _, params := range sent {
		for _, raw := range operations(t, params) {
			var op operation
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatalf("operation %s: %v", raw, err)
			}
			mine := false
			switch op.Op {
			case "wait", "comment", "assert", "select": // write nothing
				mine = true
			case "insert":
				if mine = own(op.Row); mine {
					names = append(names, op.UUID) // it is told by its UUID from now on
				}
			case "mutate":
				mine = own(op.Where) || ownMutations(t, op.Mutations, own)
			default:
				mine = own(op.Where)
			}
			if !mine {
				out = append(out, string(raw))
			}
		}
	}
	return out
}

// operations are those of the parameters of a "transact", whose first is the database.
func operations(t testing.TB, params string) []json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(params), &all); err != nil || len(all) == 0 {
		t.Fatalf("transaction %s: %v", params, err)
	}
	return all[1:]
}

// ownMutations tells whether each element that a row's sets gain or lose is one's own.
func ownMutations(t testing.TB, mutations [][]json.RawMessage, own func([]byte) bool) bool {
	t.Helper()
	for _, m := range mutations {
		for _, element := range elements(t, m[len(m)-1]) {
			if !own(element) {
				return false
			}
		}
	}
	return true
}

// elements are those of a set or a map of OVSDB (RFC 7047, 5.1); a single value is a set of one.
func elements(t testing.TB, value json.RawMessage) []json.RawMessage {
	t.Helper()
	var pair []json.RawMessage
	if json.Unmarshal(value, &pair) != nil || len(pair) != 2 {
		return []json.RawMessage{value}
	}
	if kind := string(pair[0]); kind != `"set"` && kind != `"map"` {
		return []json.RawMessage{value}
	}
	var out []json.RawMessage
	if err := json.Unmarshal(pair[1], &out); err != nil {
		t.Fatalf("value %s: %v", value, err)
	}
	return out
}
