// Command shim stands before a CNI plugin while `make bench` runs, and notes how long each call takes. It is installed
// as bench-NAME beside the plugin NAME, and hands environment, input and output through untouched.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/woven-cni/woven/test/e2e/bench/timing"
)

func main() {
	plugin := strings.TrimPrefix(filepath.Base(os.Args[0]), timing.Prefix)
	command := exec.Command(filepath.Join(filepath.Dir(os.Args[0]), plugin))
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	began := time.Now()
	err := command.Run()
	took := time.Since(began)
	note(timing.Call{
		Plugin: plugin, Command: os.Getenv("CNI_COMMAND"), Container: os.Getenv("CNI_CONTAINERID"),
		Namespace: argument("K8S_POD_NAMESPACE"), Pod: argument("K8S_POD_NAME"),
		Began: began, Took: took, Failed: err != nil,
	})
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// argument is one of the runtime's extra arguments, "A=1;B=2".
func argument(name string) string {
	for _, pair := range strings.Split(os.Getenv("CNI_ARGS"), ";") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

// note appends the call to the log. A line is written at once, so that calls side by side do not mix.
func note(call timing.Call) {
	line, err := json.Marshal(call)
	if err != nil {
		return
	}
	log, err := os.OpenFile(timing.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer log.Close()
	_, _ = log.Write(append(line, '\n'))
}
