package reconcile

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNote(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", 1024), strings.Repeat("x", 1025), strings.Repeat("é", 5000), "\xff" + strings.Repeat("y", 2000)} {
		got := Note(text)
		if len(got) > 1024 || !utf8.ValidString(got) {
			t.Errorf("%d bytes become %d", len(text), len(got))
		}
		if len(text) <= 1024 && got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
