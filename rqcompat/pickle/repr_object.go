package pickle

import "unicode/utf8"

// class shows a reference. Whether it is a function or a class only Python knows, and a function's repr has its
// address, so this is not Python's text.
func (r *repr) class(g *Global) {
	r.ascii("<")
	r.plain(g.DottedName())
	r.ascii(">")
}

// plain writes text as it is.
func (r *repr) plain(s string) {
	for _, c := range s {
		if r.full() {
			return
		}
		r.b = utf8.AppendRune(r.b, c)
		r.n++
	}
}

// object knows the repr of the classes that are common as arguments and shows others by their class.
func (r *repr) object(o *Object) {
	class := o.Class()
	if class == nil {
		r.ascii("<object>")
		return
	}
	switch name := class.DottedName(); name {
	case "frappe._dict", "frappe.types.frappedict._dict":
		r.guarded(o, "{...}", func() { r.dict(o.Entries()) })
		return
	default:
		if read := scalars[name]; read != nil {
			if s, ok := read(o); ok && s.repr != "" {
				r.plain(s.repr)
				return
			}
		}
	}
	r.class(class)
}
