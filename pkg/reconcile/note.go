package reconcile

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxNote is how many bytes the note of an Event may have (events.k8s.io/v1); the API server refuses a longer one.
const maxNote = 1024

// Note cuts a text to what an Event holds.
func Note(text string) string {
	const more = "…"
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= maxNote {
		return text
	}
	end := maxNote - len(more)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}

// fewest is how many of a list of names a text has.
const fewest = 5

// Few is a list of names, or the first of them and how many more there are.
func Few(names []string) string {
	if more := len(names) - fewest; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:fewest], ", "), more)
	}
	return strings.Join(names, ", ")
}
