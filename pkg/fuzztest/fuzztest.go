// Package fuzztest turns the bytes of a fuzzer into decisions.
package fuzztest

// Choices are the decisions still to be made, a byte each.
type Choices []byte

// Pick decides between n things. When the bytes have run out, every decision is 0.
func (c *Choices) Pick(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b) % n
}
