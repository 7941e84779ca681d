package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/testdata/hostile"
)

// payload is the call of a job, as it lies in the field data of its hash.
type payload struct {
	name string
	data []byte
}

// text is a str in pickle's protocol 4.
func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// calling is a pickled call of frappe.enqueue for a method with the argument x, compressed as RQ does. x is a value in
// the instructions of pickle, without PROTO and STOP.
func calling(method, organization, x string) []byte {
	var b strings.Builder
	b.WriteString("\x80\x04(" + text(frappe.ExecuteJob) + "N)}(")
	for name, value := range map[string]string{
		"site": text(site), "user": text(attackerUser), "method": text(method), "event": "N", "job_name": text(method), "is_async": "\x88",
		"kwargs": "}(" + text("organization") + text(organization) + text("x") + x + "u",
	} {
		b.WriteString(text(name) + value)
	}
	b.WriteString("ut.")
	return compressed(b.String())
}

// compressed is what zlib.compress of Python makes, as small as it can.
func compressed(s string) []byte {
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.BestCompression)
	_, _ = w.Write([]byte(s)) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// heavy are values that are small in Redis and large once they are read.
var heavy = []struct{ name, x string }{
	{"sixty million '<'", text(strings.Repeat("<", 60_000_000))},
	{"sixty million control characters", text(strings.Repeat("\x01", 60_000_000))},
	{"a million empty dicts", "](" + strings.Repeat("}", 1_000_000) + "e"},
	{"a million empty texts", "](" + strings.Repeat("X\x00\x00\x00\x00", 1_000_000) + "e"},
	{"a dict of a million keys", "}(" + strings.Repeat("G\x40\x09\x21\xfb\x54\x44\x2d\x18N", 1_000_000) + "u"},
}

// hostilePayloads are every n-th of all that the repository has, and of calls of frappe.enqueue with the heavy ones.
func hostilePayloads(n int) (all []payload) {
	for _, c := range hostile.Every(n, "hostile.bad") {
		if len(c.Data) > 0 { // no call at all is one of the hashes
			all = append(all, payload{c.Name, c.Data})
		}
	}
	for i := 0; i < len(heavy); i += n {
		all = append(all, payload{heavy[i].name, calling("hostile.bad", attacker, heavy[i].x)})
	}
	return all
}
