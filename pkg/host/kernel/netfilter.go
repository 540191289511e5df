package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the nftables table that has all of Woven's rules on a node: source NAT (nat.go) and the closed doors
// (doors.go).
const tableName = "woven"

// rulesTag is in each rule's user data; a rule without it was not written by this version.
const rulesTag = "woven/4:"

func table() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
}

// rule is a rule of a chain, by a name that tells it from the others.
type rule struct {
	name  string
	exprs []expr.Any
}

// chain is a chain with its rules, in their order.
type chain struct {
	*nftables.Chain
	rules []rule
}

// hooked is an empty chain at one of the kernel's hooks.
func hooked(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority) chain {
	return chain{Chain: &nftables.Chain{Name: name, Table: table(), Type: kind, Hooknum: hook, Priority: &priority}}
}

// chains are all chains of the table. A chain that others jump to comes before them.
func chains() []chain { return slices.Concat(doorChains(), natChains()) }

// observeNetfilter reads the sets, if the rules around them are whole.
func observeNetfilter() (Netfilter, error) {
	broken := Netfilter{Broken: true}
	conn, err := nftables.New()
	if err != nil {
		return broken, fmt.Errorf("opening nftables: %w", err)
	}
	whole, err := rulesWhole(conn)
	if err != nil || !whole {
		return broken, err
	}
	var have Netfilter
	for _, s := range have.sets() {
		elements, err := conn.GetSetElements(s.set())
		if absent(err) {
			return broken, nil
		}
		if err != nil {
			return broken, fmt.Errorf("reading nftables set %s: %w", s.name, err)
		}
		s.take(elements)
	}
	return have, nil
}

func absent(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, fs.ErrNotExist) }

func rulesWhole(conn *nftables.Conn) (bool, error) {
	for _, chain := range chains() {
		rules, err := conn.GetRules(table(), chain.Chain)
		if absent(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading nftables rules: %w", err)
		}
		same := slices.EqualFunc(rules, chain.rules, func(have *nftables.Rule, want rule) bool {
			return string(have.UserData) == rulesTag+want.name
		})
		if !same {
			return false, nil
		}
	}
	return true, nil
}

// applyNetfilter changes the sets by what differs, or makes the whole table anew; either is one transaction.
func applyNetfilter(plan NetfilterPlan) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("opening nftables: %w", err)
	}
	if plan.Rebuild {
		conn.AddTable(table()) // deleting what is not there is an error
		conn.DelTable(table())
		conn.AddTable(table())
	}
	remove := plan.Delete.sets()
	for i, add := range plan.Add.sets() {
		if plan.Rebuild {
			err = conn.AddSet(add.set(), nil)
		}
		if elements := remove[i].elements(); err == nil && len(elements) > 0 {
			err = conn.SetDeleteElements(add.set(), elements)
		}
		if elements := add.elements(); err == nil && len(elements) > 0 {
			err = conn.SetAddElements(add.set(), elements)
		}
		if err != nil {
			return fmt.Errorf("changing nftables set %s: %w", add.name, err)
		}
	}
	if plan.Rebuild {
		for _, chain := range chains() {
			conn.AddChain(chain.Chain)
			for _, r := range chain.rules {
				conn.AddRule(&nftables.Rule{Table: table(), Chain: chain.Chain, UserData: []byte(rulesTag + r.name), Exprs: r.exprs})
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("writing nftables: %w", err)
	}
	return nil
}
