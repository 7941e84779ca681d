package pickle

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
	err := children(v, func(child any) error {
		h, err := c.walk(child, depth+1)
		below = max(below, h)
		return err
	})
	c.heights[v] = below + 1
	return below + 1, err
}

// children calls f for each value that v directly holds.
func children(v any, f func(any) error) error {
	switch v := v.(type) {
	case *List:
		return each(v.Items, f)
	case *Tuple:
		return each(v.Items, f)
	case *Set:
		return each(v.Items, f)
	case *FrozenSet:
		return each(v.Items, f)
	case *Dict:
		return eachPair(v.Items, f)
	case *Object:
		if err := each([]any{v.Callable, v.Args, v.Kwargs, v.State, v.StateSetter}, f); err != nil {
			return err
		}
		if err := each(v.Items, f); err != nil {
			return err
		}
		return eachPair(v.Pairs, f)
	}
	return nil
}

func each(items []any, f func(any) error) error {
	for _, v := range items {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func eachPair(items []Pair, f func(any) error) error {
	for _, p := range items {
		if err := f(p.Key); err != nil {
			return err
		}
		if err := f(p.Value); err != nil {
			return err
		}
	}
	return nil
}
