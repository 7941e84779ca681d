package pickle

// made pushes a container or object and counts it.
func (d *decoder) made(v any) error {
	d.containers++
	return d.push(v)
}

func copyItems(items []any) []any {
	if len(items) == 0 {
		return nil
	}
	out := make([]any, len(items))
	copy(out, items)
	return out
}

func (d *decoder) list(items []any) error { return d.made(&List{copyItems(items)}) }

func (d *decoder) tuple(items []any) error { return d.made(&Tuple{copyItems(items)}) }

func (d *decoder) emptySet([]any) error { return d.made(&Set{}) }

func (d *decoder) dict(items []any) error {
	v := &Dict{}
	if err := d.addPairs(v, items); err != nil {
		return err
	}
	return d.made(v)
}

// extend adds items to the list or list subclass on top of the stack.
func (d *decoder) extend(items []any) error {
	v, err := d.top()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *List:
		v.Items = append(v.Items, items...)
	case *Object:
		v.Items = append(v.Items, items...)
	default:
		return d.syntax("needs a list or an object to append to, not " + kindOf(v))
	}
	return nil
}

// setItems puts alternating keys and values into the dict or dict subclass on top of the stack.
func (d *decoder) setItems(items []any) error {
	v, err := d.top()
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case *Dict:
		return d.addPairs(v, items)
	case *Object:
		if len(items)%2 != 0 {
			return d.syntax("finds a key without a value")
		}
		for i := 0; i < len(items); i += 2 {
			v.Pairs = append(v.Pairs, Pair{items[i], items[i+1]})
		}
		return nil
	}
	return d.syntax("needs a dict or an object to put items into, not " + kindOf(v))
}

// smallDict is how many str keys are compared one by one.
const smallDict = 8

// addPairs adds alternating keys and values. A dict that stays small and has str keys is kept free of duplicates
// right here, any other one at the end.
func (d *decoder) addPairs(v *Dict, items []any) error {
	if len(items)%2 != 0 {
		return d.syntax("finds a key without a value")
	}
	if v.Items == nil && len(items) > 0 {
		v.Items = make([]Pair, 0, len(items)/2)
	}
	for i := 0; i < len(items); i += 2 {
		if k, ok := items[i].(string); ok && len(v.Items) < smallDict {
			if at := find(v.Items, k); at >= 0 {
				v.Items[at].Value = items[i+1]
				continue
			}
		} else if unhashable(items[i]) {
			return d.syntax("a dict key can't be " + kindOf(items[i]))
		} else {
			d.mergeLater(v)
		}
		v.Items = append(v.Items, Pair{items[i], items[i+1]})
	}
	return nil
}

// mergeLater has equal keys of v merged when the whole pickle is read.
func (d *decoder) mergeLater(v any) {
	if n := len(d.wide); n == 0 || d.wide[n-1] != v {
		d.wide = append(d.wide, v)
	}
}

func (d *decoder) addItems(items []any) error {
	v, err := d.top()
	if err != nil {
		return err
	}
	s, ok := v.(*Set)
	if !ok {
		return d.syntax("needs a set to add to, not " + kindOf(v))
	}
	if err := d.members(items); err != nil {
		return err
	}
	s.Items = append(s.Items, items...)
	d.mergeLater(s)
	return nil
}

func (d *decoder) frozenSet(items []any) error {
	if err := d.members(items); err != nil {
		return err
	}
	s := &FrozenSet{copyItems(items)}
	d.mergeLater(s)
	return d.made(s)
}

func (d *decoder) members(items []any) error {
	for _, v := range items {
		if unhashable(v) {
			return d.syntax("a member of a set can't be " + kindOf(v))
		}
	}
	return nil
}
