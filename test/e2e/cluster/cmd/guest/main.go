// Guest is the first process of a node that is a virtual machine.
package main

import (
	"fmt"
	"os"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
)

func main() {
	fmt.Fprintln(os.Stderr, "guest:", node.Guest()) // it returns only when it fails
	os.Exit(1)
}
