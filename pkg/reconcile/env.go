package reconcile

import (
	"context"
	"fmt"
	"reflect"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/woven-cni/woven/pkg/ovs/engine"
)

// Env is what the constructor of a feature is given: the API, the database, and by type what the operator has decided and
// what several features share. A feature takes out of it what it works with, and keeps that and not the Env.
type Env struct {
	// Client reads caches and writes to the API server; its Scheme and RESTMapper know the kinds.
	Client client.Client
	// Cache is where objects are watched; a feature's own Watches need it not.
	Cache cache.Cache
	// Indexer is described at Index.
	Indexer client.FieldIndexer
	// Events tells users.
	Events recorder.EventRecorder
	// DB is the northbound database.
	DB *engine.DB
	// Metrics is where what is shared is counted.
	Metrics prometheus.Registerer
	// Log is for what happens beside the work on a key.
	Log logr.Logger
	// Manager runs what is no feature; nil where only constructors are tested.
	Manager manager.Manager

	settings map[reflect.Type]any
	shared   map[reflect.Type]any
	indexes  map[index]client.IndexerFunc
	seeds    *seeds
	err      error
	of       *Env // the Env that this one is a fork of
}

// index is the name of an index, and of which kind it is.
type index struct {
	kind  reflect.Type
	field string
}

// NewEnv is the Env of a manager and a database, with what the operator has decided; each setting is found by its type.
func NewEnv(mgr manager.Manager, db *engine.DB, metrics prometheus.Registerer, settings ...any) (*Env, error) {
	env := &Env{
		Client: mgr.GetClient(), Cache: mgr.GetCache(), Indexer: mgr.GetFieldIndexer(), Events: mgr.GetEventRecorder("woven-controller"),
		DB: db, Metrics: metrics, Log: mgr.GetLogger(), Manager: mgr,
	}
	env.Set(settings...)
	env.seeds = newSeeds(db)
	if err := mgr.Add(env.seeds); err != nil {
		return nil, fmt.Errorf("adding the seeds of features: %w", err)
	}
	return env, nil
}

// Set adds settings. One of a type that is there already takes its place.
func (e *Env) Set(settings ...any) {
	if e.settings == nil {
		e.settings = map[reflect.Type]any{}
	}
	for _, s := range settings {
		e.settings[reflect.TypeOf(s)] = s
	}
}

// Setting is what the operator has decided of a type; the zero T when that is nothing.
func Setting[T any](e *Env) T {
	setting, _ := e.settings[reflect.TypeFor[T]()].(T)
	return setting
}

// Shared is the one thing of a type that features share; the first who asks has it made. In a fork it is another: a copy,
// if the thing is memory, which has a Fork method, and else one that is made anew.
func Shared[T any](e *Env, make func(*Env) *T) *T {
	kind := reflect.TypeFor[T]()
	if thing, there := e.shared[kind]; there {
		return thing.(*T)
	}
	thing := memoryOf[T](e.of)
	if thing == nil {
		thing = make(e)
	}
	if e.shared == nil {
		e.shared = map[reflect.Type]any{}
	}
	e.shared[kind] = thing
	return thing
}

// memoryOf is a copy of the memory that the features of an Env share; nil when there is none of the type.
func memoryOf[T any](e *Env) *T {
	if e == nil {
		return nil
	}
	if memory, is := e.shared[reflect.TypeFor[T]()].(interface{ Fork() *T }); is {
		return memory.Fork()
	}
	return nil
}

// fork is the Env of a dry run that reads with another client.
func (e *Env) fork(c client.Client) *Env {
	return &Env{Client: c, Cache: e.Cache, Indexer: e.Indexer, DB: e.DB, Log: e.Log, settings: e.settings, indexes: e.indexes, of: e}
}

// Index has the cache find objects of a kind by keys. Several features may ask for one index, each in the same words.
func (e *Env) Index(kind client.Object, field string, keys client.IndexerFunc) {
	name := index{reflect.TypeOf(kind), field}
	if _, there := e.indexes[name]; there {
		return
	}
	if e.indexes == nil {
		e.indexes = map[index]client.IndexerFunc{}
	}
	e.indexes[name] = keys
	if err := e.Indexer.IndexField(context.Background(), kind, field, keys); err != nil {
		e.Fail(fmt.Errorf("indexing %T by %s: %w", kind, field, err))
	}
}

// Fail notes that a constructor could not do its work; the first error is the one that Add ends with.
func (e *Env) Fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Err is the first error of a constructor.
func (e *Env) Err() error { return e.err }

// Adder adds something that the controller does.
type Adder interface {
	// Add is called once, before the manager starts.
	Add(env *Env) error
	// plan is what a feature would do for an object; nil when the object is of a kind that it is not for.
	plan(ctx context.Context, fork *Env, object client.Object) (*Planned, error)
}

// Func is what is no feature.
type Func func(*Env) error

// Add implements Adder.
func (f Func) Add(env *Env) error { return f(env) }

func (Func) plan(context.Context, *Env, client.Object) (*Planned, error) { return nil, nil }

// Add is the Adder of the feature that a constructor makes.
func Add[Input any](constructor func(*Env) Feature[Input]) Adder {
	return constructed[Input](constructor)
}

// constructed is a feature, by its constructor.
type constructed[Input any] func(*Env) Feature[Input]

// Add implements Adder.
func (c constructed[Input]) Add(env *Env) error {
	f := c(env)
	if env.err != nil {
		return env.err
	}
	return register(env, f)
}
