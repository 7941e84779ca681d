package servertest

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// Zone is a time zone whose clocks are changed at an instant, from one distance to UTC to another.
func Zone(t testing.TB, change time.Time, before, after time.Duration) *time.Location {
	t.Helper()
	zone, err := time.LoadLocationFromTZData("Test/Change", ZoneFile(change, before, after))
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// ZoneFile is such a zone as a file of the zone database (RFC 8536, version 1).
func ZoneFile(change time.Time, before, after time.Duration) []byte {
	var b bytes.Buffer
	b.WriteString("TZif" + string(make([]byte, 16)))
	names := "OLD\x00NEW\x00"
	for _, v := range []any{
		[6]uint32{0, 0, 0, 1, 2, uint32(len(names))}, // one change, two kinds of time
		int32(change.Unix()), uint8(1),
		int32(before.Seconds()), uint8(0), uint8(0),
		int32(after.Seconds()), uint8(0), uint8(4),
	} {
		_ = binary.Write(&b, binary.BigEndian, v) // a buffer takes everything
	}
	b.WriteString(names)
	return b.Bytes()
}
