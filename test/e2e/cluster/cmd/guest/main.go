// Guest is the first process of a node that is a virtual machine.
package main

import (
	"fmt"
	"os"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
)

func main() {
	if err := node.Guest(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
