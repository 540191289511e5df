package v1

// FirstSelfCallPort is the first of the source ports of self-calls: calls by which a node reaches a pod through one of its own
// NodePorts. The pod sees the node's InternalIP as the client, and its reply goes to that node within OVN. The reply to a call
// that came by another node's NodePort has to go by that other node, whose kube-proxy translates it back; such calls have
// source ports below.
//
// The value is 0xf000, so that "below" costs a switch four flows and not sixteen. It is above the ports from which Linux makes
// calls by itself (ip_local_port_range).
const FirstSelfCallPort = 61440

// TunnelPort is where nodes take Geneve packets, in UDP.
const TunnelPort = 6081

// OVN's northbound and southbound database and their raft clusters listen on these ports, in TCP.
const (
	FirstDatabasePort = 6641
	LastDatabasePort  = 6644
)
