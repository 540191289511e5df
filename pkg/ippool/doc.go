// Package ippool sets addresses of a Subnet aside for an IPPool, and turns it into the Address_Set that holds them, if it asks for
// one. What is set aside is a part of the Subnet's addresses in memory (pool.Pools): that part is what is in force, and the status
// says it to the next process. Pods find IPPools by a Finder.
package ippool
