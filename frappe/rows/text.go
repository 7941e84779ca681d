package rows

import (
	"strings"
	"unicode/utf8"
)

// cutMark stands at the end of text that was too long for its column.
const cutMark = "…"

// fit makes text acceptable to its column: valid UTF-8, and not longer than the column, cut between characters with a
// mark. MariaDB would refuse both with an error that takes the whole transaction along.
func (c columnInfo) fit(s string) (fitted string, cut bool) {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	switch c.Kind {
	case "varchar", "char":
		return cutRunes(s, int(c.Chars))
	case "tinytext", "text", "mediumtext", "longtext":
		return cutBytes(s, int(c.Bytes))
	}
	return s, false
}

func cutRunes(s string, limit int) (string, bool) {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s, false
	}
	n := 0
	for i := range s {
		if n == limit-1 {
			return s[:i] + cutMark, true
		}
		n++
	}
	return s, false
}

func cutBytes(s string, limit int) (string, bool) {
	if len(s) <= limit {
		return s, false
	}
	end := limit - len(cutMark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMark, true
}
