package build

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/progress"
)

func TestEnsure(t *testing.T) {
	cache := Cache{Dir: t.TempDir(), Log: progress.New(io.Discard)}
	made := 0
	artefact := func(recipe string, fail error) Artefact {
		return Artefact{Name: "thing", Recipe: []string{recipe}, Make: func(_ context.Context, dir string) error {
			made++
			if err := os.WriteFile(filepath.Join(dir, "file"), []byte(recipe), 0o644); err != nil {
				return err
			}
			return fail
		}}
	}
	broken := errors.New("broken")
	for _, step := range []struct {
		name   string
		recipe string
		fail   error
		made   int // in all, afterwards
	}{
		{"a failed one is not kept", "v1", broken, 1},
		{"so it is made again", "v1", nil, 2},
		{"and then kept", "v1", nil, 2},
		{"another recipe is another artefact", "v2", nil, 3},
		{"and the first is still there", "v1", nil, 3},
	} {
		dir, err := cache.Ensure(t.Context(), artefact(step.recipe, step.fail))
		if !errors.Is(err, step.fail) {
			t.Fatalf("%s: %v", step.name, err)
		}
		if made != step.made {
			t.Errorf("%s: made %d times, want %d", step.name, made, step.made)
		}
		if err != nil {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(b) != step.recipe {
			t.Errorf("%s: found %q, %v", step.name, b, err)
		}
	}
}

func TestLinkReplaces(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "bin")
	for _, content := range []string{"old", "new"} {
		// A new file each time, as the cache makes them: writing into the old one would change the copy as well.
		if err := os.RemoveAll(filepath.Join(from, "kube")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, "kube"), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := Link(from, to); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(filepath.Join(to, "kube")); string(b) != content {
			t.Errorf("found %q, want %q", b, content)
		}
	}
}
