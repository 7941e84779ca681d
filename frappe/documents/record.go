package documents

import (
	"context"
	"encoding/json"
	"fmt"
)

// installation is the Single DocType that keeps on the site what was brought there.
const installation = "Background Jobs Installation"

// record is what was brought to a site.
type record struct {
	tenant  string // DocType of the organizations, "" for not installed yet
	entries map[string]*entry
}

// entry is a document that was brought to a site.
type entry struct {
	DocType string `json:"doctype"`
	Name    string `json:"name"`
	// As is the document's name on the site where that is another: over REST Frappe gives some their names.
	As string `json:"as,omitempty"`
	// Shipped is the hash of our document, Print the print of what Frappe made of it.
	Shipped string `json:"shipped"`
	Print   print  `json:"print"`
	// Pending says that it is being brought: whoever finds it so later brings it again.
	Pending bool `json:"pending,omitempty"`
}

// name is the document's name on the site.
func (e *entry) name() string {
	if e.As != "" {
		return e.As
	}
	return e.Name
}

func readRecord(ctx context.Context, site Site) (record, error) {
	r := record{entries: map[string]*entry{}}
	fields, err := site.Get(ctx, installation, installation)
	if err != nil || fields == nil {
		return r, err
	}
	r.tenant, _ = fields["tenant_doctype"].(string)
	text, _ := fields["documents"].(string)
	if text == "" {
		return r, nil
	}
	var list []*entry
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return r, fmt.Errorf("the field documents of %s is damaged: %w; delete what stands in it, then install again and let that overwrite", installation, err)
	}
	for _, e := range list {
		r.entries[Document{DocType: e.DocType, Name: e.Name}.key()] = e
	}
	return r, nil
}

// write keeps the record on the site. documents says in which order.
func (r *record) write(ctx context.Context, site Site) error {
	list := []*entry{}
	for _, key := range sortedKeys(r.entries) {
		list = append(list, r.entries[key])
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = site.Save(ctx, installation, installation, map[string]any{"tenant_doctype": r.tenant, "documents": string(text)})
	if err != nil {
		return fmt.Errorf("write down in %s what is installed: %w", installation, err)
	}
	return nil
}
