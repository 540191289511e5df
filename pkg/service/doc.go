// Package service turns a Service and its EndpointSlices into load balancers: one Load_Balancer a protocol, in the
// Load_Balancer_Group of its Vpc, which every switch of the Vpc is attached to. An endpoint that comes or goes changes
// one row.
//
// A Service whose answer depends on where its client runs (internalTrafficPolicy Local, trafficDistribution, hints) has
// its virtual addresses written as template variables, one for each node or zone. A chassis knows the variables of its own
// node and zone only, which its Chassis_Template_Var row holds. See docs/adr/0008-service-topology.md.
package service
