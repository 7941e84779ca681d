package documents

import (
	"context"
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
func (d Document) hash() string { return digest(d.Fields) }

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
