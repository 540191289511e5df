package pool

import "github.com/woven-cni/woven/pkg/port"

// Reservation is the Owner.Feature of those who keep addresses for an owner while it does not have them.
const Reservation = "reservation"

// Retention is that of those who keep the addresses of an owner that comes again under its name, a StatefulSet's pod. Unlike a
// reservation, what is retained is only for an owner that asks for nothing else.
const Retention = "retention"

// reservations are who keeps the addresses of whom. Pools.mu protects them.
type reservations struct {
	byOwner map[port.Key]port.Key // owner -> its reservation
	owners  map[port.Key]port.Key // reservation -> its owner
}

func newReservations() reservations {
	return reservations{byOwner: map[port.Key]port.Key{}, owners: map[port.Key]port.Key{}}
}

// Keep makes a reservation that of an owner: what the reservation has is for the owner to claim, and what the owner gives
// back is the reservation's. An owner that waits looks again.
func (p *Pools) Keep(reservation, owner port.Key) {
	p.mu.Lock()
	_, known := p.reserved.byOwner[owner]
	_, waits := p.waits.byOwner[owner]
	p.reserved.byOwner[owner], p.reserved.owners[reservation] = reservation, owner
	p.mu.Unlock()
	if waits && !known {
		p.Again(owner)
	}
}

// Unkeep ends a reservation: what it has is free, and what its owner has goes back to all when the owner gives it back.
func (p *Pools) Unkeep(reservation port.Key) {
	p.mu.Lock()
	if owner, kept := p.reserved.owners[reservation]; kept {
		delete(p.reserved.owners, reservation)
		if p.reserved.byOwner[owner] == reservation { // and no other that has taken its place
			delete(p.reserved.byOwner, owner)
		}
	}
	p.mu.Unlock()
	p.Release(reservation)
}

// Keeper is the reservation for an owner.
func (p *Pools) Keeper(owner port.Key) (reservation port.Key, kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reservation, kept = p.reserved.byOwner[owner]
	return reservation, kept
}

// Kept says whether there is a reservation for an owner.
func (p *Pools) Kept(owner port.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, kept := p.reserved.byOwner[owner]
	return kept
}

// Keeps says whether a reservation is that of any owner.
func (p *Pools) Keeps(reservation port.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, keeps := p.reserved.owners[reservation]
	return keeps
}

// Claim gives an owner that has nothing what is reserved for it.
func (p *Pools) Claim(owner port.Key) {
	p.mu.Lock()
	reservation, kept := p.reserved.byOwner[owner]
	claimed := kept && p.home[owner] == "" && p.hand(reservation, owner)
	home := p.home[owner]
	p.mu.Unlock()
	if claimed {
		p.settle(owner, home)
	}
}

// hand makes what one owner has another's. The addresses are in use all the while. Pools.mu is held.
func (p *Pools) hand(from, to port.Key) bool {
	home := p.home[from]
	pool := p.subnets.Get(home)
	if pool == nil || !pool.Rename(from, to) {
		return false
	}
	delete(p.home, from)
	delete(p.holder, from)
	p.home[to] = home
	return true
}
