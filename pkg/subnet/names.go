package subnet

import (
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/port"
)

// FeatureName is the Owner.Feature of a Subnet's rows.
const FeatureName = "subnet"

// Switch names the Logical_Switch of a Subnet.
func Switch(subnet string) ovs.Sym { return ovs.Sym("subnet/" + subnet + "/switch") }

// PortsOf is the switch of a Subnet as its ports have it.
func PortsOf(subnet string) port.Switch { return port.Switch{Name: subnet, Row: Switch(subnet)} }

func routerPort(subnet string) ovs.Sym { return ovs.Sym("subnet/" + subnet + "/router-port") }

func switchPort(subnet string) ovs.Sym { return ovs.Sym("subnet/" + subnet + "/switch-port") }

// replyMark names the rule that marks replies, and replyMarkCleared the one that takes the mark away again. Their parts
// "answers" and "unmarked" are the rows' identities in databases.
func replyMark(subnet string) ovs.Sym { return ovs.Sym("subnet/" + subnet + "/answers") }

func replyMarkCleared(subnet string) ovs.Sym { return ovs.Sym("subnet/" + subnet + "/unmarked") }

func localPolicy(subnet, family string) ovs.Sym {
	return ovs.Sym("subnet/" + subnet + "/local-policy/" + family)
}
