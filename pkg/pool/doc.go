// Package pool says who may have which addresses: it gives out the addresses of all Subnets from memory, and knows who
// waits for some and what wakes them.
//
// An owner is the port that has addresses, or wants them: port.Key, an object and one of its interfaces. The ports of one object
// have their leases, waits and reservations each for itself, and the object's feature is told when the turn of any of them comes.
// An owner that got nothing waits for causes: Subnets, the bindings of a Namespace, or an address that another one has. What
// an owner's look depends on is a cause before it is read, so that no change falls between the look and the wait.
package pool
