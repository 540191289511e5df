package server

import (
	"encoding/json"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/woven-cni/woven/pkg/cni"
	"github.com/woven-cni/woven/pkg/cni/sandbox"
)

// call is one request, read.
type call struct {
	command string
	conf    cni.NetConf
	netns   string
	sandbox.Attachment

	podNamespace, podName, podUID string
}

// args are the CNI_ARGS that Kubernetes' runtimes give.
type args struct {
	types.CommonArgs
	K8S_POD_NAMESPACE          types.UnmarshallableString //nolint:revive // the keys are matched by name
	K8S_POD_NAME               types.UnmarshallableString //nolint:revive // as above
	K8S_POD_UID                types.UnmarshallableString //nolint:revive // as above
	K8S_POD_INFRA_CONTAINER_ID types.UnmarshallableString //nolint:revive // as above
}

func parse(request cni.Request) (*call, error) {
	c := &call{
		command: request.Command(),
		netns:   request.Env["CNI_NETNS"],
		Attachment: sandbox.Attachment{
			ContainerID: request.Env["CNI_CONTAINERID"], IfName: request.Env["CNI_IFNAME"],
		},
	}
	if err := json.Unmarshal(request.Config, &c.conf); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "decoding the network configuration", err.Error())
	}
	if err := version.ParsePrevResult(&c.conf.PluginConf); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "decoding prevResult", err.Error())
	}
	var extra args
	extra.IgnoreUnknown = true
	if err := types.LoadArgs(request.Env["CNI_ARGS"], &extra); err != nil {
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables, "reading CNI_ARGS", err.Error())
	}
	c.podNamespace, c.podName, c.podUID =
		string(extra.K8S_POD_NAMESPACE), string(extra.K8S_POD_NAME), string(extra.K8S_POD_UID)
	return c, c.validate()
}

// validate checks again what the plugin's own start checked: the socket is the border, not the binary.
func (c *call) validate() error {
	need := map[string]string{}
	switch c.command {
	case "ADD", "CHECK":
		need = map[string]string{"CNI_CONTAINERID": c.ContainerID, "CNI_IFNAME": c.IfName, "CNI_NETNS": c.netns}
	case "DEL":
		need = map[string]string{"CNI_CONTAINERID": c.ContainerID, "CNI_IFNAME": c.IfName}
	case "GC", "STATUS":
	default:
		return types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("unknown CNI_COMMAND %q", c.command), "")
	}
	for name, value := range need {
		if value == "" {
			return types.NewError(types.ErrInvalidEnvironmentVariables, name+" is missing", "")
		}
	}
	if c.command == "ADD" && (c.podNamespace == "" || c.podName == "") {
		return types.NewError(types.ErrInvalidEnvironmentVariables,
			"CNI_ARGS does not name a pod", "K8S_POD_NAMESPACE and K8S_POD_NAME are needed")
	}
	return nil
}
