package pickle

import "unsafe"

// A set subclass is made by a call that takes the list of its members, and a member may lead back to the set. The
// list is still being written then, and a reader that made the set of it now would miss members. CPython has no
// such list: it makes a new one for each call. We have one, so it is filled before the inner call, and what was on
// the way to fill it drops its part.

// watch notes the call of v and the lists it takes. When the call is being written already, they are due. The
// function it returns ends the call.
func (e *encoder) watch(v *Object) func() {
	inner := e.calling[v]
	if e.calling == nil {
		e.calling, e.watched = map[*Object]bool{}, map[unsafe.Pointer]*filling{}
	}
	e.calling[v] = true
	for _, a := range v.Args.(*Tuple).Items {
		switch a.(type) {
		case *List, *Dict:
		default:
			continue
		}
		p := address(a)
		w := e.watched[p]
		if _, written := e.memo.get(p, isNode); w == nil && !written {
			e.watched[p] = &filling{}
		} else if w != nil && inner {
			w.due = true
		}
	}
	return func() {
		if !inner {
			delete(e.calling, v)
		}
	}
}

// fillEarly completes v, which was just fetched from the memo, when it is due.
func (e *encoder) fillEarly(v any, p unsafe.Pointer, depth int) {
	if w := e.watched[p]; w != nil && w.due && !w.done {
		e.fill(v, w, e.below(depth))
	}
}

// fill puts all items into v, which is on top of the reader's stack, unless that happens while they are being
// written.
func (e *encoder) fill(v any, w *filling, depth int) {
	e.b = append(e.b, opMark)
	items, pairs := contents(v)
	e.saveAll(depth, items...)
	e.savePairs(depth, pairs)
	op := byte(opAppends)
	if _, ok := v.(*Dict); ok {
		op = opSetitems
	}
	if w.done {
		op = opPopMark
	}
	w.done = true
	e.b = append(e.b, op)
}
