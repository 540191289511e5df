package vpc

import (
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// record is how the Vpc itself should read.
func (f *feature) record() reconcile.Record[Input, *v1.Vpc] {
	return reconcile.Record[Input, *v1.Vpc]{
		Object: func(in Input) (*v1.Vpc, bool) { return in.Vpc, in.Vpc != nil },
		Held:   func(in Input, out reconcile.Outcome) bool { return !in.gone() || !out.Programmed() },
		Status: f.status,
	}
}

func (f *feature) status(in Input, out reconcile.Outcome, vpc *v1.Vpc) {
	if vpc.DeletionTimestamp != nil {
		out.InUse = "subnets " + strings.Join(in.Subnets, ", ")
	}
	st := &vpc.Status
	reconcile.SetConditions(&st.Conditions, vpc.Generation, out)
	st.Standby, st.Default, st.Router, st.Subnets = out.Programmed(), in.Default, vpc.Name, in.Subnets
	st.DefaultLogicalSwitch = vpc.Spec.DefaultSubnet
	if in.Default && st.DefaultLogicalSwitch == "" {
		st.DefaultLogicalSwitch = f.defaults.Subnet
	}
}
