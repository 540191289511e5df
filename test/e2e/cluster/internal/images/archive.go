// Package images makes container images without a registry: the ones that Kubernetes' own images are stood in for by,
// written as one archive with shared layers, and Woven's, built by buildah from the Dockerfiles that users build.
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// image is one image of an archive, its layers by name, lowest first.
type image struct {
	tags       []string
	layers     []string
	entrypoint []string
	cmd        []string
}

// writeArchive writes images that share layers as one docker-archive.
func writeArchive(path string, layers map[string]string, images []image) error {
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("making the archive: %w", err)
	}
	defer out.Close()
	w := tar.NewWriter(out)
	digests := map[string]string{}
	for _, im := range images {
		for _, name := range im.layers {
			if digests[name] != "" {
				continue
			}
			digest, err := putLayer(w, layers[name])
			if err != nil {
				return fmt.Errorf("adding layer %s: %w", name, err)
			}
			digests[name] = digest
		}
	}
	if err := putManifest(w, digests, images); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("finishing the archive: %w", err)
	}
	return out.Close()
}

// putLayer copies a layer into the archive, under its digest.
func putLayer(w *tar.Writer, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return "", err
	}
	digest := hex.EncodeToString(h.Sum(nil))
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	if err := w.WriteHeader(&tar.Header{Name: digest + "/layer.tar", Size: size, Mode: 0o644}); err != nil {
		return "", err
	}
	_, err = io.Copy(w, f)
	return digest, err
}

// config and manifest are the parts of the archive's format that containerd reads.
type config struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Author       string    `json:"author"`
	Config       runConfig `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
}

type runConfig struct {
	Env        []string
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func putManifest(w *tar.Writer, digests map[string]string, images []image) error {
	var manifests []manifest
	for _, im := range images {
		cfg := config{
			Architecture: runtime.GOARCH, OS: "linux", Author: im.tags[0], RootFS: rootFS{Type: "layers"},
			Config: runConfig{
				Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
				Entrypoint: im.entrypoint, Cmd: im.cmd,
			},
		}
		m := manifest{RepoTags: im.tags}
		for _, name := range im.layers {
			cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, "sha256:"+digests[name])
			m.Layers = append(m.Layers, digests[name]+"/layer.tar")
		}
		b, err := json.Marshal(cfg)
		if err != nil {
			return fmt.Errorf("encoding an image: %w", err)
		}
		sum := sha256.Sum256(b)
		m.Config = hex.EncodeToString(sum[:]) + ".json"
		if err := put(w, m.Config, 0o644, b); err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	b, err := json.Marshal(manifests)
	if err != nil {
		return fmt.Errorf("encoding the manifest: %w", err)
	}
	return put(w, "manifest.json", 0o644, b)
}

func put(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: mode}); err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	if _, err := w.Write(content); err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	return nil
}

// entry is a file, a directory (its name ends with a slash) or a link of a layer that is made by hand.
type entry struct {
	name string
	from string // the file whose content it gets
	text string // or its content
	link string // or what it is a link to
}

// writeLayer makes a layer. Times and owners are fixed, so that the same content has the same digest.
func writeLayer(path string, entries []entry) error {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		switch {
		case e.from != "":
			b, err := os.ReadFile(e.from)
			if err != nil {
				return fmt.Errorf("reading %s for a layer: %w", filepath.Base(e.from), err)
			}
			if err := put(w, e.name, 0o755, b); err != nil {
				return err
			}
		case e.text != "":
			if err := put(w, e.name, 0o755, []byte(e.text)); err != nil {
				return err
			}
		case e.link != "":
			if err := w.WriteHeader(&tar.Header{Name: e.name, Typeflag: tar.TypeSymlink, Linkname: e.link, Mode: 0o777}); err != nil {
				return fmt.Errorf("adding %s: %w", e.name, err)
			}
		default:
			if err := w.WriteHeader(&tar.Header{Name: e.name, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
				return fmt.Errorf("adding %s: %w", e.name, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("finishing a layer: %w", err)
	}
	return os.WriteFile(path, buf.Bytes(), 0o644)
}
