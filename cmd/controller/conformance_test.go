package main

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// TestEveryFeatureConforms holds what is asked of each feature, whatever it is for, in a world that has an object of each. A feature
// that is added needs a line in conformants.
func TestEveryFeatureConforms(t *testing.T) {
	t.Parallel()
	for name, holds := range map[string]func(*populated){
		"an edit to nonsense leaves what is in force": (*populated).keepsWhatIsInForce,
		"a deletion leaves nothing":                   (*populated).leavesNothing,
		"a restart writes nothing":                    (*populated).restartsQuietly,
		"what comes back is found":                    (*populated).findsWhatComesBack,
		"a second writer is put right, and damped":    (*populated).healsAndIsDamped,
	} {
		t.Run(name, func(t *testing.T) { holds(populate(newWorld(t))) })
	}
}

// conformant is an object that a feature is for, or the rows that it has without one.
type conformant struct {
	// owner is whose the rows are; the zero Owner has none.
	owner ovs.Owner
	// event is what its Events are about; "" has nobody to tell.
	event string
	// spoil edits the object to nonsense and waits until that was read, and mend takes the edit back. Nil: no edit is nonsense.
	spoil, mend func()
	// lose takes away something that the rows depend on and waits until they are gone, and regain brings it back. Nil: there is
	// nothing of the kind.
	lose, regain func()
}

// TestConformantsAreAll fails for a feature that is in no conformance test.
func TestConformantsAreAll(t *testing.T) {
	all := populate(newWorld(t)).conformants()
	for _, f := range features {
		name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		name = name[strings.LastIndex(name, "/")+1:]
		if _, there := all[name]; !there && !slices.Contains([]string{"controller.addBootstrap", "main.addBootstrap", "policy.AwaitKinds"}, name) {
			t.Errorf("%s is in no conformance test: add what it is for to populate and to conformants", name)
		}
	}
}

// dump is all that OVN has of ours.
func (p *populated) dump() string { return p.env.DB.Dump() }

// same waits until OVN has what it had.
func (p *populated) same(before, when string) {
	p.t.Helper()
	reconciletest.Eventually(p.t, "the rows "+when, func() string { return difference(before, p.dump()) })
}

