package documents

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// tenant is the DocType that jobs belong to.
func (p *planner) tenant() (string, error) {
	job, err := p.docType("Background Job")
	if err != nil {
		return "", err
	}
	linked := ""
	if field := fieldOf(job, "organization"); field != nil {
		linked, _ = field["options"].(string)
	}
	wanted := cmp.Or(p.options.Tenant, p.record.tenant, linked, rows.DefaultTenant)
	if job != nil && !custom(job) && linked != wanted {
		return "", fmt.Errorf("the jobs of this site belong to %s, as its app's DocType Background Job says: they can't belong to %s", linked, wanted)
	}
	if wanted == rows.DefaultTenant {
		return wanted, nil
	}
	found, err := p.docType(wanted)
	switch {
	case err != nil:
		return "", err
	case found == nil:
		return "", fmt.Errorf("the site has no DocType %s for jobs to belong to; name one that it has, or none for %s, which is brought", wanted, rows.DefaultTenant)
	case isSet(found["istable"]) || isSet(found["issingle"]):
		return "", fmt.Errorf("jobs can't belong to %s: it is a Single or a child table", wanted)
	}
	return wanted, nil
}

func (p *planner) docType(name string) (map[string]any, error) {
	if found, ok := p.seen[name]; ok {
		return found, nil
	}
	found, err := p.site.Get(p.ctx, "DocType", name)
	if err == nil {
		p.seen[name] = found
	}
	return found, err
}

func isSet(value any) bool { return canonical(value, nil) != nil }

func custom(docType map[string]any) bool { return isSet(docType["custom"]) }

func fieldOf(docType map[string]any, name string) map[string]any {
	fields, _ := docType["fields"].([]any)
	for _, field := range fields {
		if f, _ := field.(map[string]any); f["fieldname"] == name {
			return f
		}
	}
	return nil
}

// docTypeStep never replaces an app's DocType, nor what is somebody else's.
func (p *planner) docTypeStep(d Document) (Step, error) {
	now, err := p.docType(d.Name)
	if err != nil {
		return Step{}, err
	}
	e := p.record.entries[d.key()]
	different := differences(d.Fields, now)
	step := Step{}
	switch {
	case now == nil:
		step = Step{Action: Create}
	case !custom(now) && e != nil:
		return Step{Action: Forget, Why: "an app has it now"}, nil
	case !custom(now) || d.Name == rows.DefaultTenant && e == nil && now["module"] != Module:
		return Step{}, nil
	case e == nil && different.none() && len(printOf(d.Fields, d.Fields).changed(now)) == 0:
		return Step{Action: Adopt, now: now}, nil
	case e == nil && len(different.other) == 0 && (len(different.more) == 0 || now["module"] == Module):
		step = Step{Action: Upgrade, Why: "it was imported by hand"}
	case e == nil && len(different.other) == 0 && len(different.missing) == 0:
		return Step{Action: Leave, Why: "somebody else made it, with all the fields that are needed"}, nil
	case e == nil:
		return Step{}, &RefusedError{d.Name, different.words()}
	case e.Pending:
		step = Step{Action: Upgrade, Why: "an installation was broken off"}
	default:
		step = p.upgrade(d, e, now)
		if step.Action == Leave && len(different.missing) > 0 {
			return Step{Action: Extend, Why: step.Why, now: now, missing: different.missing}, nil
		}
	}
	if step.Action == Create || step.Action == Upgrade {
		p.brought[d.Name] = d.Fields
	}
	return step, nil
}

// difference is what a site's DocType has otherwise than ours.
type difference struct {
	missing []any    // fields of ours that it lacks
	other   []string // fields that are something else there, in words
	more    []string // names of fields that ours lacks
}

func (d difference) none() bool { return len(d.missing)+len(d.other)+len(d.more) == 0 }

func (d difference) words() []string {
	words := slices.Clone(d.other)
	for _, field := range d.missing {
		f := field.(map[string]any)
		words = append(words, fmt.Sprintf("it lacks %v (%v)", f["fieldname"], f["fieldtype"]))
	}
	return words
}

// differences compares the fields with columns; how they are laid out is up to people.
func differences(ours, theirs map[string]any) (d difference) {
	if theirs == nil {
		return d
	}
	fields, _ := ours["fields"].([]any)
	known := map[string]bool{}
	for _, field := range fields {
		f := field.(map[string]any)
		name, _ := f["fieldname"].(string)
		known[name] = true
		there := fieldOf(theirs, name)
		switch {
		case layout(f):
		case there == nil:
			d.missing = append(d.missing, field)
		case there["fieldtype"] != f["fieldtype"]:
			d.other = append(d.other, fmt.Sprintf("%s is %v, not %v", name, there["fieldtype"], f["fieldtype"]))
		case f["fieldtype"] == "Link" && there["options"] != f["options"] && name != "organization":
			d.other = append(d.other, fmt.Sprintf("%s links to %v, not to %v", name, there["options"], f["options"]))
		}
	}
	fields, _ = theirs["fields"].([]any)
	for _, field := range fields {
		f, _ := field.(map[string]any)
		name, _ := f["fieldname"].(string)
		if !known[name] && !layout(f) {
			d.more = append(d.more, name)
		}
	}
	return d
}

func layout(field map[string]any) bool {
	fieldtype, _ := field["fieldtype"].(string)
	return strings.HasSuffix(fieldtype, " Break")
}

// linkedTo is the document with its links to organizations turned to the tenant's DocType.
func (d Document) linkedTo(tenant string) Document {
	fields, ok := d.Fields["fields"].([]any)
	if d.Kind != "doctype" || !ok || tenant == rows.DefaultTenant {
		return d
	}
	d.Fields = maps.Clone(d.Fields)
	turned := slices.Clone(fields)
	for i, field := range turned {
		if f := field.(map[string]any); f["fieldtype"] == "Link" && f["options"] == rows.DefaultTenant {
			f = maps.Clone(f)
			f["options"] = tenant
			turned[i] = f
		}
	}
	d.Fields["fields"] = turned
	return d
}
