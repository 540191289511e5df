package host

import (
	"strconv"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// keyRemote is the setting that tells ovn-controller where the southbound database is.
const keyRemote = "ovn-remote"

// lflowCache bounds what ovn-controller keeps of its work on logical flows, in KiB. It is for the next computation of all flows, which is
// rare here. Without a bound it is a third of the process: docs/adr/0012 has the figures.
const lflowCache = "32768"

// translateSettings wants the settings that ovn-controller reads: keys of ours in the one row of Open_vSwitch, which Open
// vSwitch makes itself.
func translateSettings(in Input) (Desired, []Problem) {
	tunnel, problem := findTunnel(in)
	if problem != nil {
		return Desired{}, nil // the tunnel tells
	}
	ids := map[string]string{
		"system-id":                   in.Config.NodeName,
		"hostname":                    in.Config.NodeName,
		"ovn-encap-type":              "geneve",
		"ovn-encap-ip":                tunnel.address.String(),
		"ovn-encap-csum":              strconv.FormatBool(in.Config.EncapChecksum),
		"ovn-monitor-all":             "true",
		"ovn-memlimit-lflow-cache-kb": lflowCache,
		"ovn-bridge-datapath-type":    in.Config.datapathType(),
		"ovn-remote-probe-interval":   "30000",
		"ovn-openflow-probe-interval": "30",
	}
	// Without an address the last one stays: the databases may only be restarting.
	if remote := strings.Join(in.Remotes, ","); remote != "" {
		ids[keyRemote] = remote
	} else if last := in.Switch.Root.ExternalIDs[keyRemote]; last != "" {
		ids[keyRemote] = last
	}
	var rows ovs.Desired
	rows.Add(ovs.FoundRow(in.Switch.Root.UUID), &vswitch.OpenvSwitch{ExternalIDs: ids})
	return Desired{Rows: []OwnedRows{{ownerOf("settings"), rows}}}, nil
}

func (c Config) datapathType() string {
	if c.Userspace {
		return "netdev"
	}
	return "system"
}
