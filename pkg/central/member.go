package central

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Name is that of the StatefulSet, of the label "app" of its pods, and of the ConfigMap with the records.
const Name = "ovn-central"

// Member is one pod of ovn-central.
type Member struct {
	// Client reads pods and the ConfigMap of Namespace, and updates the latter.
	Client    client.WithWatch
	Namespace string
	// Seat is where this member runs.
	Seat Seat
	// Replicas is how many members there shall be.
	Replicas int
	// DatabaseDir and RunDir are where the databases are, and their servers' sockets.
	DatabaseDir, RunDir string
	Log                 logr.Logger
}

// database is one of the two that a member serves.
type database struct{ key, name, port, raftPort string }

var databases = []database{
	{"nb", "OVN_Northbound", "6641", "6643"},
	{"sb", "OVN_Southbound", "6642", "6644"},
}

// What a member's files are called. start-ovsdb reads the plan, and creates the cluster from the former database.
func (m *Member) file(db database) string { return filepath.Join(m.DatabaseDir, "ovn"+db.key+"_db.db") }

func (m *Member) plan(db database) string { return filepath.Join(m.RunDir, "ovn"+db.key+"_db.plan") }

func (m *Member) control(db database) string {
	return filepath.Join(m.RunDir, "ovn"+db.key+"_db.ctl")
}
func (m *Member) remotes() string { return filepath.Join(m.RunDir, "northd.remotes") }

const (
	former = ".former" // the cluster is created from it
	unused = ".unused" // kept for the curious
)

// records are those of all databases, and the ConfigMap that they came from.
type records struct {
	object  corev1.ConfigMap
	records map[string]*Record
	pods    []corev1.Pod // not yet on their way out
}

func (m *Member) read(ctx context.Context) (*records, error) {
	r := &records{records: map[string]*Record{}}
	if err := m.Client.Get(ctx, types.NamespacedName{Namespace: m.Namespace, Name: Name}, &r.object); err != nil {
		return nil, fmt.Errorf("reading the records: %w", err)
	}
	for _, db := range databases {
		record := &Record{}
		if text := r.object.Data[db.key]; text != "" {
			if err := json.Unmarshal([]byte(text), record); err != nil {
				return nil, fmt.Errorf("reading the record of %s: %w", db.name, err)
			}
		}
		r.records[db.key] = record
	}
	var list corev1.PodList
	if err := m.Client.List(ctx, &list, client.InNamespace(m.Namespace), client.MatchingLabels{"app": Name}); err != nil {
		return nil, fmt.Errorf("listing the members: %w", err)
	}
	r.pods = slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	return r, nil
}

// live are the UIDs of the pods that live.
func (r *records) live() map[string]bool {
	out := map[string]bool{}
	for i := range r.pods {
		out[string(r.pods[i].UID)] = true
	}
	return out
}

// write stores the records if they have changed. It fails with a conflict when another member was first.
func (m *Member) write(ctx context.Context, r *records) error {
	changed := false
	for _, db := range databases {
		text, err := json.Marshal(r.records[db.key])
		if err != nil {
			return fmt.Errorf("encoding the record of %s: %w", db.name, err)
		}
		if r.object.Data == nil {
			r.object.Data = map[string]string{}
		}
		if r.object.Data[db.key] != string(text) {
			r.object.Data[db.key], changed = string(text), true
		}
	}
	if !changed {
		return nil
	}
	if err := m.Client.Update(ctx, &r.object); err != nil {
		return fmt.Errorf("writing the records: %w", err)
	}
	return nil
}

// reportTimeout is how long members wait for one that does not report before they found a cluster without it.
const reportTimeout = time.Minute

// Begin decides how this member's servers begin, and writes it down for them.
func (m *Member) Begin(ctx context.Context) error {
	disks := map[string]Disk{}
	for _, db := range databases {
		disk, err := Inspect(m.file(db))
		if err != nil {
			return err
		}
		disks[db.key] = disk
	}
	changes, stop := m.watch(ctx, &corev1.ConfigMapList{}, client.MatchingFields{"metadata.name": Name})
	defer stop()
	late := time.After(reportTimeout)
	for overdue := false; ; {
		done, err := m.tryBegin(ctx, disks, overdue)
		switch {
		case apierrors.IsConflict(err):
			continue
		case err != nil:
			return err
		case done:
			return nil
		}
		select {
		case <-changes:
		case <-late:
			overdue = true
		case <-ctx.Done():
			return fmt.Errorf("waiting for the other members: %w", context.Cause(ctx))
		}
	}
}

// tryBegin reports, chooses, and when both databases have a founder takes its seats.
func (m *Member) tryBegin(ctx context.Context, disks map[string]Disk, overdue bool) (bool, error) {
	r, err := m.read(ctx)
	if err != nil {
		return false, err
	}
	chosen := true
	for _, db := range databases {
		record := r.records[db.key]
		if record.Founder == "" {
			record.Report(m.Seat, disks[db.key])
		}
		chosen = record.Choose(r.live(), m.Replicas, overdue) && chosen
	}
	if !chosen {
		return false, m.write(ctx, r)
	}
	// A database that is not to be used goes before the seat is taken: whoever comes back to a seat trusts what is there.
	verbs := map[string]Verb{}
	for _, db := range databases {
		verb := r.records[db.key].Seated(m.Seat, disks[db.key])
		if err := m.setAside(db, verb, disks[db.key]); err != nil {
			return false, err
		}
		if verb != Start {
			disks[db.key] = Disk{}
		}
		verbs[db.key] = verb
	}
	if err := m.write(ctx, r); err != nil {
		return false, err
	}
	for _, db := range databases {
		m.Log.Info("begin", "database", db.name, "how", verbs[db.key], "members", r.records[db.key].Endpoints(db.raftPort, ""))
		if err := m.writePlan(db, verbs[db.key], r.records[db.key]); err != nil {
			return false, err
		}
	}
	return true, m.writeRemotes(r)
}

// setAside renames a database that the member does not start from.
func (m *Member) setAside(db database, verb Verb, disk Disk) error {
	var err error
	switch path := m.file(db); {
	case verb == Start:
	case verb == Create && !disk.Empty():
		err = os.Rename(path, path+former)
	case verb == Join:
		// What was meant for a cluster that somebody else creates now.
		err = errors.Join(ignoreMissing(os.Rename(path, path+unused)), ignoreMissing(os.Remove(path+former)))
	default:
		err = os.Rename(path, path+unused)
	}
	if err = ignoreMissing(err); err != nil {
		return fmt.Errorf("setting a database aside: %w", err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (m *Member) writePlan(db database, verb Verb, record *Record) error {
	words := append([]string{string(verb), endpoint(m.Seat.Address, db.raftPort)}, record.Endpoints(db.raftPort, m.Seat.Address)...)
	return writeFile(m.plan(db), strings.Join(words, " ")+"\n")
}

// writeRemotes tells northd where the databases are: it follows their leaders, which may be any member.
func (m *Member) writeRemotes(r *records) error { return writeFile(m.remotes(), r.remotes()) }

func (r *records) remotes() string {
	var words []string
	for _, db := range databases {
		words = append(words, "--ovn"+db.key+"-db="+strings.Join(r.records[db.key].Endpoints(db.port, ""), ","))
	}
	return strings.Join(words, " ") + "\n"
}

func writeFile(path, text string) error {
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return nil
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing what the servers read: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing what the servers read: %w", err)
	}
	return nil
}
