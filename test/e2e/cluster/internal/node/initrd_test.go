package node

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What cpio unpacks, the kernel does too.
func TestInitrd(t *testing.T) {
	files := []initrdFile{{"init", 0o755, []byte("#!/bin/sh\n")}, {"empty", 0o600, nil}, {"odd", 0o644, []byte("12345")}}
	var b bytes.Buffer
	if err := writeInitrd(&b, files); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("cpio", "-i", "--quiet")
	cmd.Dir, cmd.Stdin = dir, &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil || !bytes.Equal(content, f.content) {
			t.Errorf("%s: got %q, %v", f.name, content, err)
		}
		if info, err := os.Stat(filepath.Join(dir, f.name)); err != nil || uint32(info.Mode().Perm()) != f.mode {
			t.Errorf("%s: got %v, %v", f.name, info.Mode(), err)
		}
	}
}
