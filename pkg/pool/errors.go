package pool

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/port"
)

// InUseError says that an address or MAC asked for is another port's.
type InUseError struct {
	// Subject is the address or MAC.
	Subject string
	// Owner is the port that has it, or whose interface has Mask.
	Owner port.Key
	// Mask is the prefix of the owner's interface that the address is an end of; zero when the owner has the address itself.
	Mask netip.Prefix
}

// Error is the sentence for people.
func (e *InUseError) Error() string {
	if e.Owner.Owner.Feature == Reservation {
		return fmt.Sprintf("%s is reserved by IP %s", e.Subject, e.Owner.Owner.Key)
	}
	if e.Owner.Owner.Feature == Retention {
		return fmt.Sprintf("%s is kept for pod %s of a StatefulSet", e.Subject, e.Owner.Owner.Key)
	}
	return ipam.InUse(e.Subject, e.Owner.String(), e.Mask)
}

// inUse makes an InUseError of a conflict, and leaves other errors alone.
func inUse(err error) error {
	conflict := (*ipam.ConflictError[port.Key])(nil)
	if !errors.As(err, &conflict) {
		return err
	}
	return &InUseError{Subject: conflict.Subject, Owner: conflict.Owner, Mask: conflict.Mask}
}
