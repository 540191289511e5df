package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// bench is a database full of pods.
type bench struct {
	server    *ovstest.Server
	db        *engine.DB
	ports     int
	perSwitch int
}

// pod is the i-th pod; one switch, group and set serve perSwitch pods.
func (f *bench) pod(i int) (ovs.Owner, ovs.Desired) {
	n := fmt.Sprint(i / f.perSwitch)
	name := fmt.Sprintf("shop/pod-%d", i)
	mac := fmt.Sprintf("0a:58:%02x:%02x:%02x:%02x", i>>24&255, i>>16&255, i>>8&255, i&255)
	ip := fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)
	var want ovs.Desired
	want.Add(ovs.Sym("pod/"+name+"/port"), &nb.LogicalSwitchPort{
		Name: fmt.Sprintf("pod-%d.shop", i), Addresses: []string{mac + " " + ip}, PortSecurity: []string{mac + " " + ip},
	}).In(ovs.SwitchPorts.Of(lswitch(n))).
		Also(ovs.GroupPorts.Of(group(n)).This(), ovs.SetAddresses.Of(addressSet(n)).Value(ip))
	return ovs.Owner{Feature: "pod", Key: name}, want
}

// apply applies pods from several goroutines, and tells how it went.
func (f *bench) apply(b *testing.B, from, to, workers int) {
	b.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range workers {
		wg.Go(func() {
			for i := range next {
				o, want := f.pod(i)
				if _, err := f.db.Apply(context.Background(), o, want); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := from; i < to; i++ {
		next <- i
	}
	close(next)
	wg.Wait()
}

func newBench(b *testing.B, ports, perSwitch int) *bench {
	b.Helper()
	server := ovstest.Start(b)
	f := &bench{server: server, db: server.DB(), ports: ports, perSwitch: perSwitch}
	for i := range 2*ports/perSwitch + 1 {
		n := fmt.Sprint(i)
		var want ovs.Desired
		want.Add(lswitch(n), &nb.LogicalSwitch{Name: n})
		want.Add(group(n), &nb.PortGroup{Name: "pg_" + n})
		want.Add(addressSet(n), &nb.AddressSet{Name: "as_" + n})
		if _, err := f.db.Apply(context.Background(), subnetOwner(n), want); err != nil {
			b.Fatal(err)
		}
	}
	f.apply(b, 0, ports, 200)
	return f
}

func BenchmarkEngine(b *testing.B) {
	for _, shape := range []struct {
		name             string
		ports, perSwitch int
	}{
		{"1k", 1000, 100}, {"10k", 10_000, 100}, {"50k", 50_000, 100}, {"flat10k", 10_000, 100_000},
	} {
		b.Run(shape.name, func(b *testing.B) {
			f := newBench(b, shape.ports, shape.perSwitch)
			b.Run("Observe", f.observe)
			b.Run("ApplyNoop", f.noop)
			b.Run("ApplyNewPod", f.newPod)
			b.Run("ApplyNewPods200", f.newPods)
			b.Run("ColdDiff", f.coldDiff)
			b.Run("Fill", f.fill)
		})
	}
}

// observe reads an owner's rows.
func (f *bench) observe(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o, _ := f.pod(i % f.ports)
		if len(f.db.Owned(o)) != 1 {
			b.Fatal("not there")
		}
	}
}

// noop applies what is there already.
func (f *bench) noop(b *testing.B) {
	b.ReportAllocs()
	o, want := f.pod(f.ports / 2)
	for b.Loop() {
		if plan, err := f.db.Apply(context.Background(), o, want); err != nil || !plan.Empty() {
			b.Fatal(plan, err)
		}
	}
}

// newPod makes pods one after another, and takes them away when the clock stands still.
func (f *bench) newPod(b *testing.B) {
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n == f.ports {
			b.StopTimer()
			f.forget(b, n)
			n = 1
			b.StartTimer()
		}
		o, want := f.pod(f.ports + n)
		if _, err := f.db.Apply(context.Background(), o, want); err != nil {
			b.Fatal(err)
		}
	}
	f.forget(b, n+1)
}

// newPods makes 200 pods at once.
func (f *bench) newPods(b *testing.B) {
	for b.Loop() {
		f.apply(b, f.ports, f.ports+200, 200)
		b.StopTimer()
		f.forget(b, 200)
		b.StartTimer()
	}
	b.ReportMetric(float64(200*b.N)/b.Elapsed().Seconds(), "pods/s")
}

func (f *bench) forget(b *testing.B, n int) {
	var wg sync.WaitGroup
	for i := range n {
		o, _ := f.pod(f.ports + i)
		wg.Go(func() {
			if _, err := f.db.Apply(context.Background(), o, ovs.Desired{}); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// coldDiff compares all pods, as a restarted controller does.
func (f *bench) coldDiff(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		ctx, cancel := context.WithCancel(context.Background())
		db, err := engine.Open(ctx, ovs.Northbound, []string{f.server.Endpoint()})
		if err != nil {
			b.Fatal(err)
		}
		<-db.Ready()
		b.StartTimer()
		for i := range f.ports {
			o, want := f.pod(i)
			if plan, err := db.Apply(ctx, o, want); err != nil || !plan.Empty() {
				b.Fatal(plan, err)
			}
		}
		b.StopTimer()
		cancel()
		b.StartTimer()
	}
}

// fill connects and gets the whole database.
func (f *bench) fill(b *testing.B) {
	b.ReportAllocs()
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		ctx, cancel := context.WithCancel(context.Background())
		db, err := engine.Open(ctx, ovs.Northbound, []string{f.server.Endpoint()})
		if err != nil {
			b.Fatal(err)
		}
		<-db.Ready()
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(f.ports), "heapB/port")
		cancel()
		runtime.KeepAlive(db)
		b.StartTimer()
	}
}
