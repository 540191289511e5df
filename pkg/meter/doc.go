// Package meter makes the meters that keep pods from flooding ovn-controller: one for each protocol that it answers for pods,
// in the one Copp row that all switches and routers refer to, and one for the log of policies that ask for no rate.
//
// OVN counts them on each node by itself. The rows are the same for ever: a change of meters has northd compute all flows.
package meter
