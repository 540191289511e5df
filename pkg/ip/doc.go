// Package ip keeps one IP object for every switch port that has addresses: the record that users list, and that other
// tools read. It is written behind the pods and nodes it speaks of and nothing waits for it.
package ip
