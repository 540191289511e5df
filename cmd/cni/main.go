// Command woven-cni is the CNI plugin that container runtimes start. It hands each call to the node's daemon and prints
// the daemon's answer.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/woven-cni/woven/pkg/cni"
)

func main() {
	failure := struct {
		CNIVersion string `json:"cniVersion,omitempty"`
		*types.Error
	}{}
	// skel checks the environment and the configuration before it calls. What it prints for a failure lacks the
	// version that the specification asks for.
	forward := func(args *skel.CmdArgs) error {
		conf, err := cni.ReadConf(args.StdinData)
		if err != nil {
			return err
		}
		failure.CNIVersion = conf.CNIVersion
		request := cni.Request{Env: cni.Environ(), Config: args.StdinData}
		answer, err := cni.Call(context.Background(), conf.ServerSocket, request)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(answer)
		return err
	}
	failure.Error = skel.PluginMainFuncsWithError(skel.CNIFuncs{
		Add: forward, Del: forward, Check: forward, GC: forward, Status: forward,
	}, cni.Versions, "woven-cni: the Woven network plugin")
	if failure.Error != nil {
		_ = json.NewEncoder(os.Stdout).Encode(failure)
		os.Exit(1)
	}
}
