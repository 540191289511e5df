// Package subnet turns a Subnet into the OVN rows that carry it: one Logical_Switch, its port to the Vpc's router and
// the router's port to it, and in the default Vpc the policy that keeps traffic to the subnet inside OVN. The join subnet also
// makes the Vpc's default route, and what keeps pods from its addresses.
//
// It is the exemplar of a feature: names.go says what the rows are called, parse.go turns the API's strings into a
// Subnet of typed values, gather.go reads caches, claim.go takes what is shared with others, translate.go makes rows, report.go
// writes the status, feature.go ties them together and says what wakes it.
package subnet
