// Package vpc turns a Vpc into the OVN rows that carry it: one Logical_Router, the Load_Balancer_Group that holds its
// Services, the Port_Group of its switches with the ACLs that all of them have, and in the default Vpc what keeps pods from
// tunnels and databases.
package vpc
