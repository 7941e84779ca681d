package pickle

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
	args := o.args()
	switch class.DottedName() {
	case "frappe._dict", "frappe.types.frappedict._dict":
		r.guarded(o, "{...}", func() { r.dict(o.Entries()) })
		return
	case "decimal.Decimal":
		if s, ok := first(args).(string); ok {
			r.ascii("Decimal('")
			r.plain(s)
			r.ascii("')")
			return
		}
	case "datetime.timedelta":
		if r.timedelta(args) {
			return
		}
	case "datetime.datetime", "datetime.date", "datetime.time":
		if r.moment(class.Name, args) {
			return
		}
	case "uuid.UUID":
		if s, ok := uuidText(o); ok {
			r.ascii("UUID('" + s + "')")
			return
		}
	}
	r.class(class)
}

// moment shows a date or time; values with a time zone are left to the class name.
func (r *repr) moment(class string, args []any) bool {
	m, ok := momentOf(class, args)
	if !ok || m.zone != nil {
		return false
	}
	clock := m.clock
	// Python leaves out microseconds that are zero, then seconds.
	for len(clock) > 2 && clock[len(clock)-1] == 0 {
		clock = clock[:len(clock)-1]
	}
	r.ascii("datetime." + class + "(")
	for i, n := range append(slices.Clone(m.date), clock...) {
		if i > 0 {
			r.ascii(", ")
		}
		r.ascii(strconv.Itoa(n))
	}
	r.ascii(")")
	return true
}

func (r *repr) timedelta(args []any) bool {
	days, seconds, micro, ok := deltaParts(args)
	if !ok {
		return false
	}
	var parts []string
	for _, part := range []struct {
		name string
		n    int64
	}{{"days", days}, {"seconds", seconds}, {"microseconds", micro}} {
		if part.n != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", part.name, part.n))
		}
	}
	r.ascii("datetime.timedelta(" + cmp.Or(strings.Join(parts, ", "), "0") + ")")
	return true
}
