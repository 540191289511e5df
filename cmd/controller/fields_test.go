package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ippool"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
	"github.com/woven-cni/woven/pkg/vpc"
)

// values are what fields are set to that cannot have just any text.
var values = map[string]any{
	"subnet": "x", "ips": []string{"10.30.0.7"},
	"vpc": "tenant", "protocol": "IPv6", "cidrBlock": "10.31.0.0/24", "gateway": "10.30.0.9", "excludeIps": []string{"10.30.0.7"},
	"gatewayType": v1.GatewayCentralized, "enableLb": ptr.To(false), "namespaces": []string{"shop"},
	"namespaceSelectors": []metav1.LabelSelector{{MatchLabels: map[string]string{"app": "shop"}}},
}

// fill sets a field to something else than its zero value; a struct by setting all fields in it.
func fill(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	if value, ok := values[name]; ok {
		v.Set(reflect.ValueOf(value))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Uint32:
		v.SetUint(1400)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, "", v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, "", v.Elem())
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, "", v.Field(i))
		}
	default:
		t.Fatalf("%s is a %s: say in this test how to set it", name, v.Kind())
	}
}

// asked says what comes of a spec: what is answered, and what follows from it, as a text.
type asked func(t *testing.T, spec any) (reconcile.Problems, string)

func ofSubnet(t *testing.T, spec any) (reconcile.Problems, string) {
	t.Helper()
	obj := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: *spec.(*v1.SubnetSpec)}
	want, problems := subnet.Translate(subnet.Input{Subnet: obj, DefaultVpc: "ovn-cluster", JoinSubnet: "join", DefaultSubnet: "ovn-default", EnableLB: true})
	s, _ := subnet.Parse(obj, "ovn-cluster")
	return problems, text(t, want.Rows, s, bound(t, obj))
}

func ofVpc(t *testing.T, spec any) (reconcile.Problems, string) {
	t.Helper()
	obj := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}, Spec: *spec.(*v1.VpcSpec)}
	want, problems := vpc.Translate(vpc.Input{Vpc: obj})
	if obj.Spec.DefaultSubnet == "" {
		obj.Spec.DefaultSubnet = "inner" // both are needed for a choice
	}
	if len(obj.Spec.Namespaces) == 0 {
		obj.Spec.Namespaces = []string{"pay"}
	}
	return problems, text(t, want.Rows, bound(t, obj))
}

func ofIPPool(t *testing.T, spec any) (reconcile.Problems, string) {
	t.Helper()
	c := reconciletest.NewCluster(t)
	env := c.Env(t, reconciletest.Page{})
	f := ippool.New(env)
	obj := &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "front"}, Spec: *spec.(*v1.IPPoolSpec)}
	accepted := []v1.Condition{{Type: v1.ConditionValidated, Status: metav1.ConditionTrue}}
	c.Load(obj, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1.SubnetSpec{CIDRBlock: "10.30.0.0/24"}, Status: v1.SubnetStatus{Conditions: accepted}},
		&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: v1.SubnetSpec{CIDRBlock: "10.31.0.0/24"}, Status: v1.SubnetStatus{Conditions: accepted}})
	key := client.ObjectKeyFromObject(obj)
	in, err := f.Gather(t.Context(), c, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Claim(t.Context(), key, &in); err != nil {
		t.Fatal(err)
	}
	want, problems := f.Translate(in)
	pools, finder := pool.PoolsOf(env), ippool.FinderOf(env)
	bound, err := finder.Bound(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	return problems, text(t, want.Rows, pools.IPPool("front"), bound)
}

// bound are the Subnets of the pods of two namespaces.
func bound(t *testing.T, obj client.Object) string {
	t.Helper()
	c := reconciletest.NewCluster(t)
	chooser := pool.ChooserOf(c.Env(t, reconciletest.Page{}))
	c.Load(obj,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"app": "shop"}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "pay"}})
	var out []string
	for _, namespace := range []string{"shop", "pay"} {
		names, err := chooser.Bound(t.Context(), namespace)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, names...)
	}
	return strings.Join(out, " ")
}

// text is a value without the addresses of pointers.
func text(t *testing.T, values ...any) string {
	t.Helper()
	out, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestNoFieldIsIgnoredInSilence sets each field of each spec, alone: something follows from it, or it is answered.
func TestNoFieldIsIgnoredInSilence(t *testing.T) {
	// nothing says why a field that is set has no effect, and needs no answer.
	nothing := map[string]string{
		"SubnetSpec.protocol":            "it follows from cidrBlock, and is written back so",
		"SubnetSpec.disableGatewayCheck": "pods never wait for their gateway",
	}
	for _, kind := range []struct {
		spec func() any
		of   asked
	}{
		{func() any { return &v1.SubnetSpec{CIDRBlock: "10.30.0.0/24"} }, ofSubnet},
		{func() any { return &v1.VpcSpec{} }, ofVpc},
		{func() any { return &v1.IPPoolSpec{Subnet: "web", IPs: []string{"10.30.0.9", "10.31.0.9"}} }, ofIPPool},
	} {
		_, before := kind.of(t, kind.spec())
		of := reflect.TypeOf(kind.spec()).Elem()
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			spec := kind.spec()
			fill(t, name, reflect.ValueOf(spec).Elem().Field(i))
			problems, after := kind.of(t, spec)
			answered := slices.ContainsFunc(problems, func(p reconcile.Problem) bool { return p.Field == "spec."+name })
			_, excused := nothing[of.Name()+"."+name]
			if used := before != after; !used && !answered && !excused {
				t.Errorf("%s.%s is ignored in silence", of.Name(), name)
			} else if excused && (used || answered) {
				t.Errorf("%s.%s needs no excuse", of.Name(), name)
			}
		}
	}
}

// TestEditedRecordsArePutBack is the same for IP objects, which have no status to answer in: whatever somebody writes into the
// record of a port is put back.
func TestEditedRecordsArePutBack(t *testing.T) {
	w := newWorld(t)
	pod := newPod("web-0")
	w.addressed(pod)
	w.recorded("web-0", "10.16.0.2")
	record := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "web-0.shop"}}
	want := now(w, record.DeepCopy()).Spec
	of := reflect.TypeOf(want)
	for i := range of.NumField() {
		if field := of.Field(i).Name; field == "PodName" || field == "Namespace" {
			continue // they are whose record it is; the CRD lets nobody change them
		}
		edit(w, record.DeepCopy(), func(ip *v1.IP) { fill(t, "", reflect.ValueOf(&ip.Spec).Elem().Field(i)) })
		reconciletest.Eventually(t, of.Field(i).Name+" as it was", func() string {
			if got := now(w, record.DeepCopy()).Spec; !reflect.DeepEqual(got, want) {
				return fmt.Sprintf("the record is %+v", got)
			}
			return ""
		})
	}
}
