package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// messageSize is the number and nothing else.
const messageSize = 8

// straggling is how long answers may take after the last message was sent.
const straggling = 3 * time.Second

// stream sends numbered messages over one socket at a steady pace and counts the echoes.
type stream struct {
	Network, Address string
	Every            time.Duration
}

// outcome is what became of the messages. The test that started the stream reads it as JSON.
type outcome struct {
	Sent, Received int
	// Missing are the numbers of the first messages that never came back.
	Missing []int
	// LongestGap is the longest time without an answer between the first and the last answer.
	LongestGap time.Duration
	// LastAnswer is when the last answer came.
	LastAnswer time.Time
	// Broken is why a TCP connection ended before its time.
	Broken string
}

// ledger remembers which numbers came back, and when the last one did.
type ledger struct {
	mu   sync.Mutex // protects the rest
	seen map[uint64]bool
	last time.Time
	gap  time.Duration
}

func newLedger() *ledger { return &ledger{seen: map[uint64]bool{}} }

func (l *ledger) note(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.last.IsZero() {
		l.gap = max(l.gap, now.Sub(l.last))
	}
	l.last = now
	l.seen[number] = true
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// missing lists the first numbers below sent that never came back.
func (l *ledger) missing(sent int) []int {
	const enough = 10
	l.mu.Lock()
	defer l.mu.Unlock()
	var numbers []int
	for n := 0; n < sent && len(numbers) < enough; n++ {
		if !l.seen[uint64(n)] {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func (s stream) run(ctx context.Context) (outcome, error) {
	conn, err := net.DialTimeout(s.Network, s.Address, 10*time.Second)
	if err != nil {
		return outcome{}, err
	}
	defer conn.Close()
	// The test waits for this line before it breaks anything.
	fmt.Fprintln(os.Stderr, "streaming")
	book := newLedger()
	ended := make(chan error, 1)
	go func() { ended <- read(conn, book) }()
	sent, broken := s.send(ctx, conn, book, ended)
	if broken == nil {
		broken = drain(conn, book, sent, ended)
	}
	out := outcome{Sent: sent, Received: book.count(), Missing: book.missing(sent), LongestGap: book.gap, LastAnswer: book.last}
	if broken != nil {
		out.Broken = broken.Error()
	}
	return out, nil
}

// send writes until ctx ends. A full disk of errors would not help: on UDP a refused or unreachable peer is loss, which
// the count shows; on TCP the first error is the end.
func (s stream) send(ctx context.Context, conn net.Conn, book *ledger, ended <-chan error) (int, error) {
	write, err := s.writer(conn, book)
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	message := make([]byte, messageSize)
	sent := 0
	for {
		select {
		case <-ctx.Done():
			return sent, nil
		case err := <-ended:
			return sent, fmt.Errorf("reading: %w", err)
		case <-tick.C:
		}
		binary.BigEndian.PutUint64(message, uint64(sent))
		err := write(message)
		if err != nil && s.Network == "tcp" {
			return sent, fmt.Errorf("writing: %w", err)
		}
		sent++
	}
}

// writer is how a message is sent: over UDP, what has been answered since the last one confirms the other side.
func (s stream) writer(conn net.Conn, book *ledger) (func([]byte) error, error) {
	plain := func(message []byte) error {
		_, err := conn.Write(message)
		return err
	}
	datagrams, ok := conn.(*net.UDPConn)
	if !ok {
		return plain, nil
	}
	socket, err := datagrams.SyscallConn()
	if err != nil {
		return nil, err
	}
	answered := 0
	return func(message []byte) error {
		before := answered
		if answered = book.count(); answered == before {
			return plain(message)
		}
		return sendConfirming(socket, message, netip.AddrPort{})
	}, nil
}

// drain waits for the last answers: until all are there, or none came for a while.
func drain(conn net.Conn, book *ledger, sent int, ended <-chan error) error {
	deadline := time.Now().Add(straggling)
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for book.count() < sent {
		select {
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		case <-tick.C:
		}
	}
	return nil
}

func read(conn net.Conn, book *ledger) error {
	message := make([]byte, messageSize)
	for {
		_, err := io.ReadFull(conn, message)
		switch _, datagrams := conn.(*net.UDPConn); {
		case err == nil:
			book.note(binary.BigEndian.Uint64(message))
		case datagrams && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed):
			// An ICMP error of an earlier datagram; the next may pass.
		default:
			return err
		}
	}
}
