package main

import (
	"strings"
	"testing"
	"time"
)

// TestSecondWriterIsNotFoughtAtFullSpeed is a controller that was left running on the same database and wants another address
// in a row, as soon as it reads ours. It is put back at once at first, then more and more rarely, and the object's users are
// told; what somebody else's object has is not held back, and when the other writer stops the row is as it should be.
func TestSecondWriterIsNotFoughtAtFullSpeed(t *testing.T) {
	w := loneWorld(t)
	pod, other := newPod("web-0"), newPod("other")
	w.addressed(pod, other)
	ours, others := w.addressesOf("web-0"), w.addressesOf("other")
	w.sent.Take()
	for begun := time.Now(); time.Since(begun) < 4*time.Second; {
		w.nb.Ctl("lsp-set-addresses", "web-0.shop", "0a:00:00:00:00:01 10.16.9.9")
	}
	sent := 0
	for _, text := range w.sent.Take() {
		if strings.Contains(text, "pod/shop/web-0/port") || strings.Contains(text, "10.16.0.2") {
			sent++
		}
	}
	if sent < 3 || sent > 10 {
		t.Errorf("the row was put back %d times in 4 s", sent)
	}
	w.event("Contested", "shop/web-0", "another writer")
	w.nb.Ctl("lsp-set-addresses", "other.shop", "0a:00:00:00:00:02 10.16.9.8")
	w.row("Logical_Switch_Port", "other.shop", "addresses", others)
	w.row("Logical_Switch_Port", "web-0.shop", "addresses", ours)
}
