package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
)

// Feature is one kind of object and the OVN rows it stands for.
type Feature[Input any] struct {
	// Name is the Owner.Feature of the rows, and the controller's name in logs and metrics.
	Name string
	// For is an empty object of the kind whose names are the keys; nil when the keys are no objects, and all of them come
	// from Sources.
	For client.Object
	// When filters events of For; nil lets every event through.
	When predicate.Predicate
	// Watches are the other kinds whose events change what a key wants.
	Watches []Watch
	// Sources are further places that keys come from, such as a freed address that a pod waits for.
	Sources []source.Source
	// Workers is how many keys are reconciled at once; 0 means one. Work waits on the network, not on the processor.
	Workers int

	// Seed, which may be nil, takes into memory what is in use from before this process, out of the caches and the database.
	// The Seeds of all features, in the order in which they are added, end before any key of any feature is looked at.
	Seed func(ctx context.Context) error
	// Gather only reads. A vanished object gathers empty and is not an error; nor is a *Wait.
	Gather func(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error)
	// Claim, which may be nil, takes for the object what it shares with others, such as addresses or a place in groups, and
	// puts what it got into the input. A *Wait is no error. The kit tells done how the look has ended, once and whatever becomes
	// of it, before anybody else; done is not nil unless nothing was taken.
	Claim func(ctx context.Context, key types.NamespacedName, in *Input) (done func(Outcome), err error)
	// Translate is pure. The zero Desired removes every row of the key; with a problem that is blocking, nothing is sent, or
	// the rows of what was accepted before. Nil is that of a feature without rows and problems.
	Translate func(Input) (ovs.Desired, Problems)
	// Report takes the outcome into memory, and tells it to others than the object itself; it writes only what changed. Nil
	// reports nothing.
	Report func(ctx context.Context, key types.NamespacedName, in Input, out Outcome) error
	// Record, a Record, is what the object itself should read as after Report. Nil writes nothing.
	Record record[Input]
}

// Tell hands the outcome of a look to those who want to know of it: Report, and then the object itself.
func (f Feature[Input]) Tell(ctx context.Context, c client.Client, key types.NamespacedName, in Input, out Outcome) error {
	w := writer{client: c}
	return errors.Join(f.prepare(ctx, &w, key, in, out.Problems), f.tell(ctx, &w, key, in, out))
}

// writer writes objects, and remembers the versions that they have by it: a look at an older one, whose news are on the way,
// would write it all a second time.
type writer struct {
	client  client.Client
	events  recorder.EventRecorder // nil tells nobody
	written sync.Map               // types.NamespacedName -> string
}

// write has an object written by do, which gets the version that was written last and returns the one it has now.
func (w *writer) write(key types.NamespacedName, do func(own string) (string, error)) error {
	writing <- struct{}{}
	defer func() { <-writing }()
	last, _ := w.written.LoadAndDelete(key)
	own, _ := last.(string)
	version, err := do(own)
	if version != "" {
		w.written.Store(key, version)
	}
	return err
}

// prepare writes what of the object comes before its rows.
//
//nolint:revive // a look is as much
func (f Feature[Input]) prepare(ctx context.Context, w *writer, key types.NamespacedName, in Input, problems Problems) error {
	if f.Record == nil {
		return nil
	}
	err := w.write(key, func(own string) (string, error) { return f.Record.prepare(ctx, w, in, problems, own) })
	if err != nil {
		return fmt.Errorf("preparing %s %s: %w", f.Name, Key(key), err)
	}
	return nil
}

//nolint:revive // a look is as much
func (f Feature[Input]) tell(ctx context.Context, w *writer, key types.NamespacedName, in Input, out Outcome) error {
	if f.Report != nil {
		if err := f.Report(ctx, key, in, out); err != nil {
			return fmt.Errorf("reporting %s %s: %w", f.Name, Key(key), err)
		}
	}
	if f.Record == nil {
		return nil
	}
	err := w.write(key, func(own string) (string, error) { return f.Record.write(ctx, w, in, out, own) })
	if err != nil {
		return fmt.Errorf("recording %s %s: %w", f.Name, Key(key), err)
	}
	return nil
}

