package ipam

import (
	"errors"
	"fmt"
	"net/netip"
)

var (
	// ErrFull says that no address is left. The owner is in the queue, and a later
	// Release or Resize returns it.
	ErrFull = errors.New("no free address")
	// ErrOutOfRange says that the subnet can give nobody what was asked for: the
	// address is not in it, or is the network's, the broadcast or the gateway's, or
	// the MAC is the router's. An UnfitError says which.
	ErrOutOfRange = errors.New("not an address that this subnet can give")
	// ErrHolds says that the owner has other addresses than those asked for.
	ErrHolds = errors.New("the owner has other addresses already")
	// ErrNoPart says that the subnet has none of the parts that an address is asked of.
	ErrNoPart = errors.New("the subnet has no such part")
	// ErrClosed says that the subnet is deleted; look it up again.
	ErrClosed = errors.New("the subnet is deleted")
)

// UnfitError says why nobody can have an address or MAC that was asked for. It is
// an ErrOutOfRange.
type UnfitError struct {
	// Subject is the address or MAC.
	Subject string
	// Why completes "<subject> is …".
	Why string
}

// Error is the sentence for people.
func (e *UnfitError) Error() string { return e.Subject + " cannot be given: it is " + e.Why }

// Is makes it an ErrOutOfRange.
func (e *UnfitError) Is(target error) bool { return target == ErrOutOfRange }

// ConflictError says that an address or MAC asked for is another owner's.
type ConflictError[O comparable] struct {
	// Subject is the address or MAC.
	Subject string
	// Owner is who has it, or whose interface has Mask.
	Owner O
	// Mask is the prefix of the owner's interface, of which the address is the network's own or the broadcast; zero when the
	// owner has the address itself.
	Mask netip.Prefix
}

// Error is the sentence for people.
func (e *ConflictError[O]) Error() string { return InUse(e.Subject, fmt.Sprint(e.Owner), e.Mask) }

// InUse says that an address or MAC is an owner's, or that it is an end of the prefix that the owner's interface has.
func InUse(subject, owner string, mask netip.Prefix) string {
	if mask.IsValid() {
		return fmt.Sprintf("%s is the first or last address of %s, which the interface of %s still has", subject, mask, owner)
	}
	return fmt.Sprintf("%s is in use by %s", subject, owner)
}
