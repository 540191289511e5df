package v1

// Count is a number of addresses, on the wire a plain JSON number.
//
// It is a float on purpose. A /64 has more addresses than an int64 can say, and
// the API server itself keeps such a number as a float64: an exact big integer
// would come back different from what was written, and the status would look
// changed for ever. Counts up to 2^53, which is all of IPv4, are exact.
type Count float64
