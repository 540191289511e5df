package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// answering is how long an answer to a call may take.
const answering = time.Second

// calls sends numbered messages at a steady pace, each from a socket of its own: for those on the way, each is the first
// packet of a connection.
type calls struct {
	Address string
	Every   time.Duration
}

func (c calls) run(ctx context.Context) (outcome, error) {
	book := &ledger{seen: map[uint64]bool{}}
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
		open.Go(func() { call(c.Address, number, book) })
		sent++
	}
	open.Wait()
	return outcome{Sent: sent, Received: book.count(), Missing: book.missing(sent), LongestGap: book.gap, LastAnswer: book.last}, nil
}

// call sends one number and notes it when it comes back. Whatever goes wrong is a loss, which the count shows.
func call(address string, number uint64, book *ledger) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	message := binary.BigEndian.AppendUint64(nil, number)
	if _, err := conn.Write(message); err != nil || conn.SetReadDeadline(time.Now().Add(answering)) != nil {
		return
	}
	if _, err := io.ReadFull(conn, message); err == nil {
		book.note(number)
	}
}
