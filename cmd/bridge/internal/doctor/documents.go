package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/documents"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// documentsTimeout bounds what the bench's Python takes to start and to look at all documents.
const documentsTimeout = 30 * time.Second

// documentsMost is how many sites' documents are looked at unasked: each takes Frappe's start, some seconds.
const documentsMost = 5

// documents looks whether the desk has what it needs, of this version, which only Frappe can tell.
func (r *report) documents(ctx context.Context, check string, b *frappe.Bench, site *frappe.Site, db *rows.DB) error {
	if isFrappe, err := db.Frappe(ctx); err != nil || !isFrappe {
		return err
	}
	if r.sitesInAll > documentsMost {
		r.ok(check, "its documents were not looked at, as the bench has %d sites: bridge doctor --site %s does", r.sitesInAll, site.Name)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, documentsTimeout)
	defer cancel()
	on, err := documents.OnBench(ctx, b, site.Name, false)
	if errors.Is(err, documents.ErrNoBench) {
		r.ok(check, "its documents were not looked at: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer on.Close()
	install := "bridge install --site " + site.Name
	plan, err := documents.Prepare(ctx, on, documents.Options{})
	if err != nil {
		r.warn(check, "look at what "+install+" --dry-run says", "%v", err)
		return nil
	}
	changes := plan.Changes()
	for _, kind := range []struct {
		actions []documents.Action
		text    string
	}{
		{[]documents.Action{documents.Create}, "missing"},
		{[]documents.Action{documents.Upgrade, documents.Extend}, "of another version of the bridge"},
		{[]documents.Action{documents.Remove, documents.Forget, documents.Adopt}, "not as the record of the last installation says"},
	} {
		if names := named(changes, kind.actions); len(names) > 0 {
			r.warn(check, "run: "+install, "%s %s: %s", output.Plural(len(names), "document"), kind.text, some(names))
		}
	}
	if left := named(plan.Steps, []documents.Action{documents.Leave}); len(left) > 0 {
		r.ok(check, "%s left as people made them: %s", output.Plural(len(left), "document"), some(left))
	}
	return nil
}

// named are the documents of steps with one of the actions.
func named(steps []documents.Step, actions []documents.Action) (names []string) {
	for _, s := range steps {
		if slices.Contains(actions, s.Action) {
			names = append(names, s.DocType+" "+s.Name)
		}
	}
	return names
}

// someNames is how many documents are named.
const someNames = 3

func some(names []string) string {
	if len(names) > someNames {
		names = append(slices.Clone(names[:someNames]), "…")
	}
	return strings.Join(names, ", ")
}
