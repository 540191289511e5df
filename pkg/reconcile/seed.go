package reconcile

import (
	"context"
	"errors"
	"fmt"
)

// seeds is the phase between the beginning of a leader's term and its first look at any key: each feature takes into
// memory what was in use before this process. The Seeds run one after the other, in the order of the features, so that a
// later one may rely on an earlier one.
//
// A Seed reads the database as it is. If that went away meanwhile, rows that could not be read would pass for rows that are
// not there: the process ends, and the next one reads them all.
type seeds struct {
	db   database
	all  []seed
	done chan struct{} // closed when all have ended well
}

// database is what the phase asks of an *engine.DB.
type database interface {
	Ready() <-chan struct{}
	Connected() bool
	Session() uint64
}

type seed struct {
	feature string
	run     func(context.Context) error
}

func newSeeds(db database) *seeds { return &seeds{db: db, done: make(chan struct{})} }

// Start implements manager.Runnable; it runs on the leader.
func (s *seeds) Start(ctx context.Context) error {
	select {
	case <-s.db.Ready():
	case <-ctx.Done():
		return nil
	}
	session := s.db.Session()
	for _, one := range s.all {
		err := one.run(ctx)
		if over(ctx) {
			return nil // nobody may work with the half of it
		}
		if err != nil {
			return fmt.Errorf("seeding %s: %w", one.feature, err)
		}
	}
	if !s.db.Connected() || s.db.Session() != session {
		return errors.New("the northbound database went away while its rows were read")
	}
	close(s.done)
	return nil
}

// over says whether the leader's term has ended.
func over(ctx context.Context) bool { return ctx.Err() != nil }

// await waits for the end of the phase.
func (s *seeds) await(ctx context.Context) error {
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for what was in use before to be on record: %w", ctx.Err())
	}
}