// difference are the rows of one dump that another has not, or has otherwise.
func difference(before, after string) string {
	var out []string
	for _, of := range []struct{ sign, from, to string }{{"- ", before, after}, {"+ ", after, before}} {
		blocks := dumped(of.to)
		for name, row := range dumped(of.from) {
			if blocks[name] != row {
				out = append(out, of.sign+row)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// dumped are the rows of a dump, by table and name.
func dumped(text string) map[string]string {
	rows, name := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			name = line
		}
		rows[name] += line
	}
	return rows
}

// keepsWhatIsInForce edits each object to nonsense and back.
func (p *populated) keepsWhatIsInForce() {
	before := p.dump()
	for name, c := range p.conformants() {
		if c.spoil == nil {
			continue
		}
		c.spoil()
		if changed := difference(before, p.dump()); changed != "" {
			p.t.Errorf("nonsense for %s changes rows:\n%s", name, changed)
		}
		c.mend()
		p.same(before, "after nonsense for "+name)
	}
}

// findsWhatComesBack takes something away that the rows of each object depend on, and brings it back.
func (p *populated) findsWhatComesBack() {
	before := p.dump()
	for name, c := range p.conformants() {
		if c.lose == nil {
			continue
		}
		c.lose()
		c.regain()
		p.same(before, "after what "+name+" depends on has come back")
	}
	p.settled()
}

// restartsQuietly starts the controller anew.
func (p *populated) restartsQuietly() {
	p.usage("web", 2)
	p.usage("inner", 1)
	p.usage("join", 1)
	p.checkQuietRestart()
}

// leavesNothing deletes all objects.
func (p *populated) leavesNothing() {
	for _, object := range p.objects {
		p.remove(object)
	}
	for _, object := range p.objects {
		reconciletest.Eventually(p.t, fmt.Sprintf("the end of %T %s", object, object.GetName()), func() string {
			if err := p.Get(p.t.Context(), client.ObjectKeyFromObject(object), object); !errors.IsNotFound(err) {
				return fmt.Sprintf("the API server says %v; its finalizers are %v", err, object.GetFinalizers())
			}
			return ""
		})
	}
	reconciletest.Eventually(p.t, "the end of the records", func() string {
		var left v1.IPList
		if err := p.List(p.t.Context(), &left); err != nil || len(left.Items) > 0 {
			return fmt.Sprintf("%d are left (%v)", len(left.Items), err)
		}
		return ""
	})
	// Groups without policies stay for a minute or two: they are taken out here as they would be then.
	registry := group.RegistryOf(p.env)
	for name := range group.Committed(p.env.DB) {
		if _, used := registry.Review(name); used {
			p.t.Errorf("group %s is used", name)
		}
		registry.HasRow(name, false)
	}
	if left := registry.Fork(); !reflect.DeepEqual(left, p.registry) {
		p.t.Errorf("the registry of groups has kept %+v, and had %+v", left, p.registry)
	}
	pools := pool.PoolsOf(p.env)
	for _, subnet := range []string{"web", "inner", "join", "ovn-default"} {
		if users := pools.Users(subnet); len(users) > 0 {
			p.t.Errorf("%s have addresses of %s", users, subnet)
		}
	}
	if waiting := pools.WaitingNamespaces(); len(waiting) > 0 {
		p.t.Errorf("somebody waits in %s", waiting)
	}
	p.restart() // which has no use for groups without policies
	p.same(p.empty, "when all is deleted")
}

// handEdits are edits of rows by hand, by table, as ovn-nbctl takes them.
var handEdits = map[string]string{
	"Meter": "unit=kbps", "Logical_Router": "options:mac_binding_age_threshold=1", "Logical_Router_Port": "networks=10.99.0.1/24",
	"Logical_Switch_Port": "addresses=unknown", "Load_Balancer": "vips={}", "Chassis_Template_Var": "variables:odd=1", "ACL": "priority=7",
	"Port_Group": "external_ids:pods=odd", "Address_Set": "addresses=10.9.9.9",
}

// parents are the sets that keep rows of tables that are no roots.
var parents = map[string][2]string{
	"ACL": {"Port_Group", "acls"}, "Logical_Switch_Port": {"Logical_Switch", "ports"}, "Logical_Router_Port": {"Logical_Router", "ports"},
}

// healsAndIsDamped changes a row of each owner by hand, deletes it, and goes on changing it. It is put back each time: the fourth time
// late, and then whoever looks at the object is told.
func (p *populated) healsAndIsDamped() {
	before := p.dump()
	all := p.conformants()
	maps.DeleteFunc(all, func(_ string, c conformant) bool { return c.owner == ovs.Owner{} })
	p.Events.Take()
	byHand := []func(table, uuid string){p.editByHand, p.deleteByHand, p.editByHand, p.editByHand}
	for i, change := range byHand {
		for name, c := range all {
			table, uuid := p.rowOf(name, c.owner)
			p.sent.Take()
			begun := time.Now()
			change(table, uuid)
			p.putBack(name, uuid)
			if took := time.Since(begun); i == len(byHand)-1 && took < damped {
				p.t.Errorf("the row of %s is put back after %s the fourth time", name, took)
			}
			p.same(before, "put back for "+name)
		}
	}
	for name, c := range all {
		if c.event != "" && !p.contested(c.event) {
			p.t.Errorf("nobody is told that somebody else writes to %s", name)
		}
	}
}

// damped is how long it takes at least to put a row back that was put back three times already.
const damped = 200 * time.Millisecond

// rowOf is a row of an owner that handEdits can change.
func (p *populated) rowOf(name string, owner ovs.Owner) (table, uuid string) {
	p.t.Helper()
	for _, row := range p.env.DB.Owned(owner) {
		if _, can := handEdits[row.Table]; can {
			return row.Table, row.Sym.UUID()
		}
	}
	p.t.Fatalf("%s has no row that handEdits can change", name)
	return "", ""
}

func (p *populated) editByHand(table, uuid string) {
	p.t.Helper()
	p.nb.Ctl("set", table, uuid, handEdits[table])
}

func (p *populated) deleteByHand(table, uuid string) {
	p.t.Helper()
	in, child := parents[table]
	if !child {
		p.nb.Ctl("destroy", table, uuid)
		return
	}
	for _, parent := range strings.Fields(p.nb.Ctl("--bare", "--columns=_uuid", "find", in[0], in[1]+"{>=}"+uuid)) {
		p.nb.Ctl("remove", in[0], parent, in[1], uuid)
	}
}

// putBack waits until the controller has written to a row.
func (p *populated) putBack(what, uuid string) {
	p.t.Helper()
	reconciletest.Eventually(p.t, "the healing of "+what, func() string {
		for _, sent := range p.sent.Take() {
			if strings.Contains(sent, uuid) {
				return ""
			}
		}
		return "nothing was sent"
	})
}

// contested says whether there was an Event about another writer of an object's rows.
func (p *populated) contested(about string) bool {
	p.heard = append(p.heard, p.Events.Take()...)
	return slices.ContainsFunc(p.heard, func(e string) bool { return strings.HasPrefix(e, "Warning Contested "+about+": ") })
}

// vanish takes an object away whatever keeps it.
func (p *populated) vanish(object client.Object) {
	p.t.Helper()
	p.remove(object)
	for {
		err := p.Get(p.t.Context(), client.ObjectKeyFromObject(object), object)
		if err == nil {
			object.SetFinalizers(nil)
			err = p.Update(p.t.Context(), object)
		}
		if errors.IsNotFound(err) {
			return
		}
		if err != nil && !errors.IsConflict(err) {
			p.t.Fatal(err)
		}
	}
}

// again creates an object that was there before.
func (p *populated) again(object client.Object) {
	p.t.Helper()
	object = object.DeepCopyObject().(client.Object)
	object.SetResourceVersion("")
	p.create(object)
}

// annotated waits until an annotation of an object reads as wanted.
func (p *populated) annotated(object client.Object, key, want string) {
	p.t.Helper()
	reconciletest.Eventually(p.t, fmt.Sprintf("%s of %T %s", key, object, object.GetName()), func() string {
		if got := now(p.world, object).GetAnnotations()[key]; got != want {
			return "it is " + got
		}
		return ""
	})
}

// annotate writes an annotation.
func (p *populated) annotate(object client.Object, key, value string) {
	p.t.Helper()
	edit(p.world, object, func(o client.Object) {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[key] = value
		o.SetAnnotations(annotations)
	})
}

// odd is a selector that nobody can read.
var odd = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Odd"}}}

// nearService is a Service that answers its clients by their nodes.
func nearService() *corev1.Service {
	s, _ := newService()
	local := corev1.ServiceInternalTrafficPolicyLocal
	s.Name, s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.InternalTrafficPolicy = "near", "10.96.0.12", []string{"10.96.0.12"}, &local
	return s
}