// writing has a place for each object that is being written to the API server. Hundreds at once are no faster, and a busy
// API server that takes them all answers nobody for seconds, not even the renewal of our lease.
var writing = make(chan struct{}, 16)

// Watch maps the events of another kind to the keys they concern.
type Watch struct {
	Kind client.Object
	Map  handler.MapFunc
	When []predicate.Predicate
	// Delay is how long a key waits for further events of the kind, so that many together cost one look; 0 is not at all.
	Delay time.Duration
}

// handler enqueues the keys that an event concerns.
func (w Watch) handler() handler.EventHandler {
	if w.Delay == 0 {
		return handler.EnqueueRequestsFromMapFunc(w.Map)
	}
	type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]
	add := func(ctx context.Context, q queue, objects ...client.Object) {
		for _, obj := range objects {
			for _, key := range w.Map(ctx, obj) {
				q.AddAfter(key, w.Delay)
			}
		}
	}
	return handler.Funcs{
		CreateFunc:  func(ctx context.Context, e event.CreateEvent, q queue) { add(ctx, q, e.Object) },
		UpdateFunc:  func(ctx context.Context, e event.UpdateEvent, q queue) { add(ctx, q, e.ObjectOld, e.ObjectNew) },
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q queue) { add(ctx, q, e.Object) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queue) { add(ctx, q, e.Object) },
	}
}

// Outcome is how one reconcile went.
type Outcome struct {
	// Problems are the user's to mend. When one is blocking, the last good rows stay.
	Problems Problems
	// Waiting is why nothing was sent although nothing is wrong: rows of other objects have to come or go first, or the
	// database is away. The engine wakes the key when that changes.
	Waiting error
	// Err is what went wrong on our side; it is retried.
	Err error
	// InUse, which a feature's Report may set, is who keeps an object that is to be deleted.
	InUse string
	// Plan is what was sent; empty when there was nothing to do.
	Plan engine.Plan

	unread bool
}

// Unread says that the look has ended before anything of the object came into force, with an error or since the object was edited
// meanwhile: the next look tells.
func (o Outcome) Unread() bool { return o.unread }

// Programmed says whether OVN now holds exactly what the object asks for.
func (o Outcome) Programmed() bool {
	return o.Err == nil && o.Waiting == nil && len(o.Problems.Blocking()) == 0
}

// backoff bounds how long a failing key waits for its next try: the usual cause is a database that is away, and after
// it is back nobody should have to wait for minutes.
const (
	backoffBase = 20 * time.Millisecond
	backoffMax  = 5 * time.Second
)

// cacheSyncTimeout covers a first installation, where the controller may be up long before ovn-central is.
const cacheSyncTimeout = 10 * time.Minute

// register adds the feature's controller to the manager, and its Seed to those that come first. The controller works only
// on the leader; its sources fill its queue on a standby too, so that a new leader starts at once.
func register[Input any](env *Env, f Feature[Input]) error {
	if f.Seed != nil {
		env.seeds.all = append(env.seeds.all, seed{feature: f.Name, run: f.Seed})
	}
	r := &runner[Input]{
		Feature: f, db: env.DB, client: env.Client, events: env.Events, seeds: env.seeds,
		writer: writer{client: env.Client, events: env.Events},
	}
	warm := true
	ctl, err := controller.New(f.Name, env.Manager, controller.Options{
		Reconciler:              r,
		MaxConcurrentReconciles: max(f.Workers, 1),
		CacheSyncTimeout:        cacheSyncTimeout,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](backoffBase, backoffMax),
		EnableWarmup:            &warm,
	})
	if err != nil {
		return fmt.Errorf("making controller %s: %w", f.Name, err)
	}
	sources := append([]source.Source{
		&dirtySource{db: env.DB, feature: f.Name, drifted: &r.drifted, contests: &r.contests},
		&FeedSource{Feed: &r.stale.again, Enqueue: Queue},
	}, f.Sources...)
	if f.For != nil {
		sources = append(sources, source.Kind(env.Cache, f.For, &handler.EnqueueRequestForObject{}, r.stale.or(f.When)...))
	}
	for _, w := range f.Watches {
		sources = append(sources, source.Kind(env.Cache, w.Kind, w.handler(), w.When...))
	}
	for _, s := range sources {
		if err := ctl.Watch(s); err != nil {
			return fmt.Errorf("watching for controller %s: %w", f.Name, err)
		}
	}
	return nil
}

