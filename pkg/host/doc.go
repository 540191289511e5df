// Package host makes a node's kernel and Open vSwitch what the cluster needs of them, as a list of features (Features): the
// tunnels' end, the settings that ovn-controller starts from, the node's own interface ovn0, routes to the pods, and nftables
// rules: source NAT for traffic that leaves the cluster, and doors that keep pods from what only nodes have business with.
//
// Whenever a Kubernetes object, a row of Open vSwitch or something in the kernel changes, all of it is read, each feature
// translates it into rows, links, addresses, routes and rules, and the difference from what is there is applied: rows first.
// A feature that does not know yet what it wants mentions nothing, and what is there stays. Nothing runs on a clock, and a node
// where nothing changes is not touched.
package host
