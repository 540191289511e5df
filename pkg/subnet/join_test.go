package subnet_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/subnet"
	"github.com/woven-cni/woven/pkg/vpc"
)

// joinRows are those that the join subnet has, and that were the Vpc's in earlier versions.
var joinRows = []ovs.Sym{
	vpc.DefaultRoute("ovn-cluster", "v4"), vpc.DefaultRoute("ovn-cluster", "v6"), vpc.JoinACL("ovn-cluster"), vpc.JoinReplies("ovn-cluster"),
}

// wants are the rows of the default Vpc and of the join subnet.
func wants(t *testing.T) (ofVpc, ofJoin ovs.Desired) {
	t.Helper()
	ofVpc, wrong := vpc.Translate(vpc.Input{Vpc: &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "ovn-cluster"}}, Default: true})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	ofJoin, wrong = subnet.Translate(subnet.Input{
		Subnet: &v1.Subnet{
			ObjectMeta: metav1.ObjectMeta{Name: "join"}, Spec: v1.SubnetSpec{CIDRBlock: "100.64.0.0/16,fd00:100:64::/112"},
		},
		DefaultVpc: "ovn-cluster", JoinSubnet: "join", DefaultSubnet: "ovn-default",
	})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return ofVpc, ofJoin
}

// earlier are the same rows as the version before had them: the join subnet's are the Vpc's.
func earlier(ofVpc, ofJoin ovs.Desired) (beforeVpc, beforeJoin ovs.Desired) {
	beforeVpc.Rows = append(beforeVpc.Rows, ofVpc.Rows...)
	for _, r := range ofJoin.Rows {
		if r.From != (ovs.Owner{}) {
			r.From = ovs.Owner{}
			beforeVpc.Rows = append(beforeVpc.Rows, r)
		} else {
			beforeJoin.Rows = append(beforeJoin.Rows, r)
		}
	}
	return beforeVpc, beforeJoin
}

// The rows that the join subnet takes over from its Vpc are in force throughout the upgrade of a living cluster, whichever of the two
// is looked at first: no transaction deletes one of them, or takes it out of the router or the group of switches.
func TestJoinRowsChangeOwnersWithoutAGap(t *testing.T) {
	ofVpc, ofJoin := wants(t)
	beforeVpc, beforeJoin := earlier(ofVpc, ofJoin)
	owners := map[string]ovs.Owner{"vpc": vpc.Owner("ovn-cluster"), "join": {Feature: subnet.FeatureName, Key: "join"}}
	now := map[string]ovs.Desired{"vpc": ofVpc, "join": ofJoin}
	for _, order := range [][]string{{"vpc", "join", "vpc"}, {"join", "vpc", "join"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			server := ovstest.Start(t)
			old := server.DB()
			apply(t, old, ovs.Owner{Feature: meter.FeatureName, Key: "all"}, meters())
			apply(t, old, owners["vpc"], beforeVpc)
			apply(t, old, owners["join"], beforeJoin)

			var sent ovstest.Recorder
			db := server.DB(sent.Option())
			for _, which := range order {
				apply(t, db, owners[which], now[which])
				inForce(t, server)
			}
			for _, transaction := range sent.Take() {
				for _, what := range []string{`"op":"delete"`, `"op":"insert"`, `"static_routes"`, `"acls"`} {
					if strings.Contains(transaction, what) {
						t.Errorf("a transaction has %s: %s", what, transaction)
					}
				}
			}
			for _, sym := range joinRows {
				if !owns(db, owners["join"], sym) || owns(db, owners["vpc"], sym) {
					t.Errorf("%s is not the join subnet's", sym)
				}
			}
		})
	}
}

// meters is the Copp that routers and switches refer to.
func meters() ovs.Desired {
	var want ovs.Desired
	want.Add(meter.Copp, &nb.Copp{Name: "woven"})
	return want
}

func apply(t *testing.T, db *engine.DB, owner ovs.Owner, want ovs.Desired) {
	t.Helper()
	if _, err := db.Apply(t.Context(), owner, want); err != nil {
		t.Fatalf("%s: %v", owner, err)
	}
}

// inForce fails the test unless the router has both routes, and the group of switches both ACLs.
func inForce(t *testing.T, server *ovstest.Server) {
	t.Helper()
	for i, set := range []string{
		server.Ctl("get", "Logical_Router", "ovn-cluster", "static_routes"), server.Ctl("get", "Logical_Router", "ovn-cluster", "static_routes"),
		server.Ctl("get", "Port_Group", vpc.SwitchesGroup("ovn-cluster"), "acls"), server.Ctl("get", "Port_Group", vpc.SwitchesGroup("ovn-cluster"), "acls"),
	} {
		if !strings.Contains(set, joinRows[i].UUID()) {
			t.Errorf("%s is not in force: %s", joinRows[i], set)
		}
	}
}

func owns(db *engine.DB, owner ovs.Owner, sym ovs.Sym) bool {
	for _, row := range db.Owned(owner) {
		if row.Sym == sym {
			return true
		}
	}
	return false
}
