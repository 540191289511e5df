package ovstest

import (
	"sync"

	"github.com/woven-cni/woven/pkg/ovs/engine"
)

// Recorder sees the transactions of a DB, so that a test can say "exactly one" and "none".
type Recorder struct {
	mu   sync.Mutex // protects following
	sent []string
}

// Option makes a DB show its transactions to the recorder.
func (r *Recorder) Option() engine.Option {
	return engine.WithRecorder(func(params []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent = append(r.sent, string(params))
	})
}

// Take returns the transactions since the last Take.
func (r *Recorder) Take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.sent
	r.sent = nil
	return sent
}
