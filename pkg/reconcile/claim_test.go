package reconcile

import (
	"context"
	"errors"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// ending is one way in which a look can end.
type ending struct {
	gather    error
	claim     error
	translate func(cancel func()) (ovs.Desired, Problems)
	// want is what the claim hears; "" is nothing, since there is no claim.
	want string
	// told says that Report hears of it too, and after the claim.
	told bool
}

// said is an outcome in a word.
func said(out Outcome) string {
	switch {
	case out.Programmed():
		return "programmed"
	case out.Waiting != nil:
		return "waiting"
	case out.Unread():
		return "unread"
	case out.Err != nil:
		return "error"
	}
	return "refused"
}

func row(parent string) ovs.Desired {
	var want ovs.Desired
	want.Add("thing/a/port", &nb.LogicalSwitchPort{Name: "a"}).In(ovs.SwitchPorts.Of(ovs.Sym(parent)))
	return want
}

var endings = map[string]ending{
	"well": {
		translate: func(func()) (ovs.Desired, Problems) {
			var want ovs.Desired
			want.Add("thing/a/switch", &nb.LogicalSwitch{Name: "a"})
			return want, nil
		},
		want: "programmed", told: true,
	},
	"advice": {
		translate: func(func()) (want ovs.Desired, ps Problems) {
			ps.Advise("", v1.ReasonInvalid, "it is odd")
			return want, ps
		},
		want: "programmed", told: true,
	},
	"refusal": {
		translate: func(func()) (want ovs.Desired, ps Problems) {
			ps.Add("", v1.ReasonInvalid, "it is wrong")
			return want, ps
		},
		want: "refused", told: true,
	},
	"wait for a row": {
		translate: func(func()) (ovs.Desired, Problems) { return row("thing/none/switch"), nil },
		want:      "waiting", told: true,
	},
	"error of the database": {
		translate: func(cancel func()) (ovs.Desired, Problems) {
			cancel()
			var want ovs.Desired
			want.Add("thing/a/other", &nb.LogicalSwitch{Name: "other"})
			return want, nil
		},
		want: "error", told: true,
	},
	"panic": {
		translate: func(func()) (ovs.Desired, Problems) { panic("no such index") },
		want:      "unread",
	},
	"wait of the claim":  {claim: &Wait{For: "the labels"}, want: "waiting", told: true},
	"error of the claim": {claim: errors.New("no list"), want: "unread"},
	"unreadable":         {gather: errors.New("no list")},
	"wait of the gather": {gather: &Wait{For: "the first look"}, told: true},
}

// TestClaimHearsHowItEnds is each way in which a look can end: who has claimed something hears of it once, and first.
func TestClaimHearsHowItEnds(t *testing.T) {
	db := ovstest.Start(t).DB()
	<-db.Ready()
	for name, tc := range endings {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var heard []string
			r := &runner[int]{db: db, seeds: newSeeds(db), Feature: Feature[int]{
				Name:   "thing",
				Gather: func(context.Context, client.Reader, types.NamespacedName) (int, error) { return 1, tc.gather },
				Claim: func(_ context.Context, _ types.NamespacedName, in *int) (func(Outcome), error) {
					*in = 2
					return func(out Outcome) { heard = append(heard, said(out)) }, tc.claim
				},
				Translate: func(in int) (ovs.Desired, Problems) {
					if in != 2 {
						t.Errorf("%d is translated, and not what was claimed", in)
					}
					return tc.translate(cancel)
				},
				Report: func(context.Context, types.NamespacedName, int, Outcome) error {
					heard = append(heard, "report")
					return nil
				},
			}}
			close(r.seeds.done)
			func() {
				defer func() { _ = recover() }() // as the manager does
				_, _ = r.Reconcile(ctx, ctrl.Request{NamespacedName: types.NamespacedName{Name: "a"}})
			}()
			var want []string
			if tc.want != "" {
				want = append(want, tc.want)
			}
			if tc.told {
				want = append(want, "report")
			}
			if !slices.Equal(heard, want) {
				t.Errorf("heard is %v, want %v", heard, want)
			}
		})
	}
}

// TestNothingClaimed is a feature that takes nothing of some objects.
func TestNothingClaimed(t *testing.T) {
	r := &runner[int]{seeds: newSeeds(nil), Feature: Feature[int]{
		Gather: func(context.Context, client.Reader, types.NamespacedName) (int, error) { return 1, nil },
		Claim:  func(context.Context, types.NamespacedName, *int) (func(Outcome), error) { return nil, nil },
	}}
	close(r.seeds.done)
	if _, err := r.Reconcile(t.Context(), ctrl.Request{}); err != nil {
		t.Error(err)
	}
}
