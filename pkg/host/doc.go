// Package host makes a node's kernel and Open vSwitch what the cluster needs of them: the settings that ovn-controller
// starts from, the tunnel bridge of the userspace datapath, the node's own interface ovn0, routes to the pods, and
// nftables rules: source NAT for traffic that leaves the cluster, and doors that keep pods from what only nodes have business with.
//
// It compares what should be with what is and sends the difference, whenever a Kubernetes object, a row of Open vSwitch
// or something in the kernel changes. Nothing runs on a clock, and a node where nothing changes is not touched.
package host
