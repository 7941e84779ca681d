package pickle

import "strings"

// object converts by class where the class is known, else field by field.
func (c *converter) object(o *Object, depth int) any {
	class := o.Class()
	if class == nil {
		return c.fields(o, depth)
	}
	name := class.DottedName()
	switch name {
	case "frappe._dict", "frappe.types.frappedict._dict", "collections.OrderedDict":
		if o.HasState && o.State != nil && o.State != any(o) { // itself, as in a _dict, says nothing
			c.note("attributes of a dict dropped")
		}
		return c.dict(o.Entries(), depth)
	case "collections.defaultdict":
		if first(o.args()) != nil {
			c.note("default factory of a defaultdict dropped")
		}
		return c.dict(o.Entries(), depth)
	}
	if read := scalars[name]; read != nil {
		if s, ok := read(o); ok {
			c.note(name + " written as text")
			return c.string(s.str)
		}
	}
	return c.fields(o, depth)
}

// fields shows all that is known about an object.
func (c *converter) fields(o *Object, depth int) any {
	m := &members{}
	if class := o.Class(); class != nil {
		c.note("object of " + segment(strings.ToValidUTF8(class.DottedName(), "�"))[1:])
		m.add("__class__", c.string(class.DottedName()))
	} else {
		c.note("object of a class without a name")
		m.add("__class__", c.within(".__class__", o.Callable, depth))
	}
	c.arguments(m, o, depth)
	if len(o.Items) > 0 {
		m.add("__items__", c.within(".__items__", &List{o.Items}, depth))
	}
	if entries := o.Entries(); len(entries) > 0 {
		m.add("__entries__", c.within(".__entries__", &Dict{entries}, depth))
	}
	if !o.HasState || o.State == any(o) || c.spent() {
		return m
	}
	if attributes := o.Attributes(); len(attributes) > 0 {
		c.fill(m, attributes, depth)
	} else if o.State != nil {
		m.add("__state__", c.within(".__state__", o.State, depth))
	}
	return m
}

func (c *converter) arguments(m *members, o *Object, depth int) {
	items := o.args()
	if g, _ := o.Callable.(*Global); g != nil && g != o.Class() {
		// copyreg._reconstructor(class, base, value): the base says nothing, a dict is among the entries.
		items = items[min(2, len(items)):]
		if len(items) == 1 && (items[0] == nil || len(o.Entries()) > 0) {
			items = nil
		}
	}
	if len(items) > 0 {
		m.add("__args__", c.within(".__args__", &Tuple{items}, depth))
	}
	if k, _ := o.Kwargs.(*Dict); k != nil && len(k.Items) > 0 {
		m.add("__kwargs__", c.within(".__kwargs__", k, depth))
	}
}
