package reconcile

import (
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
