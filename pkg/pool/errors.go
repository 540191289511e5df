package pool

import (
	"errors"
	"fmt"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
)

// InUseError says that an address or MAC asked for is another owner's.
type InUseError struct {
	// Subject is the address or MAC.
	Subject string
	// Owner is who has it.
	Owner ovs.Owner
}

// Error is the sentence for people.
func (e *InUseError) Error() string {
	if e.Owner.Feature == Reservation {
		return fmt.Sprintf("%s is reserved by IP %s", e.Subject, e.Owner.Key)
	}
	return fmt.Sprintf("%s is in use by %s", e.Subject, describe(e.Owner))
}

// describe names the object as its users know it: "pod shop/web-0", "node n1".
func describe(owner ovs.Owner) string { return owner.Feature + " " + owner.Key }

// inUse gives a conflict its typed owner, and leaves other errors alone.
func inUse(err error) error {
	conflict := (*ipam.ConflictError)(nil)
	if !errors.As(err, &conflict) {
		return err
	}
	owner, _ := ovs.ParseOwner(conflict.Owner)
	return &InUseError{Subject: conflict.Subject, Owner: owner}
}

// parseOwners reads owners as ipam knows them, by the text that Owner.String makes.
func parseOwners(texts []string) []ovs.Owner {
	out := make([]ovs.Owner, 0, len(texts))
	for _, text := range texts {
		if owner, ok := ovs.ParseOwner(text); ok {
			out = append(out, owner)
		}
	}
	return out
}
