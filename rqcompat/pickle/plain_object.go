package pickle

import "strings"

// object converts by class where the class is known, else as what it derives from, else field by field.
func (c *converter) object(o *Object, depth int) {
	if class := o.Class(); class != nil {
		name := class.DottedName()
		c.spend(globalWork)
		if read := scalars[name]; read != nil {
			if s, ok := read(o); ok {
				c.note(name + " written as text")
				c.text(s.str)
				return
			}
		}
		if base := Base(o); base != any(o) {
			c.dropped(o, name, base)
			c.base(base, depth)
			return
		}
	}
	c.fields(o, depth)
}

// dropped names what an object of a subclass loses.
func (c *converter) dropped(o *Object, name string, base any) {
	if c.python {
		return // json.dumps drops it as well
	}
	if !plainDicts[name] {
		c.note(shown(name) + " written as " + kindOf(base))
	}
	if o.HasState && o.State != nil && o.State != any(o) { // itself, as in a frappe._dict, says nothing
		c.note("attributes of " + kindOf(base) + " dropped")
	}
	if _, isDict := base.(*Dict); isDict && name != "collections.Counter" && o.reconstructed() == nil && first(o.args()) != nil {
		c.note("arguments of " + shown(name) + " dropped") // a defaultdict's factory
	}
}

// base writes what an object of a subclass is.
func (c *converter) base(v any, depth int) {
	switch v := v.(type) {
	case *Dict, *List, *Tuple:
		c.content(v, depth) // the object itself is what is open
	default:
		c.value(v, depth)
	}
}

func shown(class string) string { return segment(strings.ToValidUTF8(class, "�"))[1:] }

// fields shows all that is known about an object.
func (c *converter) fields(o *Object, depth int) {
	var before []string
	add := func(key string, v any) {
		c.member(len(before), key, v, depth)
		before = append(before, key)
	}
	c.raw("{")
	if class := o.Class(); class != nil {
		c.note("object of " + shown(class.DottedName()))
		add("__class__", class.DottedName())
	} else {
		c.note("object of a class without a name")
		add("__class__", o.Callable)
	}
	if args := o.shownArgs(); len(args) > 0 {
		add("__args__", &Tuple{args})
	}
	if k, _ := o.Kwargs.(*Dict); k != nil && len(k.Items) > 0 {
		add("__kwargs__", k)
	}
	if len(o.Items) > 0 {
		add("__items__", &List{o.Items})
	}
	if entries := o.Entries(); len(entries) > 0 {
		add("__entries__", &Dict{entries})
	}
	attributes := o.Attributes()
	c.spend(len(attributes) * itemWork) // of a tuple they are copied
	if o.HasState && o.State != any(o) && !c.cut {
		if len(attributes) > 0 {
			c.fill(before, attributes, depth)
		} else if o.State != nil {
			add("__state__", o.State)
		}
	}
	c.raw("}")
}

// shownArgs are the arguments that say something.
func (o *Object) shownArgs() []any {
	items := o.args()
	if g, _ := o.Callable.(*Global); g != nil && g != o.Class() {
		// copyreg._reconstructor(class, base, value): the base says nothing, a dict is among the entries.
		items = items[min(2, len(items)):]
		if len(items) == 1 && (items[0] == nil || len(o.Entries()) > 0) {
			items = nil
		}
	}
	return items
}
