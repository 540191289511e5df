package host

import (
	"context"
	"errors"
	"strings"

	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/ovs"
)

// look brings the node a step or more closer to what it should be. It returns what an event or somebody has to change first,
// nothing when the node is whole; or an error, after which it is worth another try.
func (h *Host) look(ctx context.Context) ([]Problem, error) {
	session := h.db.Session()
	in, problem, err := h.input()
	if problem != nil || err != nil {
		return one(problem), err
	}
	h.setPodMTU(in)
	var want kernel.State
	var rows []OwnedRows
	var problems []Problem
	for _, feature := range Features() {
		d, lacks := feature.Translate(in)
		rows, problems = append(rows, d.Rows...), append(problems, lacks...)
		want.Merge(d.Kernel)
	}
	// Rows come first: a tunnel bridge's remembers what is about to leave its interface.
	for _, r := range rows {
		problem, err := h.apply(ctx, session, r)
		if problem != nil || err != nil {
			return append(one(problem), problems...), err
		}
	}
	return problems, h.applyKernel(in.Seen, want)
}

func one(p *Problem) []Problem {
	if p == nil {
		return nil
	}
	return []Problem{*p}
}

// input reads what features translate from.
func (h *Host) input() (Input, *Problem, error) {
	in := Input{Config: h.config, Switch: readSwitch(h.db)}
	h.mu.Lock()
	cluster := h.cluster
	h.mu.Unlock()
	var problem Problem
	switch {
	case !h.db.Connected():
		problem = waitingFor("Open vSwitch")
	case in.Switch.Root == nil:
		problem = waitingFor("Open vSwitch to initialise its database")
	case cluster == nil:
		problem = waitingFor("the API server to say what the cluster is")
	default:
		var err error
		in.Cluster = *cluster
		in.Seen, err = kernel.Dump()
		return in, nil, err
	}
	return in, &problem, nil
}

// apply applies rows that follow from what was read in a session. What a new session, or a row that came, will bring another look
// for is a problem that passes.
func (h *Host) apply(ctx context.Context, session uint64, r OwnedRows) (*Problem, error) {
	err := h.db.ApplyIn(ctx, session, r.Owner, r.Want)
	var waiting *ovs.ErrWaiting
	switch {
	case errors.Is(err, ovs.ErrOffline), errors.Is(err, ovs.ErrUnknown):
		p := waitingFor("Open vSwitch")
		return &p, nil
	case errors.As(err, &waiting):
		return &Problem{Message: err.Error()}, nil
	}
	return nil, err
}

func (h *Host) setPodMTU(in Input) {
	t, problem := findTunnel(in)
	if problem != nil {
		return // the last one stays
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.podMTU = t.podMTU(h.config)
}

// applyKernel makes the kernel's state what it should be.
func (h *Host) applyKernel(seen kernel.Seen, want kernel.State) error {
	have, err := seen.Observe(want)
	if err != nil {
		return err
	}
	plan := kernel.Diff(want, have)
	if plan.Empty() {
		return nil
	}
	h.log.Info("configuring the kernel", "changes", strings.Split(plan.String(), "\n"))
	return kernel.Apply(plan)
}
