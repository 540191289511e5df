package central

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	lookAgain   = 5 * time.Second  // after an error
	askTimeout  = 10 * time.Second // for an answer on a control socket
	northdExits = "ovn-northd.*.ctl"
)

// Tend keeps the record true while this member runs: it notes that the cluster lives, has it forget servers whose pods
// went elsewhere, and tells northd of new members. It looks whenever a pod or a record changes.
func (m *Member) Tend(ctx context.Context) error {
	maps, stopMaps := m.watch(ctx, &corev1.ConfigMapList{}, client.MatchingFields{"metadata.name": Name})
	defer stopMaps()
	pods, stopPods := m.watch(ctx, &corev1.PodList{}, client.MatchingLabels{"app": Name})
	defer stopPods()
	for {
		var again <-chan time.Time
		err := m.look(ctx)
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			again = time.After(lookAgain)
			m.Log.V(1).Info("look again", "why", err.Error())
		}
		select {
		case <-maps:
		case <-pods:
		case <-again:
		case <-ctx.Done():
			return nil
		}
	}
}

// look is one look at everything.
func (m *Member) look(ctx context.Context) error {
	r, err := m.read(ctx)
	if err != nil {
		return err
	}
	states := map[string]status{}
	var missing []error
	for _, db := range databases {
		state, err := m.status(ctx, db)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		states[db.key] = state
		record := r.records[db.key]
		record.Founded = record.Founded || record.Founder == m.Seat.Address && state.member()
	}
	complete := r.complete(m.Replicas)
	for _, db := range databases {
		if complete {
			r.records[db.key].Forget(r.live())
		}
	}
	if err := m.write(ctx, r); err != nil {
		return err
	}
	if err := m.renewFiles(ctx, r); err != nil {
		return err
	}
	for _, db := range databases {
		if record := r.records[db.key]; complete && len(record.Members) == m.Replicas {
			missing = append(missing, m.kick(ctx, db, states[db.key], record))
		}
	}
	return errors.Join(missing...)
}

// complete says whether there are as many members as there shall be, and all of them take part in the clusters: that is
// what makes a pod ready.
func (r *records) complete(replicas int) bool {
	ready := 0
	for i := range r.pods {
		for _, c := range r.pods[i].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	return ready == replicas && len(r.pods) == replicas
}

func (m *Member) status(ctx context.Context, db database) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	text, err := command(ctx, m.control(db), "cluster/status", db.name)
	if err != nil {
		return status{}, fmt.Errorf("asking the server of %s: %w", db.name, err)
	}
	return parseStatus(text), nil
}

// kick has the cluster forget servers that have no seat. Any member may ask for it; the leader does it.
func (m *Member) kick(ctx context.Context, db database, state status, record *Record) error {
	var errs []error
	for _, s := range state.stale(record.Endpoints(db.raftPort, ""), endpoint(m.Seat.Address, db.raftPort)) {
		m.Log.Info("kick", "database", db.name, "server", s.id, "address", s.address)
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		_, err := command(ctx, m.control(db), "cluster/kick", db.name, s.id)
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("kicking %s: %w", s.address, err))
		}
	}
	return errors.Join(errs...)
}

// renewFiles renews what the servers of this member read when they start again: how to join the cluster if the database is
// lost, and where northd finds the databases. A northd that misses a member starts again at once; one elsewhere
// takes over.
func (m *Member) renewFiles(ctx context.Context, r *records) error {
	for _, db := range databases {
		if record := r.records[db.key]; record.Founded {
			if err := m.writePlan(db, Join, record); err != nil {
				return err
			}
		}
	}
	have, err := os.ReadFile(m.remotes())
	if err != nil {
		return fmt.Errorf("reading where northd looks: %w", err)
	}
	known := strings.FieldsFunc(string(have), func(c rune) bool { return strings.ContainsRune(" =,\n", c) })
	missing := false
	for _, db := range databases {
		for address := range r.records[db.key].Members {
			missing = missing || !slices.Contains(known, "tcp:"+net.JoinHostPort(address, db.port))
		}
	}
	if !missing {
		return nil
	}
	if err := m.writeRemotes(r); err != nil {
		return err
	}
	sockets, err := filepath.Glob(filepath.Join(m.RunDir, northdExits))
	if err != nil {
		return fmt.Errorf("looking for northd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, socket := range sockets {
		if _, err := command(ctx, socket, "exit"); err != nil {
			m.Log.V(1).Info("northd is not there", "socket", socket, "why", err.Error())
		}
	}
	return nil
}
