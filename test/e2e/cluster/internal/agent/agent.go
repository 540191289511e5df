// Package agent runs commands in a virtual machine for a caller outside: what entering namespaces is for the other kind
// of node. The machine Serves on its management address, and the caller Runs commands there, over TCP.
//
// A connection is one command. It is a sequence of frames, each a kind, a length and a body:
//
//	caller → machine   request, then input …, where an empty one is the end of input
//	machine → caller   started, then output and complaint …, then exit; or refused
//
// A caller proves himself by a secret that the machine got when it booted.
package agent

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Port is where a virtual machine Serves.
const Port = 10022

// Request is a command.
type Request struct {
	Secret string
	Argv   []string
	Env    []string
	// Stays says that the command outlives the connection. Any other ends with it.
	Stays bool
}

type kind byte

const (
	request kind = iota
	input
	started
	output
	complaint
	exit
	refused
)

// most is the longest body. It bounds what a stranger can make the machine allocate.
const most = 64 << 10

// wire sends frames, from several goroutines, and receives them in one.
type wire struct {
	io.ReadWriter
	mu sync.Mutex // protects writing
}

func (w *wire) send(k kind, body []byte) error {
	frame := make([]byte, 5, 5+len(body))
	frame[0] = byte(k)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(body)))
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.Write(append(frame, body...))
	return err
}

func (w *wire) receive() (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(w, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > most {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(w, body)
	return kind(head[0]), body, err
}

// writer sends what is written to it as frames of one kind.
type writer struct {
	wire *wire
	kind kind
	deaf bool // nobody listens: what is written is lost, and the command goes on
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	for sent := 0; sent < len(p) && !w.deaf; {
		part := p[sent:min(len(p), sent+most)]
		w.deaf = w.wire.send(w.kind, part) != nil
		sent += len(part)
	}
	return len(p), nil
}
