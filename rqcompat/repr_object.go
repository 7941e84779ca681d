package rqcompat

import (
	"fmt"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"math/big"
	"strings"
	"unicode/utf8"
)

// class shows a reference. Whether it is a function or a class only Python knows, and a function's repr has its
// address, so this is not Python's text.
func (r *repr) class(g *pickle.Global) {
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
func (r *repr) object(o *pickle.Object) {
	class := o.Class()
	if class == nil {
		r.ascii("<object>")
		return
	}
	args := objectArgs(o)
	switch class.DottedName() {
	case "frappe._dict", "frappe.types.frappedict._dict":
		r.guarded(o, "{...}", func() { r.dict(o.Entries()) })
		return
	case "decimal.Decimal":
		if s, ok := first[string](args); ok {
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
		if r.datetime(class.Name, args) {
			return
		}
	case "uuid.UUID":
		if r.uuid(o) {
			return
		}
	}
	r.class(class)
}

func objectArgs(o *pickle.Object) []any {
	if t, ok := o.Args.(*pickle.Tuple); ok && t != nil {
		return t.Items
	}
	return nil
}

func first[T any](args []any) (v T, ok bool) {
	if len(args) > 0 {
		v, ok = args[0].(T)
	}
	return v, ok
}

// datetime reads the packed bytes of the datetime family; values with a time zone are left to the class name.
func (r *repr) datetime(class string, args []any) bool {
	b, ok := first[pickle.Bytes](args)
	if !ok || len(args) != 1 {
		return false
	}
	var n []int
	if class != "time" {
		if len(b) < 4 {
			return false
		}
		n = append(n, int(b[0])<<8|int(b[1]), int(b[2]&0x7f), int(b[3]))
		b = b[4:]
	}
	if class != "date" {
		if len(b) != 6 {
			return false
		}
		n = append(n, int(b[0]&0x7f), int(b[1]), int(b[2]), int(b[3])<<16|int(b[4])<<8|int(b[5]))
		// Python leaves out microseconds that are zero, then seconds.
		for range 2 {
			if n[len(n)-1] == 0 {
				n = n[:len(n)-1]
			} else {
				break
			}
		}
	} else if len(b) != 0 {
		return false
	}
	r.ascii("datetime." + class + "(" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(n)), ", "), "[]") + ")")
	return true
}

func (r *repr) timedelta(args []any) bool {
	if len(args) != 3 {
		return false
	}
	var parts []string
	for i, name := range []string{"days", "seconds", "microseconds"} {
		n, ok := args[i].(int64)
		if !ok {
			return false
		}
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", name, n))
		}
	}
	if len(parts) == 0 {
		parts = []string{"0"}
	}
	r.ascii("datetime.timedelta(" + strings.Join(parts, ", ") + ")")
	return true
}

func (r *repr) uuid(o *pickle.Object) bool {
	for _, p := range o.Attributes() {
		if p.Key != "int" {
			continue
		}
		n := new(big.Int)
		switch v := p.Value.(type) {
		case int64:
			n.SetInt64(v)
		case *big.Int:
			n = v
		}
		if h := fmt.Sprintf("%032x", n); len(h) == 32 && n.Sign() >= 0 {
			r.ascii("UUID('" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + "')")
			return true
		}
	}
	return false
}
