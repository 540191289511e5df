// Package spec reads Subnets into typed values: what one asks for, and what of it is in force. The controller and the nodes
// read it here, so that both go by the same.
package spec
