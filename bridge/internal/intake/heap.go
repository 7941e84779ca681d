package intake

// placed is what stands in a heap, and knows where.
type placed[T any] interface {
	before(other T) bool
	// stands is its place in the heap, from 1; 0 if it isn't in it.
	stands() *int
}

// placedHeap has the one that is before all others at its head; container/heap works on it.
type placedHeap[T placed[T]] []T

func (h placedHeap[T]) Len() int           { return len(h) }
func (h placedHeap[T]) Less(i, j int) bool { return h[i].before(h[j]) }

func (h placedHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].stands(), *h[j].stands() = i+1, j+1
}

func (h *placedHeap[T]) Push(one any) {
	*one.(T).stands() = len(*h) + 1
	*h = append(*h, one.(T))
}

func (h *placedHeap[T]) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	var none T
	(*h)[last] = none
	*h = (*h)[:last]
	*one.stands() = 0
	return one
}
