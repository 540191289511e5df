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

	things  map[reflect.Type]any
	indexes map[index]bool
	seeds   *seeds
	err     error
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
	for _, s := range settings {
		e.put(reflect.TypeOf(s), s)
	}
}

func (e *Env) put(kind reflect.Type, thing any) {
	if e.things == nil {
		e.things = map[reflect.Type]any{}
	}
	e.things[kind] = thing
}

// Setting is what the operator has decided of a type; the zero T when that is nothing.
func Setting[T any](e *Env) T {
	thing, _ := e.things[reflect.TypeFor[T]()].(T)
	return thing
}

// Shared is the one thing of a type that features share; the first who asks has it made.
func Shared[T any](e *Env, make func(*Env) *T) *T {
	if thing, there := e.things[reflect.TypeFor[*T]()]; there {
		return thing.(*T)
	}
	thing := make(e)
	e.put(reflect.TypeFor[*T](), thing)
	return thing
}

// Index has the cache find objects of a kind by keys. Several features may ask for one index, each in the same words.
func (e *Env) Index(kind client.Object, field string, keys client.IndexerFunc) {
	name := index{reflect.TypeOf(kind), field}
	if e.indexes[name] {
		return
	}
	if e.indexes == nil {
		e.indexes = map[index]bool{}
	}
	e.indexes[name] = true
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
type Adder func(*Env) error

// Add is the Adder of the feature that a constructor makes.
func Add[Input any](constructor func(*Env) Feature[Input]) Adder {
	return func(e *Env) error {
		f := constructor(e)
		if e.err != nil {
			return e.err
		}
		return register(e, f)
	}
}
