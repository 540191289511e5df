package ipam

import (
	"container/list"
)

// fifo is a queue of distinct values; all it does costs the same at any length.
type fifo[T comparable] struct {
	order *list.List
	place map[T]*list.Element
}

func newFIFO[T comparable](values ...T) fifo[T] {
	q := fifo[T]{order: list.New(), place: map[T]*list.Element{}}
	for _, v := range values {
		q.push(v)
	}
	return q
}

// push puts a value at the end, unless it is in the queue.
func (q fifo[T]) push(v T) {
	if !q.has(v) {
		q.place[v] = q.order.PushBack(v)
	}
}

// remove takes a value out, wherever it is.
func (q fifo[T]) remove(v T) {
	if e, ok := q.place[v]; ok {
		q.order.Remove(e)
		delete(q.place, v)
	}
}

// first is the value that has been in the queue for longest.
func (q fifo[T]) first() (v T, ok bool) {
	if e := q.order.Front(); e != nil {
		return e.Value.(T), true
	}
	return v, false
}

// all are the values, the one that has been in the queue for longest first.
func (q fifo[T]) all() []T {
	out := make([]T, 0, q.len())
	for e := q.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(T))
	}
	return out
}

func (q fifo[T]) has(v T) bool {
	_, ok := q.place[v]
	return ok
}

// len is how many values are in the queue.
func (q fifo[T]) len() int { return q.order.Len() }

func (q fifo[T]) fork() fifo[T] { return newFIFO(q.all()...) }
