// Package vpc turns a Vpc into the OVN rows that carry it: one Logical_Router, the Load_Balancer_Group that holds its
// Services, and in the default Vpc the route that hands what leaves the cluster to the nodes.
package vpc
