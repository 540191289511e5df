package main

import (
	"context"
	"fmt"
	"os"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/agent"
)

func main() {
	r := agent.Request{Secret: "x", Argv: os.Args[1:], Env: []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}}
	s := agent.Streams{Out: os.Stdout, Err: os.Stderr}
	if os.Getenv("IN") != "" { s.In = os.Stdin }
	c, err := agent.Run(context.Background(), "127.0.0.1:7722", r, s)
	if err != nil { fmt.Println(err); c = 99 }
	os.Exit(c)
}
