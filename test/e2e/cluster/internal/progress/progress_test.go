package progress

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPhases(t *testing.T) {
	var out strings.Builder
	clock := time.Unix(0, 0)
	l := New(&out)
	l.start, l.now = clock, func() time.Time { return clock }
	pass := func(d time.Duration, err error) func(context.Context) error {
		return func(context.Context) error { clock = clock.Add(d); return err }
	}
	if err := l.Phase(t.Context(), "fabric", "", pass(200*time.Millisecond, nil)); err != nil {
		t.Fatal(err)
	}
	if err := l.Phase(t.Context(), "kube", "compiling", pass(8*time.Minute+5*time.Second, nil)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := l.Phase(t.Context(), "nodes", "", pass(time.Second, broken)); !errors.Is(err, broken) {
		t.Errorf("the phase's error got lost: %v", err)
	}
	want := `fabric          0.2 s   (total 0.2 s)
kube         compiling ...
kube         8 min 05 s   (total 8 min 05 s)
nodes        FAILED after 1.0 s
`
	if out.String() != want {
		t.Errorf("printed:\n%s\nwant:\n%s", out.String(), want)
	}
	path := filepath.Join(t.TempDir(), "phases")
	if err := l.Store(path); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); strings.Contains(string(b), "nodes") || !strings.Contains(string(b), "kube") {
		t.Errorf("stored:\n%s", b)
	}
}