// runner is a Feature at work.
type runner[Input any] struct {
	Feature[Input]
	db      *engine.DB
	client  client.Client
	events  recorder.EventRecorder
	drifted sync.Map // ctrl.Request -> string: keys whose rows someone else changed, and which rows
	stale   stale
	writer  writer
	seeds   *seeds
	// contests are the keys whose rows are changed again and again.
	contests contests
}

// Reconcile brings one key's rows to what its objects ask for, with at most one transaction.
func (r *runner[Input]) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if err := r.seeds.await(ctx); err != nil {
		return ctrl.Result{}, err
	}
	started := time.Now()
	drift, drifted := r.drifted.LoadAndDelete(req)
	in, out, unprepared := r.look(ctx, req)
	if wait := (*Wait)(nil); drifted && (out.unread || errors.As(out.Waiting, &wait)) {
		r.drifted.Store(req, drift)
		drifted = false
	}
	if out.unread {
		return ctrl.Result{}, r.unlessStale(ctx, req, out.Err)
	}
	if !out.Plan.Empty() {
		log.FromContext(ctx).Info("programmed", "ops", out.Plan.Len(), "took", time.Since(started).String())
		log.FromContext(ctx).V(1).Info("plan", "plan", out.Plan.String())
	}
	if drifted {
		r.tellHealed(ctx, req, out)
	}
	if disagrees := (*ovs.ErrStale)(nil); errors.As(out.Err, &disagrees) {
		r.event(ctx, req, reasonContested, disagrees.Error()+"; another writer is at work there")
	}
	told := r.tell(ctx, &r.writer, req.NamespacedName, in, out)
	return ctrl.Result{}, errors.Join(out.Err, unprepared, r.unlessStale(ctx, req, told))
}

// errUnfinished is how a look has ended of which nothing else is known: it has panicked.
var errUnfinished = errors.New("the look did not come to an end")

// look gathers, claims, translates and applies. The error is that of what is written before the rows. When it says that the object
// has been edited meanwhile, the look ends there: rows, and what the claim hears, would be of a spec that nobody asks for any more.
func (r *runner[Input]) look(ctx context.Context, req ctrl.Request) (in Input, out Outcome, unprepared error) {
	in, err := r.Gather(ctx, r.client, req.NamespacedName)
	if err != nil {
		return in, unread(fmt.Sprintf("gathering %s %s", r.Name, req), err), nil
	}
	out = Outcome{Err: errUnfinished, unread: true}
	if r.Claim != nil {
		var done func(Outcome)
		defer func() {
			if done != nil {
				done(out)
			}
		}()
		if done, err = r.Claim(ctx, req.NamespacedName, &in); err != nil {
			return in, unread(fmt.Sprintf("claiming for %s %s", r.Name, req), err), nil
		}
	}
	want, problems := r.translate(in)
	unprepared = r.prepare(ctx, &r.writer, req.NamespacedName, in, problems)
	if edited := (*Stale)(nil); errors.As(unprepared, &edited) {
		out = Outcome{Err: unprepared, unread: true}
		return in, out, nil
	}
	out = r.apply(ctx, req, want, problems)
	return in, out, unprepared
}

// unread is the outcome of a look that has not come to translate anything.
func unread(doing string, err error) Outcome {
	if wait := (*Wait)(nil); errors.As(err, &wait) {
		return Outcome{Waiting: wait}
	}
	return Outcome{Err: fmt.Errorf("%s: %w", doing, err), unread: true}
}

