// Package pool says who may have which addresses: it gives out the addresses of all Subnets from memory, and knows who
// waits for some and what wakes them.
//
// An owner is the object that has addresses, or wants them: ovs.Owner, whose Feature is told when the owner's turn comes. An
// owner that got nothing waits for causes: Subnets, the bindings of a Namespace, or an address that another one has. What
// an owner's look depends on is a cause before it is read, so that no change falls between the look and the wait.
package pool
