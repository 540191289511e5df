// Package ip is the record of who has which addresses. At the start it puts on record what was in use before: what the
// committed rows say, then the IP objects, then annotations as far as they can be had. From then on it keeps one IP object
// for every switch port that has addresses, which users list and other tools read. The objects are written behind the pods
// and nodes they speak of and nothing waits for them.
//
// An IP object of a user reserves: its addresses are the reservation's while its pod or node does not have them, and nobody
// else's at any moment (pool.Keep). The label ip_reserved tells the two apart: "false" is on the controller's own records. The record
// of a StatefulSet's pod keeps the addresses, too, for the next pod of the name, as long as the StatefulSet wants one.
package ip
