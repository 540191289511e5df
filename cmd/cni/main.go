// Command woven-cni is the CNI plugin that container runtimes start. It hands each call to the node's daemon and prints
// the daemon's answer.
package main

import (
	"context"
	"os"

	"github.com/containernetworking/cni/pkg/skel"

	"github.com/woven-cni/woven/pkg/cni"
)

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add: forward, Del: forward, Check: forward, GC: forward, Status: forward,
	}, cni.Versions, "woven-cni: the Woven network plugin")
}

// forward carries one call to the daemon. skel has checked the environment and the configuration by now, and prints
// the error if there is one.
func forward(args *skel.CmdArgs) error {
	socket, err := cni.Socket(args.StdinData)
	if err != nil {
		return err
	}
	answer, err := cni.Call(context.Background(), socket, cni.Request{Env: cni.Environ(), Config: args.StdinData})
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(answer)
	return err
}
