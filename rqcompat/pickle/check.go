package pickle

// checkDepth fails when a path through v is longer than the limit. The stack machine builds inside out and doesn't see
// depth; decode only asks for this walk when there are more containers than levels.
func checkDepth(b *budget, v any, values int) {
	c := depthCheck{budget: b, steps: values}
	if c.walk(v, 0); c.steps < 0 { // there are shared values or cycles, or it is too deep
		c.heights = map[any]int{}
		c.walk(v, 0)
	}
}

type depthCheck struct {
	*budget
	steps   int         // that a walk without heights may take: below 0 it is given up
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
	if c.heights == nil {
		if depth >= c.lim.Depth {
			c.steps = -1
		}
		return c.below(v, depth)
	}
	h, known := c.heights[v]
	if known && depth+h <= c.lim.Depth {
		return h // of a cycle too: it closes here
	}
	if known || depth >= c.lim.Depth {
		panic(beyond("levels of depth", c.lim.Depth))
	}
	c.spend(mapWork)
	c.keep(mapMemory)
	c.heights[v] = 0
	h = c.below(v, depth)
	c.heights[v] = h
	return h
}

// below walks what v holds and returns the height of v.
func (c *depthCheck) below(v any, depth int) int {
	items, pairs := contents(v)
	n := len(items) + 2*len(pairs)
	c.spend(n * itemWork)
	if c.heights == nil {
		if c.steps -= n; c.steps < 0 {
			return 0
		}
	}
	below := 0
	for _, item := range items {
		below = max(below, c.walk(item, depth+1))
	}
	for _, p := range pairs {
		below = max(below, c.walk(p.Key, depth+1), c.walk(p.Value, depth+1))
	}
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
