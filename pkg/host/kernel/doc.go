// Package kernel compares what the kernel has of a node's links, addresses, routes, sysctls and nftables rules with what it
// should have, and applies the difference: Observe, Diff, Apply. Watch tells when to look again.
package kernel
