package spec

// Defaults are the names of the objects that every cluster has.
type Defaults struct {
	// Vpc is where Subnets and Services are that name none.
	Vpc string
	// Subnet is that of pods that nothing binds to another, and Join that of the nodes.
	Subnet, Join string
}
