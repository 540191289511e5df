package agent

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
)

// Streams are a command's standard streams on the caller's side.
type Streams struct {
	In       io.Reader // nil: none
	Out, Err io.Writer
	// Started is called when the command has started; it may be nil.
	Started func()
}

// Run runs a command in the machine at an address and returns its exit code.
func Run(ctx context.Context, address string, r Request, s Streams) (int, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, fmt.Errorf("calling the machine: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	w := &wire{ReadWriter: conn}
	body, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("encoding the request: %w", err)
	}
	if err := w.send(request, body); err != nil {
		return 0, fmt.Errorf("sending the request: %w", err)
	}
	go func() {
		if s.In != nil {
			_, _ = io.Copy(&writer{wire: w, kind: input}, s.In) // the command sees the end of what could be read
		}
		_ = w.send(input, nil)
	}()
	for {
		k, body, err := w.receive()
		if err != nil {
			return 0, fmt.Errorf("the machine hung up: %w", errors.Join(ctx.Err(), err))
		}
		switch k {
		case started:
			if s.Started != nil {
				s.Started()
			}
		case output:
			_, err = s.Out.Write(body)
		case complaint:
			_, err = s.Err.Write(body)
		case exit:
			if len(body) != 4 {
				return 0, errors.New("the machine tells no exit code")
			}
			return int(binary.BigEndian.Uint32(body)), nil
		case refused:
			return 0, errors.New(string(body))
		}
		if err != nil {
			return 0, fmt.Errorf("passing the output on: %w", err)
		}
	}
}
