package agent

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"syscall"
	"time"
)

// Serve runs the commands of callers who know the secret, until the listener fails.
func Serve(listener net.Listener, secret string) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("awaiting callers: %w", err)
		}
		go func() {
			defer conn.Close()
			w := &wire{ReadWriter: conn}
			if err := serve(w, secret); err != nil {
				_ = w.send(refused, []byte(err.Error())) // or the caller is gone
			}
		}()
	}
}

// serve runs one command. An error says why it did not start.
func serve(w *wire, secret string) error {
	k, body, err := w.receive()
	if err != nil || k != request {
		return errors.New("this is no request")
	}
	var r Request
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(r.Secret), []byte(secret)) != 1 || len(r.Argv) == 0 {
		return errors.New("this is not for you")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Argv[0], r.Argv[1:]...)
	cmd.Dir, cmd.Env = "/", r.Env
	cmd.Stdout, cmd.Stderr = &writer{wire: w, kind: output}, &writer{wire: w, kind: complaint}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and its children
	// What it left running in the background may keep its output open.
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = w.send(started, nil) // a caller who is gone already is noticed below
	go func() {
		feed(w, stdin)
		if !r.Stays {
			cancel()
		}
	}()
	_ = cmd.Wait() // the exit code tells
	code := cmd.ProcessState.ExitCode()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal()) // as a shell has it
	}
	_ = w.send(exit, binary.BigEndian.AppendUint32(nil, uint32(code)))
	return nil
}

// feed passes input on until the caller is gone.
func feed(w *wire, stdin io.WriteCloser) {
	defer stdin.Close()
	for {
		k, body, err := w.receive()
		switch {
		case err != nil || k != input:
			return
		case len(body) == 0:
			stdin.Close()
		default:
			_, _ = stdin.Write(body) // a command need not read all that it is given
		}
	}
}
