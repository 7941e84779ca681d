package rows

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// cutMark stands at the end of text that was too long for its column.
const cutMark = "…"

// maxText is what a text that people read keeps where its column takes more: a statement carries those of many rows.
const maxText = 1 << 20

// fit makes text acceptable to its column: of its character set, and not longer than the column, cut between characters
// with a mark. MariaDB would refuse it with an error that takes the whole transaction along.
func (c columnInfo) fit(s string) (fitted string, cut bool) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if c.threeBytes() {
		s = strings.Map(func(r rune) rune {
			if r > '\uFFFF' {
				return '\uFFFD'
			}
			return r
		}, s)
	}
	switch c.Kind {
	case "varchar", "char":
		return cutRunes(s, int(c.Chars))
	case "tinytext", "text", "mediumtext", "longtext":
		return cutBytes(s, int(min(c.Bytes, maxText)))
	}
	return s, false
}

// Data is what a field of Frappe's type Data, 140 characters, keeps of a text.
func Data(text string) string {
	kept, _ := columnInfo{Kind: "varchar", Chars: 140}.fit(text)
	return kept
}

// threeBytes reports whether the column's character set has no characters beyond U+FFFF.
func (c columnInfo) threeBytes() bool { return c.Charset == "utf8mb3" || c.Charset == "utf8" }

// refuse says why a column can't hold a value as the driver writes it: string, int64, float64 or nil. The error is an
// ErrValue that names the column and shows no value. What the column's type doesn't tell, a CHECK or a trigger, only the
// server says.
func (c columnInfo) refuse(value any) error {
	if why := c.against(value); c.Kind != "" && why != "" {
		return fmt.Errorf("%w: %s %s", ErrValue, c.Name, why)
	}
	return nil
}

func (c columnInfo) against(value any) string {
	switch v := value.(type) {
	case nil:
		if !c.Nullable {
			return "is empty, and its column takes no NULL"
		}
	case string:
		return c.againstText(v)
	case int64:
		return c.againstNumber(strconv.FormatInt(v, 10), float64(v))
	case float64:
		return c.againstNumber(strconv.FormatFloat(v, 'f', -1, 64), v)
	}
	return ""
}

func (c columnInfo) againstText(s string) string {
	switch c.Kind {
	case "datetime":
		if len(s) != len(datetimeLayout) { // of a year beyond 9999
			return "is no date that its column can hold"
		}
		return ""
	case "enum":
		if !strings.Contains(strings.ToLower(c.Type), "'"+strings.ToLower(strings.ReplaceAll(s, "'", "''"))+"'") {
			return "is none of the values that its column knows"
		}
		return ""
	}
	switch {
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case c.threeBytes() && strings.ContainsFunc(s, func(r rune) bool { return r > '\uFFFF' }):
		return "has a character of four bytes, and its column is " + c.Charset
	case c.Kind == "varchar" || c.Kind == "char":
		if n := utf8.RuneCountInString(s); n > int(c.Chars) {
			return fmt.Sprintf("has %d characters, and its column takes %d", n, c.Chars)
		}
	case c.Bytes > 0 && int64(len(s)) > c.Bytes:
		return fmt.Sprintf("has %d bytes, and its column takes %d", len(s), c.Bytes)
	}
	return ""
}

// integers are the bytes of the integer types.
var integers = map[string]int{"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}

func (c columnInfo) againstNumber(text string, n float64) string {
	least, beyond := math.Inf(-1), math.Inf(1)
	if bytes := integers[c.Kind]; bytes > 0 {
		least, beyond = -math.Pow(2, float64(8*bytes-1)), math.Pow(2, float64(8*bytes-1))
		if strings.Contains(c.Type, "unsigned") {
			least, beyond = 0, 2*beyond
		}
	}
	if c.Kind == "decimal" {
		beyond = math.Pow(10, float64(c.Digits-c.Scale))
		least = math.Nextafter(-beyond, 0)
	}
	switch {
	case n < least || n >= beyond && !math.IsInf(beyond, 1):
		return "is out of the range of its column, " + c.Type
	case (c.Kind == "varchar" || c.Kind == "char") && len(text) > int(c.Chars):
		return fmt.Sprintf("has %d digits, and its column takes %d", len(text), c.Chars)
	}
	return ""
}

func cutRunes(s string, limit int) (string, bool) {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s, false
	}
	return string([]rune(s)[:max(limit, 1)-1]) + cutMark, true
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
