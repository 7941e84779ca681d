package pickle

// checkDepth fails when a path through v is longer than limit. The stack machine builds inside out and doesn't see
// depth; decode only asks for this walk when there are more containers than levels.
func checkDepth(v any, limit int) {
	c := depthCheck{limit: limit, heights: map[any]int{}}
	c.walk(v, 0)
}

type depthCheck struct {
	limit   int
	heights map[any]int // levels below and including a node; 0 while it is being walked
}

// walk returns the height of v, which is at the given depth.
func (c *depthCheck) walk(v any, depth int) int {
	switch v := v.(type) {
	case *Tuple:
		if len(v.Items) == 0 {
			return 0 // no level of its own: all empty tuples are one
		}
	case *List, *Dict, *Set, *FrozenSet, *Object:
	default:
		return 0
	}
	h, known := c.heights[v]
	if known && depth+h <= c.limit {
		return h // of a cycle too: it closes here
	}
	if known || depth >= c.limit {
		panic(beyond("levels of depth", c.limit))
	}
	c.heights[v] = 0
	below := 0
	items, pairs := contents(v)
	for _, item := range items {
		below = max(below, c.walk(item, depth+1))
	}
	for _, p := range pairs {
		below = max(below, c.walk(p.Key, depth+1), c.walk(p.Value, depth+1))
	}
	c.heights[v] = below + 1
	return below + 1
}

// contents returns what v directly holds.
func contents(v any) (items []any, pairs []Pair) {
	switch v := v.(type) {
	case *List:
		return v.Items, nil
	case *Tuple:
		return v.Items, nil
	case *Set:
		return v.Items, nil
	case *FrozenSet:
		return v.Items, nil
	case *Dict:
		return nil, v.Items
	case *Object:
		return append([]any{v.Callable, v.Args, v.Kwargs, v.State, v.StateSetter}, v.Items...), v.Pairs
	}
	return nil, nil
}
