// Package progress tells the person who waits what is being done, how long it usually takes, and how long it took.
package progress

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// beat is how often a long phase says that it is still at work.
const beat = 30 * time.Second

// Log prints phases as they pass and remembers their times.
type Log struct {
	out   io.Writer
	start time.Time
	now   func() time.Time

	mu    sync.Mutex // protects out and table; phases may run side by side
	table strings.Builder
}

// New starts a log.
func New(out io.Writer) *Log {
	return &Log{out: out, start: time.Now(), now: time.Now}
}

// Phase runs one phase. The hint says what takes long, if something does: it is printed before the phase.
func (l *Log) Phase(ctx context.Context, name, hint string, run func(context.Context) error) error {
	begin := l.now()
	if hint != "" {
		l.printf("%-12s %s ...\n", name, hint)
	}
	stop := l.beats(name, begin)
	err := run(ctx)
	stop()
	took := l.now().Sub(begin)
	if err != nil {
		l.printf("%-12s FAILED after %s\n", name, short(took))
		return fmt.Errorf("%s: %w", name, err)
	}
	line := fmt.Sprintf("%-12s %8s   (total %s)\n", name, short(took), short(l.now().Sub(l.start)))
	l.printf("%s", line)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table.WriteString(line)
	return nil
}

// Say prints a line between the phases.
func (l *Log) Say(format string, args ...any) { l.printf(format+"\n", args...) }

// Store writes the times of all phases that passed to a file, where `status` finds them.
func (l *Log) Store(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return os.WriteFile(path, []byte(l.table.String()), 0o644)
}

// beats prints a sign of life while a phase takes long, until the returned function is called.
func (l *Log) beats(name string, begin time.Time) (stop func()) {
	done := make(chan struct{})
	ticker := time.NewTicker(beat)
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				l.printf("%-12s ... still at it, %s\n", name, short(l.now().Sub(begin)))
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

func (l *Log) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format, args...)
}

// short prints a duration with the digits that a person cares for.
func short(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}