// unlessStale is the error, but for an object that was edited meanwhile: that is looked at again with the event of the edit.
func (r *runner[Input]) unlessStale(ctx context.Context, req ctrl.Request, err error) error {
	if stale := (*Stale)(nil); errors.As(err, &stale) && r.For != nil {
		r.stale.await(ctx, r.client, r.For, req.NamespacedName, stale.Version)
		return nil
	}
	return err
}

// translate makes the rows of a key, if the feature has any.
func (f Feature[Input]) translate(in Input) (ovs.Desired, Problems) {
	if f.Translate == nil {
		return ovs.Desired{}, nil
	}
	return f.Translate(in)
}

func (r *runner[Input]) apply(ctx context.Context, req ctrl.Request, want ovs.Desired, problems Problems) Outcome {
	out := Outcome{Problems: problems}
	if r.Translate == nil || len(problems.Blocking()) > 0 && len(want.Rows) == 0 {
		return out
	}
	plan, err := r.db.Apply(ctx, ovs.Owner{Feature: r.Name, Key: Key(req.NamespacedName)}, want)
	out.Plan = plan
	var (
		waiting *ovs.ErrWaiting
		inUse   *ovs.ErrInUse
		taken   *ovs.ErrTaken
		refused *ovs.ErrRefused
	)
	switch {
	case err == nil:
	case errors.As(err, &waiting), errors.As(err, &inUse), errors.Is(err, ovs.ErrOffline):
		out.Waiting = err
	case errors.As(err, &taken):
		out.Problems.Add("", v1.ReasonNameTaken, "%s", taken.Error())
	case errors.As(err, &refused):
		out.Problems.Add("", v1.ReasonInvalid, "%s", refused.Error())
	default:
		out.Err = fmt.Errorf("applying %s %s: %w", r.Name, req, err)
	}
	return out
}

// reasonContested is the reason of Events about rows that another writer changes again and again.
const reasonContested = "Contested"

// tellHealed leaves an Event on the object whose rows were changed by another hand and are now put back.
func (r *runner[Input]) tellHealed(ctx context.Context, req ctrl.Request, out Outcome) {
	if out.Plan.Empty() || out.Err != nil {
		return
	}
	plan := shorten(out.Plan.String())
	now := time.Now()
	if n := r.contests.healed(req, now); n > healedAtOnce {
		r.event(ctx, req, reasonContested, fmt.Sprintf(
			"another writer changes OVN rows of this object; they were put back %d times, and next time after %s: %s", n, r.contests.pause(req, now), plan))
		return
	}
	r.event(ctx, req, "Healed", "put back OVN rows that were changed by hand: "+plan)
}

// event leaves an Event on the object of a key, if there is one.
func (r *runner[Input]) event(ctx context.Context, req ctrl.Request, reason, note string) {
	if r.For == nil {
		return
	}
	obj := r.For.DeepCopyObject().(client.Object)
	if err := r.client.Get(ctx, req.NamespacedName, obj); err != nil {
		return // the object went away meanwhile: nobody is left to tell
	}
	r.events.Eventf(obj, nil, "Warning", reason, "Heal", "%s", Note(note))
}

// shorten keeps an event's note within the 1,024 bytes of the events API, and readable.
func shorten(plan string) string {
	const lines = 4
	all := strings.Split(strings.TrimSpace(plan), "\n")
	if len(all) > lines {
		all = append(all[:lines:lines], fmt.Sprintf("and %d more", len(all)-lines))
	}
	text := strings.Join(all, "; ")
	if len(text) > 900 {
		text = text[:900] + "…"
	}
	return text
}

// Key is the owner key of an object: "namespace/name", or "name" for those of the whole cluster.
func Key(n types.NamespacedName) string {
	if n.Namespace == "" {
		return n.Name
	}
	return n.Namespace + "/" + n.Name
}

// ParseKey is the inverse of Key.
func ParseKey(key string) types.NamespacedName {
	ns, name, found := strings.Cut(key, "/")
	if !found {
		return types.NamespacedName{Name: key}
	}
	return types.NamespacedName{Namespace: ns, Name: name}
}
