// Package service turns a Service and its EndpointSlices into load balancers: one Load_Balancer a protocol, in the
// Load_Balancer_Group of its Vpc, which every switch of the Vpc is attached to. An endpoint that comes or goes changes
// one row.
package service
