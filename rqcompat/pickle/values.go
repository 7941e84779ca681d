package pickle

import "slices"

// Bytes is a Python bytes object: immutable, like a Go string of raw bytes.
type Bytes string

// ByteArray is a Python bytearray; two references to one share its content.
type ByteArray struct {
	B []byte
}

// List is a Python list; two references to one share its content.
type List struct {
	Items []any
}

// Tuple is a Python tuple. Don't change Items of one that is shared.
type Tuple struct {
	Items []any
}

// Set is a Python set. Items have no meaningful order.
type Set struct {
	Items []any
}

// FrozenSet is a Python frozenset. Items have no meaningful order.
type FrozenSet struct {
	Items []any
}

// Pair is one entry of a dict or of a dict subclass.
type Pair struct {
	Key, Value any
}

// Dict is a Python dict in insertion order. Decode never leaves two equal keys in Items; code that fills Items
// directly has to see to that.
type Dict struct {
	Items []Pair
}

// Get returns the value of a str key. It looks through the entries one by one, which suits keyword arguments;
// index large dicts yourself.
func (d *Dict) Get(key string) (any, bool) {
	if i := find(d.Items, key); i >= 0 {
		return d.Items[i].Value, true
	}
	return nil, false
}

// Set replaces the value of a str key in its place or appends an entry.
func (d *Dict) Set(key string, v any) {
	if i := find(d.Items, key); i >= 0 {
		d.Items[i].Value = v
		return
	}
	d.Items = append(d.Items, Pair{key, v})
}

func find(items []Pair, key string) int {
	for i := range items {
		if k, ok := items[i].Key.(string); ok && k == key {
			return i
		}
	}
	return -1
}

// Global is a reference by name to a function, a class or an attribute of one. Name is the qualified name and may
// have dots. It is never resolved.
type Global struct {
	Module, Name string
}

// DottedName returns "module.name", the form RQ and Frappe use for functions.
func (g *Global) DottedName() string {
	return g.Module + "." + g.Name
}

// How tells by which opcode an Object is made.
type How uint8

// The ways a pickle makes an object.
const (
	Reduce   How = iota // callable(*args)
	NewObj              // class.__new__(class, *args)
	NewObjEx            // class.__new__(class, *args, **kwargs)
	Obj                 // class(*args), or without __init__ when args is empty: OBJ and INST
)

// String returns the opcode's name.
func (h How) String() string {
	if h > Obj {
		return "unknown"
	}
	return [...]string{"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ"}[h]
}

// Object describes an object that Python would make by a call, and what it would then put into it: Items by
// append, Pairs by item assignment, State by __setstate__ or into __dict__, in this order. State may be the object
// itself (frappe._dict does that).
type Object struct {
	How      How
	Callable any // *Global, or *Object when the class is itself made by a call
	Args     any // *Tuple
	Kwargs   any // *Dict for NewObjEx, else nil
	State    any
	HasState bool
	// LateArgs says that a list or dict among the arguments got more content after the call. CPython writes that
	// when the object keeps the list it is given and the list leads back to it; otherwise the call needs the whole
	// list.
	LateArgs bool
	// StateSetter is called with the object and State instead of __setstate__ when it is not nil (sixth item of
	// what __reduce__ returns).
	StateSetter any
	Items       []any
	Pairs       []Pair
}

// Class returns the class of the object, or the callable that makes it, looking through copyreg's constructor; nil
// when it has no name.
func (o *Object) Class() *Global {
	if class, ok := first(o.reconstructed()).(*Global); ok {
		return class
	}
	g, _ := o.Callable.(*Global)
	return g
}

// Entries returns the entries of a dict subclass, whichever way the protocol stored them; nil for other objects.
func (o *Object) Entries() []Pair {
	if args := o.reconstructed(); len(o.Pairs) == 0 && len(args) == 3 {
		return pairsOf(args[2])
	}
	return o.Pairs
}

// Attributes returns what State puts into the object's attributes, slots included, in order; nil when there are
// none or State has a form of its own.
func (o *Object) Attributes() []Pair {
	t, _ := o.State.(*Tuple)
	if t == nil || len(t.Items) != 2 {
		return pairsOf(o.State)
	}
	// (dict or None, slots)
	_, isDict := t.Items[0].(*Dict)
	if _, ok := t.Items[1].(*Dict); !ok || !isDict && t.Items[0] != nil {
		return nil
	}
	return slices.Concat(pairsOf(t.Items[0]), pairsOf(t.Items[1]))
}

func (o *Object) args() []any {
	if t, _ := o.Args.(*Tuple); t != nil {
		return t.Items
	}
	return nil
}

// reconstructed returns (class, base, value of the base) of an object that protocols 0 and 1 have copyreg make.
func (o *Object) reconstructed() []any {
	if g, _ := o.Callable.(*Global); g == nil || *g != (Global{"copyreg", "_reconstructor"}) {
		return nil
	}
	return o.args()
}

func pairsOf(v any) []Pair {
	if d, _ := v.(*Dict); d != nil {
		return d.Items
	}
	return nil
}

func first(items []any) any {
	if len(items) == 0 {
		return nil
	}
	return items[0]
}

// kindOf names a decoded value by its Python type, for messages.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case string:
		return "a str"
	case Bytes:
		return "a bytes object"
	case *ByteArray:
		return "a bytearray"
	case *List:
		return "a list"
	case *Tuple:
		return "a tuple"
	case *Dict:
		return "a dict"
	case *Set, *FrozenSet:
		return "a set"
	case *Global:
		return "a global"
	case *Object:
		return "an object"
	}
	return "a number"
}
