package images

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The archive holds each layer once, however many images have it, and names them as the manifest does.
func TestWriteArchive(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/true"), 0o755); err != nil {
		t.Fatal(err)
	}
	layers := map[string]string{"base": filepath.Join(dir, "base"), "top": filepath.Join(dir, "top")}
	if err := writeLayer(layers["base"], []entry{{name: "uploads/"}, {name: "p", from: program}}); err != nil {
		t.Fatal(err)
	}
	if err := writeLayer(layers["top"], []entry{{name: "q", link: "p"}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "out.tar")
	err := writeArchive(path, layers, []image{
		{tags: []string{"a:1", "a:2"}, layers: []string{"base"}, entrypoint: []string{"/p"}},
		{tags: []string{"b:1"}, layers: []string{"base", "top"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, path)
	var manifests []manifest
	if err := json.Unmarshal(files["manifest.json"], &manifests); err != nil {
		t.Fatal(err)
	}
	if got, want := len(files), 2+2+1; got != want {
		t.Errorf("%d files, want %d: two layers, two configurations, one manifest", got, want)
	}
	if len(manifests) != 2 || manifests[0].Layers[0] != manifests[1].Layers[0] || len(manifests[0].RepoTags) != 2 {
		t.Fatalf("manifest: %s", files["manifest.json"])
	}
	for _, m := range manifests {
		var cfg config
		if err := json.Unmarshal(files[m.Config], &cfg); err != nil {
			t.Fatalf("configuration %s: %v", m.Config, err)
		}
		for i, l := range m.Layers {
			if _, ok := files[l]; !ok {
				t.Errorf("layer %s is not in the archive", l)
			}
			if want := strings.TrimSuffix(l, "/layer.tar"); cfg.RootFS.DiffIDs[i] != "sha256:"+want {
				t.Errorf("layer %d is %s in the configuration and %s in the manifest", i, cfg.RootFS.DiffIDs[i], want)
			}
		}
	}
}

func untar(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
