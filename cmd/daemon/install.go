package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// plugins are the CNI plugins that a node gets.
var plugins = []string{"woven-cni", "portmap", "loopback"}

// installPlugins copies the plugins next to the daemon into the runtime's directory, each by a rename, so that a
// runtime never starts half a file.
func (o *options) installPlugins() error {
	var errs []error
	for _, name := range plugins {
		if err := copyFile(filepath.Join(o.binaries, name), filepath.Join(o.cniBinDir, name)); err != nil {
			errs = append(errs, fmt.Errorf("installing CNI plugin %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return replaceFile(to, 0o755, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

// replaceFile writes a file under a hidden name, which runtimes that watch the directory pass over, and renames it.
func replaceFile(path string, mode os.FileMode, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := errors.Join(write(file), file.Chmod(mode), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// writeConflist tells the runtime that pods can be attached. Nothing takes it back: a daemon that restarts answers
// again soon, and the runtime tries again until then.
func (o *options) writeConflist() error {
	text, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.1.0",
		"name":       "woven",
		"plugins": []map[string]any{
			{"type": "woven-cni", "server_socket": o.bindSocket},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the CNI configuration: %w", err)
	}
	text = append(text, '\n')
	path := filepath.Join(o.cniConfDir, o.cniConfName)
	if have, err := os.ReadFile(path); err == nil && string(have) == string(text) {
		return nil
	}
	err = replaceFile(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing the CNI configuration: %w", err)
	}
	return nil
}
