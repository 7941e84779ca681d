package documents

import (
	"fmt"
	"maps"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// set are the properties of fields that an app's Background Job gets from ours: state fields are read-only, since a form
// saves all it has, and Datetimes there have no microseconds.
var set = map[string]string{"read_only": "Check", "read_only_depends_on": "Data", "in_list_view": "Check", "default": "Text"}

// forApps are what makes an app's own DocTypes as good as ours: Custom Fields for what they lack, and Property Setters that
// say what the fields of our Background Job say. Only what is needed of them is brought, see planner.needed.
func forApps(tables []Document) []Document {
	var fields, setters []Document
	for _, table := range tables {
		if table.Name == rows.DefaultTenant {
			continue
		}
		list, _ := table.Fields["fields"].([]any)
		after := ""
		for _, item := range list {
			f := item.(map[string]any)
			if layout(f) {
				continue
			}
			name, _ := f["fieldname"].(string)
			d := Document{Kind: "custom_field", DocType: "Custom Field", Name: table.Name + "-" + name, Fields: maps.Clone(f)}
			maps.Copy(d.Fields, map[string]any{"doctype": d.DocType, "name": d.Name, "module": Module, "dt": table.Name, "insert_after": after})
			fields = append(fields, d)
			if table.Name == "Background Job" {
				setters = append(setters, settersOf(f)...)
			}
			after = name
		}
	}
	return append(fields, setters...)
}

func settersOf(field map[string]any) (all []Document) {
	for _, property := range sortedKeys(set) {
		value, there := field[property]
		if !there {
			continue
		}
		d := Document{Kind: "property_setter", DocType: "Property Setter", Name: fmt.Sprintf("Background Job-%v-%s", field["fieldname"], property)}
		d.Fields = map[string]any{
			"doctype": d.DocType, "name": d.Name, "module": Module, "doctype_or_field": "DocField", "doc_type": "Background Job",
			"field_name": field["fieldname"], "property": property, "property_type": set[property], "value": fmt.Sprint(value),
		}
		all = append(all, d)
	}
	return all
}

// needed reports whether an app's DocType lacks a field, or whether a Property Setter says something that its DocType
// doesn't say by itself.
func (p *planner) needed(d Document) (bool, error) {
	if d.Kind == "custom_field" {
		of, err := p.docType(d.Fields["dt"].(string))
		return of != nil && !custom(of) && fieldOf(of, d.Fields["fieldname"].(string)) == nil, err
	}
	target, _ := d.Fields["doc_type"].(string)
	field, _ := d.Fields["field_name"].(string)
	property, _ := d.Fields["property"].(string)
	of := p.brought[target]
	if of == nil {
		var err error
		if of, err = p.docType(target); err != nil || of == nil {
			return false, err
		}
	}
	if field != "" {
		if of = fieldOf(of, field); of == nil {
			return false, nil
		}
	}
	return fmt.Sprint(canonical(of[property], nil)) != fmt.Sprint(canonical(d.Fields["value"], nil)), nil
}
