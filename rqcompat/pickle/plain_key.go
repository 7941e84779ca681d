package pickle

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fill writes entries behind the members that are there before; the keys stay unique.
func (c *converter) fill(before []string, items []Pair, depth int) {
	var names uniqueNames
	for i := range items {
		key, exact := c.key(items[i].Key, depth)
		if !exact || slices.Contains(before, key) {
			if names == nil {
				c.spend(len(items) * mapWork)
				names = newUniqueNames(before, items)
			}
			key = names.free(key)
		}
		c.member(i+len(before), key, items[i].Value, depth)
		if c.cut {
			return
		}
	}
}

// member writes the n-th member of an object.
func (c *converter) member(n int, key string, v any, depth int) {
	if n > 0 {
		c.comma()
	}
	c.spend(len(key) * jsonWork)
	if !c.fits(c.quotedSize(key)) {
		key = truncated
	}
	c.quoted(key)
	if c.raw(":"); c.python {
		c.raw(" ")
	}
	c.within(segment(key), v, depth)
}

// segment is a key as a part of a path, cut to a readable length.
func segment(key string) string {
	const most = 60
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "…"
	}
	return "." + key
}

// key gives the text of a dict key, and whether it was that text.
func (c *converter) key(k any, depth int) (string, bool) {
	if s, ok := k.(string); ok && utf8.ValidString(s) {
		return s, true
	}
	c.spend(keyWork)
	n := len(c.path)
	c.path = append(c.path, ".{key}"...)
	s := c.apart(func() { c.value(k, depth+1) })
	if s[0] == '"' {
		_ = json.Unmarshal([]byte(s), &s) // it is JSON
	} else if !c.python || s[0] == '[' || s[0] == '{' {
		c.note("key written as text")
	}
	c.path = c.path[:n]
	return s, false
}

// uniqueNames has the names that are taken, and for each the number to try behind it: free takes constant time.
type uniqueNames map[string]int

func newUniqueNames(before []string, items []Pair) uniqueNames {
	u := make(uniqueNames, len(before)+len(items))
	for _, k := range before {
		u[k] = 2
	}
	for _, p := range items { // str keys keep their names
		if k, ok := p.Key.(string); ok {
			u[k] = 2
		}
	}
	return u
}

func (u uniqueNames) free(name string) string {
	free := name
	for ; u[free] > 0; u[name]++ {
		free = name + " (" + strconv.Itoa(u[name]) + ")"
	}
	u[free] = 2
	return free
}
