// Package documents has the documents that the desk needs for Background Jobs: DocTypes, scripts, reports, a workspace.
// Each is a file below shipped, in the folder of its kind, as Frappe's import_doc takes it. A text that begins with @
// names files beside it, "@a.js @b.js", whose content stands in its place, one after the other: so a script is a file of
// its own kind, and what two scripts share, which Frappe runs each by itself, stands in one.
package documents

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Module is the module that the documents belong to.
const Module = "Background Jobs"

//go:embed shipped
var shipped embed.FS

// kinds are the folders of documents in the order of their import: each may name documents of those before it.
var kinds = []string{"role", "module_def", "doctype", "custom_field", "property_setter", "client_script", "report", "number_card", "dashboard_chart",
	"custom_html_block", "dashboard", "workspace", "list_filter", "list_view_settings", "translation"}

// Document is one document, as Frappe's import_doc takes it.
type Document struct {
	Kind    string // the folder that it is in
	DocType string
	Name    string
	Fields  map[string]any // all of it, doctype and name among them
}

// Load reads the documents in the order of their import.
func Load() ([]Document, error) { return load(shipped) }

func load(files fs.FS) ([]Document, error) {
	folders, err := fs.ReadDir(files, "shipped")
	if err != nil {
		return nil, fmt.Errorf("documents: %w", err)
	}
	for _, folder := range folders {
		if !slices.Contains(kinds, folder.Name()) {
			return nil, fmt.Errorf("documents: shipped/%s is not among the kinds of documents, %s", folder.Name(), strings.Join(kinds, ", "))
		}
	}
	var all []Document
	for _, kind := range kinds {
		found, err := fs.Glob(files, path.Join("shipped", kind, "*.json"))
		if err != nil {
			return nil, fmt.Errorf("documents: %w", err)
		}
		for _, file := range found {
			d, err := read(files, file)
			if err != nil {
				return nil, fmt.Errorf("document %s: %w", strings.TrimPrefix(file, "shipped/"), err)
			}
			all = append(all, d)
		}
		if kind == "doctype" {
			tables, err := ofTables()
			if err != nil {
				return nil, err
			}
			all = append(all, tables...)
			all = append(all, forApps(tables)...)
		}
	}
	translations, err := ofTranslations(files)
	if err != nil {
		return nil, fmt.Errorf("documents: %w", err)
	}
	return append(all, translations...), nil
}

// ofTables are the DocTypes of the tables that package rows keeps.
func ofTables() ([]Document, error) {
	var all []Document
	for _, text := range rows.DocTypes() {
		d, err := parse("doctype", text)
		if err != nil {
			return nil, fmt.Errorf("DocType definition: %w", err)
		}
		all = append(all, d)
	}
	return all, nil
}

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

func read(files fs.FS, file string) (Document, error) {
	text, err := fs.ReadFile(files, file)
	if err != nil {
		return Document{}, err
	}
	folder, _ := path.Split(file)
	d, err := parse(path.Base(folder), text)
	if err != nil {
		return Document{}, err
	}
	filled, err := fill(files, folder, d.Fields)
	if err != nil {
		return Document{}, err
	}
	d.Fields = filled.(map[string]any)
	return d, nil
}

func parse(kind string, text []byte) (Document, error) {
	d := Document{Kind: kind}
	if err := json.Unmarshal(text, &d.Fields); err != nil {
		return d, err
	}
	d.DocType, _ = d.Fields["doctype"].(string)
	d.Name, _ = d.Fields["name"].(string)
	if d.DocType == "" || d.Name == "" {
		return d, fmt.Errorf("it has to have a doctype and a name")
	}
	return d, nil
}

// fill puts the content of files in the place of their names.
func fill(files fs.FS, folder string, value any) (any, error) {
	switch v := value.(type) {
	case string:
		if !strings.HasPrefix(v, "@") {
			return v, nil
		}
		var whole strings.Builder
		for name := range strings.FieldsSeq(v) {
			text, err := fs.ReadFile(files, path.Join(folder, strings.TrimPrefix(name, "@")))
			if err != nil {
				return nil, err
			}
			whole.Write(text)
		}
		return whole.String(), nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = fill(files, folder, v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			var err error
			if v[key], err = fill(files, folder, v[key]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}
