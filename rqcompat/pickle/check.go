package pickle

import "iter"

// checkDepth fails when a path through v is longer than limit. The stack machine builds inside out and doesn't see
// depth; decode only asks for this walk when there are more containers than levels.
func checkDepth(v any, limit int) error {
	c := depthCheck{limit: limit, heights: map[any]int{}}
	_, err := c.walk(v, 0)
	return err
}

type depthCheck struct {
	limit   int
	heights map[any]int // levels below and including a node; 0 while it is being walked
}

// walk returns the height of v, which is at the given depth.
func (c *depthCheck) walk(v any, depth int) (int, error) {
	switch v := v.(type) {
	case *Tuple:
		if len(v.Items) == 0 {
			return 0, nil // no level of its own: all empty tuples are one
		}
	case *List, *Dict, *Set, *FrozenSet, *Object:
	default:
		return 0, nil
	}
	h, known := c.heights[v]
	if known && depth+h <= c.limit {
		return h, nil // of a cycle too: it closes here
	}
	if known || depth >= c.limit {
		return 0, &LimitError{"levels of depth", c.limit}
	}
	c.heights[v] = 0
	below := 0
	for child := range children(v) {
		h, err := c.walk(child, depth+1)
		if err != nil {
			return 0, err
		}
		below = max(below, h)
	}
	c.heights[v] = below + 1
	return below + 1, nil
}

// children yields each value that v directly holds.
func children(v any) iter.Seq[any] {
	var items []any
	var pairs []Pair
	switch v := v.(type) {
	case *List:
		items = v.Items
	case *Tuple:
		items = v.Items
	case *Set:
		items = v.Items
	case *FrozenSet:
		items = v.Items
	case *Dict:
		pairs = v.Items
	case *Object:
		items = append([]any{v.Callable, v.Args, v.Kwargs, v.State, v.StateSetter}, v.Items...)
		pairs = v.Pairs
	}
	return func(yield func(any) bool) {
		for _, item := range items {
			if !yield(item) {
				return
			}
		}
		for _, p := range pairs {
			if !yield(p.Key) || !yield(p.Value) {
				return
			}
		}
	}
}
