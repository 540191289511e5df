package node

import (
	"fmt"
	"os"
)

// The helpers' names, as first argument of this program. A process that has changed its namespaces or its cgroup is of
// no other use, so each such step is this program once more.
const (
	helperBoot   = "node-boot"
	helperInit   = "node-init"
	helperEnter  = "node-enter"
	helperQEMU   = "node-qemu"
	helperRemote = "node-remote"
)

// Main runs a helper if the arguments name one, and returns otherwise. A program that uses Nodes calls it first.
func Main() {
	if len(os.Args) < 3 {
		return
	}
	var err error
	code := 0
	switch args := os.Args[2:]; os.Args[1] {
	case helperBoot:
		err = boot(args[0], args[1])
	case helperInit:
		err = pid1(args[0], args[1]) // returns only if it fails
	case helperEnter:
		code, err = enter(args[0], args[1], args[2] == "spawn", args[3:])
	case helperQEMU:
		err = becomeQEMU(args[0], args[1:]) // returns only if it fails
	case helperRemote:
		code, err = remote(args[0], args[1], args[2], args[3:])
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 125
	}
	os.Exit(code)
}
