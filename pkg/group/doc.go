// Package group makes one Port_Group for each way that policies select pods, and knows which pods belong to which.
//
// A Selector is the identity of a group: all policies that select alike share its row, as subject (outport == @group) and
// as peer (northd makes the address sets $group_ip4 and $group_ip6 of the ports' addresses, so no second membership is
// kept). The row is this package's; that a port is in it is said by the pod's own rows, so that a new pod's port and its
// memberships are one transaction.
//
// The Registry stands between the two. Policies tell it the selectors they use; pods ask it which groups they are in; it
// tells pods when that has changed, and policies what a group lacks of the pods that it means. A policy brings that along in
// the one transaction by which it changes over: nothing is open in between, and no rule speaks of half a group. A group that
// no policy uses any more stays for a while: a policy that is edited often wants it again.
package group
