package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
)

// symOf names a row of an owner: "networkpolicy/shop/db/ingress/0".
func symOf(owner ovs.Owner, parts ...string) ovs.Sym {
	return ovs.Sym(owner.String() + "/" + strings.Join(parts, "/"))
}

// setName is the name of an Address_Set or Meter: they allow few characters.
func setName(sym ovs.Sym) string {
	sum := sha256.Sum256([]byte(sym))
	return "s_" + hex.EncodeToString(sum[:10])
}

// aclNameLength is the most that the schema allows.
const aclNameLength = 63

// aclName is the name of an ACL in logs and traces. It is for people: the row's owner is in its external_ids.
func aclName(sym ovs.Sym) *string {
	name := string(sym)
	if len(name) > aclNameLength {
		name = name[:aclNameLength-3] + "..."
	}
	return &name
}
