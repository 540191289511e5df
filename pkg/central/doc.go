// Package central makes the members of ovn-central one raft cluster: how a member begins (it creates the cluster, joins
// it, or goes on with the database on its disk), and which former members the cluster forgets.
//
// The members agree through a Record for each database, kept in one ConfigMap: every decision is an update of it, which
// the API server lets one of them win. docs/adr/0010-raft.md has the reasons.
package central
