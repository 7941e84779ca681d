package documents

import (
	"context"
	"errors"
)

// Site is a Frappe site that documents are brought to. It is not safe for concurrent use.
type Site interface {
	// Get reads a document, nil if there is none.
	Get(ctx context.Context, doctype, name string) (map[string]any, error)
	// Bring creates a document or puts it in the place of the one of its name, and answers with what is there then.
	Bring(ctx context.Context, fields map[string]any) (map[string]any, error)
	// Save changes fields of a document, and answers with what is there then.
	Save(ctx context.Context, doctype, name string, fields map[string]any) (map[string]any, error)
	// Delete deletes a document, if there is one.
	Delete(ctx context.Context, doctype, name string) error
	// Count counts the documents of a DocType, none if there is no such DocType.
	Count(ctx context.Context, doctype string) (int, error)
	// Forget empties what Frappe has cached, so that a desk's next page has what is there now.
	Forget(ctx context.Context) error
	Close() error
}

// ErrNoBench says that this host has no Python environment of the bench, or that it can't be used by this user.
var ErrNoBench = errors.New("the bench's Python can't be used here")
