// Package policy turns the policies of Kubernetes' network APIs into ACLs on the port groups of the pods they are about.
//
// Each API is read by one file into the same Policy (networkpolicy.go), which Translate turns into rows. The ACLs of a
// policy are one owner's and change in one transaction; groups of pods are package group's.
package policy
