package v1

// FirstOwnPort is the first of the source ports by which a pod knows a node that calls a port of its own: its address is the
// InternalIP, and the answer goes to that node within OVN. What a node calls by a port of another node comes from a port below,
// and is answered by way of that other node, whose kube-proxy has to give the answer the address that was called.
//
// 0xf000, so that "below" is four matches of a switch and not sixteen; above the ports from which Linux calls by itself.
const FirstOwnPort = 61440

// TunnelPort is where nodes take Geneve packets, in UDP.
const TunnelPort = 6081

// OVN's northbound and southbound database and their raft clusters listen on these ports, in TCP.
const (
	FirstDatabasePort = 6641
	LastDatabasePort  = 6644
)
