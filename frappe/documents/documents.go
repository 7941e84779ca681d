// Package documents has the documents that the desk needs for Background Jobs: DocTypes, scripts, reports, a workspace.
// Each is a file below shipped, in the folder of its kind, as Frappe's import_doc takes it. A text that begins with @
// names files beside it, "@a.js @b.js", whose content stands in its place, one after the other: so a script is a file of
// its own kind, and what two scripts share, which Frappe runs each by itself, stands in one. "@a.sql key=value" has the value wherever that
// file says {key}.
package documents

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
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
		whole := ""
		for word := range strings.FieldsSeq(v) {
			if key, value, given := strings.Cut(word, "="); given {
				whole = strings.ReplaceAll(whole, "{"+key+"}", value)
				continue
			}
			text, err := fs.ReadFile(files, path.Join(folder, strings.TrimPrefix(word, "@")))
			if err != nil {
				return nil, err
			}
			whole += string(text)
		}
		return whole, nil
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
