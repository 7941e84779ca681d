package documents

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// Options say how documents are brought.
type Options struct {
	// Tenant is the DocType of the organizations that jobs belong to; "" leaves it as it is, at first rows.DefaultTenant.
	Tenant string
	// Overwrite also replaces what people changed and brings back what they deleted.
	Overwrite bool
}

// Action is what is done with a document.
type Action string

// What is done with a document.
const (
	Create  Action = "create"  // the site has none
	Upgrade Action = "upgrade" // the site has an earlier one of ours
	Extend  Action = "extend"  // people changed the DocType: it gets only the fields that it lacks
	Remove  Action = "remove"  // ours, and not wanted any more
	Adopt   Action = "adopt"   // the site has the same, and it becomes ours
	Leave   Action = "leave"   // it isn't ours to change; Why says more
	Forget  Action = "forget"  // it isn't there any more, nor wanted
)

// Step is what is to be done, or was done, with one document.
type Step struct {
	Action  Action `json:"action"`
	DocType string `json:"doctype"`
	Name    string `json:"name"`
	Why     string `json:"why,omitempty"`

	document *Document
	entry    *entry
	now      map[string]any // what the site has, of Adopt and Extend
	missing  []any          // fields of Extend
}

func (s Step) String() string {
	text := fmt.Sprintf("%s %s %s", s.Action, s.DocType, s.Name)
	if s.Why != "" {
		text += ": " + s.Why
	}
	return text
}

func (d Document) key() string { return d.DocType + " " + d.Name }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Plan is what an installation will do.
type Plan struct {
	Tenant string
	Steps  []Step // in their order; what stays as it is isn't among them

	site   Site
	record record
}

// Changes are the steps that change the site.
func (p *Plan) Changes() []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Action == Leave })
}

// RefusedError says which DocTypes of the site keep ours from it.
type RefusedError struct {
	DocType   string
	Different []string // what differs, in words
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the site has a DocType %s that somebody else made: %s. Rename or delete it, or make it alike; nothing was changed",
		e.DocType, strings.Join(e.Different, "; "))
}

// planner looks at a site.
type planner struct {
	ctx     context.Context
	site    Site
	options Options
	record  record
	seen    map[string]map[string]any // DocTypes of the site, nil for none
	// brought are our DocTypes that the site will have in the place of those.
	brought map[string]map[string]any
}

// Prepare looks at a site and says what an installation would do.
func Prepare(ctx context.Context, site Site, options Options) (*Plan, error) {
	all, err := Load()
	if err != nil {
		return nil, err
	}
	return prepare(ctx, site, all, options)
}

func prepare(ctx context.Context, site Site, all []Document, options Options) (*Plan, error) {
	r, err := readRecord(ctx, site)
	if err != nil {
		return nil, err
	}
	p := &planner{ctx: ctx, site: site, options: options, record: r, seen: map[string]map[string]any{}, brought: map[string]map[string]any{}}
	tenant, err := p.tenant()
	if err != nil {
		return nil, err
	}
	plan := &Plan{Tenant: tenant, site: site, record: r}
	wanted := map[string]bool{}
	for _, d := range all {
		if d.Kind == "doctype" && d.Name == rows.DefaultTenant && tenant != rows.DefaultTenant {
			continue
		}
		d = d.linkedTo(tenant)
		wanted[d.key()] = true
		step, err := p.step(d)
		if err != nil {
			return nil, err
		}
		if step.Action != "" {
			step.DocType, step.Name, step.document, step.entry = d.DocType, d.Name, &d, r.entries[d.key()]
			plan.Steps = append(plan.Steps, step)
		}
	}
	for _, key := range sortedKeys(r.entries) {
		e := r.entries[key]
		if wanted[key] || stays(e.DocType) {
			continue
		}
		step, err := p.leaving(e)
		if err != nil {
			return nil, err
		}
		plan.Steps = append(plan.Steps, step)
	}
	return plan, nil
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

// stays reports whether documents of a DocType outlast an installation: the rows live in DocTypes, which name roles and
// the module.
func stays(doctype string) bool {
	return doctype == "DocType" || doctype == "Role" || doctype == "Module Def"
}

// step says what to do with a document, an Action of "" for nothing.
func (p *planner) step(d Document) (Step, error) {
	switch d.Kind {
	case "doctype":
		return p.docTypeStep(d)
	case "property_setter", "custom_field":
		if needed, err := p.needed(d); err != nil || !needed {
			return Step{}, err
		}
	}
	e := p.record.entries[d.key()]
	name := d.Name
	if e != nil {
		name = e.name()
	}
	now, err := p.site.Get(p.ctx, d.DocType, name)
	if err != nil {
		return Step{}, err
	}
	switch {
	case now != nil && stays(d.DocType):
		return Step{}, nil // it is as good as ours
	case now == nil && (e == nil || e.Pending || stays(d.DocType)):
		return Step{Action: Create}, nil
	case now == nil && p.options.Overwrite:
		return Step{Action: Create, Why: "somebody deleted it"}, nil
	case now == nil:
		return Step{Action: Leave, Why: "somebody deleted it"}, nil
	case e == nil && len(printOf(d.Fields, d.Fields).changed(now)) == 0:
		return Step{Action: Adopt, now: now}, nil
	case e == nil && p.options.Overwrite:
		return Step{Action: Upgrade, Why: "somebody else made it"}, nil
	case e == nil:
		return Step{Action: Leave, Why: "somebody else made one of this name"}, nil
	case e.Pending:
		return Step{Action: Upgrade, Why: "an installation was broken off"}, nil
	}
	return p.upgrade(d, e, now), nil
}

// upgrade is the step for a document of ours that is there.
func (p *planner) upgrade(d Document, e *entry, now map[string]any) Step {
	newer, changed := e.Shipped != d.hash(), e.Print.changed(now)
	switch {
	case len(changed) > 0 && p.options.Overwrite:
		return Step{Action: Upgrade, Why: "somebody changed " + strings.Join(changed, ", ")}
	case len(changed) > 0 && newer:
		return Step{Action: Leave, Why: "there is a newer one, but somebody changed " + strings.Join(changed, ", ")}
	case len(changed) > 0:
		return Step{Action: Leave, Why: "somebody changed " + strings.Join(changed, ", ")}
	case newer:
		return Step{Action: Upgrade}
	}
	return Step{}
}

// hash is that of what is shipped.
func (d Document) hash() string {
	text, err := json.Marshal(d.Fields)
	if err != nil {
		panic(err) // it came from JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
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

// leaving is the step for a document of ours that isn't wanted any more.
func (p *planner) leaving(e *entry) (Step, error) {
	step := Step{Action: Remove, DocType: e.DocType, Name: e.Name, entry: e}
	now, err := p.site.Get(p.ctx, e.DocType, e.name())
	switch {
	case err != nil:
		return step, err
	case now == nil:
		step.Action = Forget
	case len(e.Print.changed(now)) > 0 && !e.Pending && !p.options.Overwrite:
		step.Action, step.Why = Leave, "it isn't needed any more, but somebody changed it"
	}
	return step, nil
}
