// Package namespace tells a Namespace which subnets its pods have their addresses from: annotations that tools of Kube-OVN
// and people read. Nothing of Woven reads them, and a namespace has no rows.
package namespace
