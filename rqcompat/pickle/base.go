package pickle

import "math/big"

// plainDicts are the dict subclasses that mean nothing beyond their entries.
var plainDicts = map[string]bool{
	"frappe._dict": true, "frappe.types.frappedict._dict": true,
	"collections.OrderedDict": true, "collections.defaultdict": true, "collections.Counter": true,
}

// Base returns what Python's functions take an object of a subclass of dict, list, tuple, str, bytes, int or float for:
// the *Dict, *List, *Tuple, string, Bytes, int64, *big.Int or float64 in it. Any other value is returned as it is.
//
// Classes aren't known, so that it goes by what their pickles look like (object.__reduce_ex__, CPython 3.11): a named
// tuple with one field, which holds a scalar or a tuple, looks like a subclass of its type and is taken for one. What
// comes as a call of the class with arguments, an Enum for instance, or has nothing in it, as an empty list of a
// subclass, tells nothing and stays an object; an empty frappe._dict is known by its name.
func Base(v any) any {
	o, _ := v.(*Object)
	if o == nil || o.Class() == nil {
		return v
	}
	if made := o.reconstructed(); len(made) == 3 && isBase(made[2]) {
		return made[2]
	}
	args := o.args()
	switch {
	case o.Class().DottedName() == "collections.Counter" && len(args) == 1:
		return Base(args[0])
	case plainDicts[o.Class().DottedName()], len(o.Pairs) > 0 && len(o.Items) == 0:
		return &Dict{o.Entries()}
	case o.HasState && o.State == any(o) && len(o.Items) == 0: // an empty dict that is its own state, as a frappe._dict
		return &Dict{}
	case o.How != NewObj || len(o.Pairs) > 0:
		return v
	case len(o.Items) > 0:
		return &List{o.Items}
	case len(args) == 1 && isBase(args[0]) && !grows(args[0]):
		return args[0]
	case len(args) > 0:
		return &Tuple{args}
	}
	return v
}

// isBase reports whether v is what a subclass of a built-in type passes on to it.
func isBase(v any) bool {
	switch v.(type) {
	case *Dict, *Tuple, *List, string, Bytes, int64, *big.Int, float64:
		return true
	}
	return false
}

// grows reports whether v is a list or a dict, whose subclasses get their content after they are made.
func grows(v any) bool {
	switch v.(type) {
	case *List, *Dict:
		return true
	}
	return false
}

// Keywords returns what Python makes of v in f(**v): the entries of a dict or of an object of a dict subclass, with
// keys of str where they are of a subclass of it. ok is false for what is not a mapping.
func Keywords(v any) (d *Dict, ok bool) {
	if o, _ := v.(*Object); o != nil && o.empty() {
		return &Dict{}, true // of a dict subclass, or the producer could not have called anything with it
	}
	d, ok = Base(v).(*Dict)
	if !ok {
		return nil, false
	}
	for i, p := range d.Items {
		if _, isObject := p.Key.(*Object); isObject {
			named := &Dict{append([]Pair(nil), d.Items...)}
			for j := range named.Items[i:] {
				named.Items[i+j].Key = Base(named.Items[i+j].Key)
			}
			return named, true
		}
	}
	return d, true
}

// empty reports whether nothing but its class is known of an object.
func (o *Object) empty() bool {
	return len(o.args()) == 0 && len(o.Items) == 0 && len(o.Pairs) == 0 && o.Kwargs == nil && (!o.HasState || o.State == any(o))
}
