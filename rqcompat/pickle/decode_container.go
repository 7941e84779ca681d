package pickle

import "slices"

// made pushes a container or object and counts it.
func (d *decoder) made(v any) {
	d.container()
	d.push(v)
}

// container charges a container or object.
func (d *decoder) container() {
	d.containers++
	d.spend(containerWork)
	d.keep(containerMemory)
}

// copied are items in memory of their own.
func (d *decoder) copied(items []any) []any {
	if len(items) == 0 {
		return nil
	}
	d.keep(len(items) * itemMemory)
	c := make([]any, len(items))
	copy(c, items)
	return c
}

func (d *decoder) list(items []any) { d.made(&List{d.copied(items)}) }

func (d *decoder) tuple(items []any) { d.made(&Tuple{d.copied(items)}) }

func (d *decoder) emptySet([]any) { d.made(&Set{}) }

func (d *decoder) dict(items []any) {
	v := &Dict{}
	d.addPairs(v, items)
	d.made(v)
}

// extend adds items to the list or list subclass on top of the stack.
func (d *decoder) extend(items []any) {
	switch v := d.top().(type) {
	case *List:
		v.Items = append(grow(&d.budget, v.Items, len(items)), items...)
	case *Object:
		v.Items = append(grow(&d.budget, v.Items, len(items)), items...)
	default:
		panic(d.syntax("needs a list or an object to append to, not " + kindOf(v)))
	}
}

// setItems puts alternating keys and values into the dict or dict subclass on top of the stack.
func (d *decoder) setItems(items []any) {
	switch v := d.top().(type) {
	case *Dict:
		d.addPairs(v, items)
	case *Object:
		d.even(items)
		v.Pairs = grow(&d.budget, v.Pairs, len(items)/2)
		for pair := range slices.Chunk(items, 2) {
			v.Pairs = append(v.Pairs, Pair{pair[0], pair[1]})
		}
	default:
		panic(d.syntax("needs a dict or an object to put items into, not " + kindOf(v)))
	}
}

func (d *decoder) even(items []any) {
	if len(items)%2 != 0 {
		panic(d.syntax("finds a key without a value"))
	}
}

// smallDict is how many str keys are compared one by one, and longKey from which length on that is charged.
const (
	smallDict = 8
	longKey   = 64
)

// addPairs adds alternating keys and values. A dict that stays small and has str keys is kept free of duplicates
// right here, any other one at the end.
func (d *decoder) addPairs(v *Dict, items []any) {
	d.even(items)
	pairs := grow(&d.budget, v.Items, len(items)/2)
	for i := 0; i < len(items); i += 2 {
		if k, ok := items[i].(string); ok && len(pairs) < smallDict {
			if len(k) > longKey {
				d.spend(len(k)) // to compare it with the others
			}
			if at := find(pairs, k); at >= 0 {
				pairs[at].Value = items[i+1]
				continue
			}
		} else if unhashable(items[i]) {
			panic(d.syntax("a dict key can't be " + kindOf(items[i])))
		} else {
			d.mergeLater(v)
		}
		pairs = append(pairs, Pair{items[i], items[i+1]})
	}
	v.Items = pairs
}

// mergeLater has equal keys of v merged when the whole pickle is read.
func (d *decoder) mergeLater(v any) {
	if n := len(d.wide); n == 0 || d.wide[n-1] != v {
		d.wide = append(grow(&d.budget, d.wide, 1), v)
	}
}

func (d *decoder) addItems(items []any) {
	s, ok := d.top().(*Set)
	if !ok {
		panic(d.syntax("needs a set to add to, not " + kindOf(d.top())))
	}
	d.members(items)
	s.Items = append(grow(&d.budget, s.Items, len(items)), items...)
	d.mergeLater(s)
}

func (d *decoder) frozenSet(items []any) {
	d.members(items)
	s := &FrozenSet{d.copied(items)}
	d.mergeLater(s)
	d.made(s)
}

func (d *decoder) members(items []any) {
	if i := slices.IndexFunc(items, unhashable); i >= 0 {
		panic(d.syntax("a member of a set can't be " + kindOf(items[i])))
	}
}
