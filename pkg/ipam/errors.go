package ipam

import (
	"errors"
	"fmt"
)

var (
	// ErrFull says that no address is left. Who got it is in the queue, and comes
	// out of a later Release or Resize.
	ErrFull = errors.New("no free address")
	// ErrOutOfRange says that an address asked for is not in the subnet, or is the
	// network's, the broadcast or the gateway.
	ErrOutOfRange = errors.New("not an address that this subnet can give")
	// ErrHolds says that the owner has other addresses than those asked for.
	ErrHolds = errors.New("the owner has other addresses already")
	// ErrClosed says that the subnet is deleted; look it up again.
	ErrClosed = errors.New("the subnet is deleted")
)

// ConflictError says that an address or MAC asked for is another owner's.
type ConflictError struct {
	// Subject is the address or MAC.
	Subject string
	// Owner is who has it.
	Owner string
}

// Error is the sentence for people.
func (e *ConflictError) Error() string { return fmt.Sprintf("%s is in use by %s", e.Subject, e.Owner) }
