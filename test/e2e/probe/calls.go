package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// How long an answer to a call may take: where each that is missing is a failure, as long as a busy machine may keep a process
// waiting; else as long as one waits to learn that answers have ended.
const (
	countedAnswer = 3 * time.Second
	watchedAnswer = time.Second
)

// calls sends numbered messages at a steady pace, each from a socket of its own: for those on the way, each is the first
// packet of a connection.
type calls struct {
	Address string
	Every   time.Duration
	Limit   time.Duration // of an answer
	book    book
}

// book hears what became of each call.
type book interface {
	answered(number uint64, sent time.Time, yes bool)
	outcome(sent int) outcome
}

func (c calls) run(ctx context.Context) (outcome, error) {
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	fmt.Fprintln(os.Stderr, "streaming")
	var open sync.WaitGroup
	sent := 0
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-tick.C:
		}
		number := uint64(sent)
		open.Go(func() {
			began := time.Now()
			c.book.answered(number, began, call(c.Address, number, c.Limit))
		})
		sent++
	}
	open.Wait()
	return c.book.outcome(sent), nil
}

// call sends one number and says whether it came back. Whatever goes wrong is a loss, which the count shows.
func call(address string, number uint64, limit time.Duration) bool {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	message := binary.BigEndian.AppendUint64(nil, number)
	if _, err := conn.Write(message); err != nil || conn.SetReadDeadline(time.Now().Add(limit)) != nil {
		return false
	}
	_, err = io.ReadFull(conn, message)
	return err == nil
}

func (l *ledger) answered(number uint64, _ time.Time, yes bool) {
	if yes {
		l.note(number)
	}
}

func (l *ledger) outcome(sent int) outcome {
	return outcome{Sent: sent, Received: l.count(), Missing: l.missing(sent), LongestGap: l.gap, LastAnswer: l.last}
}

// watcher prints when answers begin and end.
type watcher struct {
	out *json.Encoder

	mu    sync.Mutex // protects following
	yes   bool
	since time.Time // the send time of the latest call that changed it
}

// change is a line that watcher prints: calls sent from At on are answered, or are not.
type change struct {
	At       time.Time
	Answered bool
}

func (w *watcher) answered(_ uint64, sent time.Time, yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if yes == w.yes || sent.Before(w.since) {
		return // what was sent before the change is heard of late
	}
	w.yes, w.since = yes, sent
	_ = w.out.Encode(change{At: sent, Answered: yes}) // nobody listens any more
}

func (w *watcher) outcome(sent int) outcome { return outcome{Sent: sent} }
