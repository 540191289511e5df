package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// api is an API server in memory that lists and watches over HTTP, so that the daemon's own caches, selectors and
// transforms are at work.
type api struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex // protects the fields below
	version  int
	objects  map[string]map[string]client.Object // by resource, then by name
	watchers []*watcher
	sent     map[string]int // events sent, by resource
	told     []string       // Events that were created, or repeated

	held map[string]chan struct{} // resources whose first list waits until it is closed
}

// watcher is one watch that a client holds.
type watcher struct {
	resource string
	matches  func(client.Object) bool
	events   chan []byte
}

// resources are the kinds that the daemon watches.
var resources = map[string]schema.GroupVersionKind{
	"pods":           {Version: "v1", Kind: "Pod"},
	"nodes":          {Version: "v1", Kind: "Node"},
	"subnets":        {Group: "kubeovn.io", Version: "v1", Kind: "Subnet"},
	"endpointslices": {Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"},
	"events":         {Version: "v1", Kind: "Event"},
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{t: t, objects: map[string]map[string]client.Object{}, sent: map[string]int{}, held: map[string]chan struct{}{}}
	for resource := range resources {
		a.objects[resource] = map[string]client.Object{}
	}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// kubeconfig is the path of a file that leads here.
func (a *api) kubeconfig() string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "kubeconfig")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],` +
		`"users":[{"name":"u","user":{}}],"clusters":[{"name":"c","cluster":{"server":"` + a.URL + `"}}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// set stores an object as a new version of itself, tells whoever watches it, and returns the version.
func (a *api) set(resource string, obj client.Object) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	obj.SetResourceVersion(strconv.Itoa(a.version))
	obj.GetObjectKind().SetGroupVersionKind(resources[resource])
	kind := "MODIFIED"
	if a.objects[resource][obj.GetName()] == nil {
		kind = "ADDED"
	}
	a.objects[resource][obj.GetName()] = obj
	for _, w := range a.watchers {
		if w.resource == resource && w.matches(obj) {
			w.events <- a.event(kind, obj)
			a.sent[resource]++
		}
	}
	return obj.GetResourceVersion()
}

func (a *api) event(kind string, object any) []byte {
	text, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		a.t.Error(err)
	}
	return append(text, '\n')
}

// events is how many of a resource were sent to those who watch.
func (a *api) events(resource string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent[resource]
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	resource := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	kind, known := resources[resource]
	if resource == "events" || r.Method == http.MethodPatch {
		a.takeEvent(w, r)
		return
	}
	if held := a.held[resource]; held != nil {
		<-held
	}
	if !known {
		_ = json.NewEncoder(w).Encode(discovery(r.URL.Path))
		return
	}
	selector, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	matches := func(obj client.Object) bool { return selector.Matches(fieldsOf(obj)) }
	if r.URL.Query().Get("watch") != "" {
		a.watch(w, r, &watcher{resource: resource, matches: matches, events: make(chan []byte, 1<<16)})
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	items := []client.Object{}
	for _, obj := range a.objects[resource] {
		if matches(obj) {
			items = append(items, obj)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind + "List", "items": items,
		"metadata": map[string]string{"resourceVersion": strconv.Itoa(a.version)},
	})
}

// takeEvent answers the creation of an Event, and the patch of one that is repeated, which says how often.
func (a *api) takeEvent(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var event corev1.Event
	if err == nil && r.Method == http.MethodPost {
		_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, &event)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	about := event.InvolvedObject
	a.told = append(a.told, event.Source.Component+": "+about.Kind+" "+about.Name+" "+event.Reason+": "+event.Message)
	a.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	event.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Event"}
	_ = json.NewEncoder(w).Encode(event)
}

// toldEvents are the Events that were created, or repeated.
func (a *api) toldEvents() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.told)
}

// watch answers a watch until its client leaves.
func (a *api) watch(w http.ResponseWriter, r *http.Request, mine *watcher) {
	a.mu.Lock()
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, obj := range a.objects[mine.resource] {
			if mine.matches(obj) {
				mine.events <- a.event("ADDED", obj)
			}
		}
		mine.events <- a.event("BOOKMARK", map[string]any{
			"apiVersion": resources[mine.resource].GroupVersion().String(), "kind": resources[mine.resource].Kind,
			"metadata": map[string]any{
				"resourceVersion": strconv.Itoa(a.version), "annotations": map[string]string{metav1.InitialEventsAnnotationKey: "true"},
			},
		})
	}
	a.watchers = append(a.watchers, mine)
	a.mu.Unlock()
	flush := http.NewResponseController(w)
	for {
		_ = flush.Flush()
		select {
		case event := <-mine.events:
			_, _ = w.Write(event)
		case <-r.Context().Done():
			return
		}
	}
}

// fieldsOf are the fields of an object that watches select by.
func fieldsOf(obj client.Object) fields.Set {
	out := fields.Set{"metadata.name": obj.GetName()}
	if node := obj.GetAnnotations()["test/node"]; node != "" {
		out["spec.nodeName"] = node
	}
	return out
}

// discovery is what a server says of the groups and kinds that it has.
func discovery(path string) any {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}}
	groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for name, kind := range resources {
		version := kind.GroupVersion().String()
		if kind.Group != "" {
			served := metav1.GroupVersionForDiscovery{GroupVersion: version, Version: kind.Version}
			groups.Groups = append(groups.Groups, metav1.APIGroup{
				Name: kind.Group, Versions: []metav1.GroupVersionForDiscovery{served}, PreferredVersion: served,
			})
		}
		if strings.HasSuffix(path, "/"+version) {
			list.GroupVersion = version
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: name, Kind: kind.Kind, Namespaced: slices.Contains([]string{"pods", "endpointslices", "events"}, name), Verbs: metav1.Verbs{"list", "watch"},
			})
		}
	}
	switch path {
	case "/api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions", APIVersion: "v1"}, Versions: []string{"v1"}}
	case "/apis":
		return groups
	}
	return list
}
