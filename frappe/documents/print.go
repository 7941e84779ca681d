package documents

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// print is what a document had when it was brought: of each of its values that we brought a hash, and for tables which
// columns of its rows count. What Frappe adds to a document of its own doesn't count, nor what a later Frappe will add.
type print map[string]mark

type mark struct {
	Hash    string   `json:"hash"`
	Columns []string `json:"columns,omitempty"`
}

// unprinted are values that say nothing about what a document does.
var unprinted = []string{"doctype", "name"}

// printOf takes the print of a document as it is now, of the values that ours has.
func printOf(ours, now map[string]any) print {
	p := print{}
	for key, value := range ours {
		if slices.Contains(unprinted, key) {
			continue
		}
		columns := columnsOf(value)
		p[key] = mark{hashOf(now[key], columns), columns}
	}
	return p
}

// changed names the values of a document that differ from its print.
func (p print) changed(now map[string]any) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if hashOf(now[key], p[key].Columns) != p[key].Hash {
			keys = append(keys, key)
		}
	}
	return keys
}

// columnsOf are the columns that the rows of a table have, nil for what is no table.
func columnsOf(value any) []string {
	rows, ok := value.([]any)
	if !ok {
		return nil
	}
	all := map[string]bool{}
	for _, row := range rows {
		fields, _ := row.(map[string]any)
		for key := range fields {
			all[key] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func hashOf(value any, columns []string) string { return digest(canonical(value, columns)) }

// digest is a short hash of a value that came from JSON.
func digest(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return frappe.Digest(string(text))[:16]
}

// canonical is a value without what Frappe may or may not write: nothing, zero and empty text are one, rows have their
// columns that count, texts no white space around them.
func canonical(value any, columns []string) any {
	switch v := value.(type) {
	case string:
		if text := strings.TrimSpace(strings.ReplaceAll(v, "\r\n", "\n")); text != "" && text != "0" {
			return text
		}
	case bool:
		if v {
			return 1.0
		}
	case float64:
		if v != 0 {
			return v
		}
	case []any:
		var rows []any
		for _, row := range v {
			fields, ok := row.(map[string]any)
			if !ok {
				rows = append(rows, row)
				continue
			}
			kept := map[string]any{}
			for _, column := range columns {
				if value := canonical(fields[column], nil); value != nil {
					kept[column] = value
				}
			}
			rows = append(rows, kept)
		}
		if rows != nil {
			return rows
		}
	}
	return nil
}
