package documents

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Apply does what was planned. told hears of each step before it is made. Broken off anywhere, it is completed by the
// next installation.
func (p *Plan) Apply(ctx context.Context, told func(done int, s Step)) error {
	changes := p.Changes()
	if len(changes) == 0 && p.Tenant == p.record.tenant {
		return nil
	}
	done := 0
	run := func(steps []Step) error {
		for _, s := range steps {
			told(done, s)
			if err := p.apply(ctx, s); err != nil {
				return fmt.Errorf("%s %s %s: %w", s.Action, s.DocType, s.Name, err)
			}
			done++
		}
		return nil
	}
	first := slices.IndexFunc(changes, func(s Step) bool { return !ground(s) })
	if first < 0 {
		first = len(changes)
	}
	if err := run(changes[:first]); err != nil {
		return err
	}
	if err := p.announce(ctx, changes[first:]); err != nil {
		return err
	}
	err := run(changes[first:])
	if err == nil {
		p.record.tenant = p.Tenant
	}
	if p.endsRecord(changes) && err == nil {
		return p.site.Forget(ctx)
	}
	// What was done is written down, also when the rest wasn't.
	return errors.Join(err, p.record.write(context.WithoutCancel(ctx), p.site), p.site.Forget(context.WithoutCancel(ctx)))
}

// ground reports whether a step belongs to what the record itself needs.
func ground(s Step) bool {
	return s.Action != Remove && (s.DocType == "Role" || s.DocType == "Module Def" || s.DocType == "DocType" && s.Name == installation)
}

// endsRecord reports whether nothing is left that could keep the record.
func (p *Plan) endsRecord(changes []Step) bool {
	return slices.ContainsFunc(changes, func(s Step) bool { return s.Action == Remove && s.DocType == "DocType" && s.Name == installation })
}

// announce writes down which documents are about to be changed: whoever finds half of it knows then what is ours.
func (p *Plan) announce(ctx context.Context, steps []Step) error {
	if len(steps) == 0 {
		return nil
	}
	for i := range steps {
		s := &steps[i]
		switch s.Action {
		case Create, Upgrade, Remove:
			if s.entry == nil {
				s.entry = &entry{DocType: s.DocType, Name: s.Name}
				p.record.entries[s.key()] = s.entry
			}
			s.entry.Pending = true
		}
	}
	return p.record.write(ctx, p.site)
}

func (s Step) key() string { return Document{DocType: s.DocType, Name: s.Name}.key() }

func (p *Plan) apply(ctx context.Context, s Step) error {
	switch s.Action {
	case Create, Upgrade:
		fields := maps.Clone(s.document.Fields)
		if s.entry != nil {
			fields["name"] = s.entry.name()
		}
		now, err := p.site.Bring(ctx, fields)
		if err != nil {
			return err
		}
		p.note(s, now)
	case Adopt:
		p.note(s, s.now)
	case Extend:
		fields, _ := s.now["fields"].([]any)
		_, err := p.site.Save(ctx, s.DocType, s.Name, map[string]any{"fields": append(slices.Clone(fields), s.missing...)})
		return err
	case Remove:
		if err := p.site.Delete(ctx, s.DocType, s.entry.name()); err != nil {
			return err
		}
		delete(p.record.entries, s.key())
	case Forget:
		delete(p.record.entries, s.key())
	}
	return nil
}

// note keeps what a document has now. Roles and the module are as good as anybody's.
func (p *Plan) note(s Step, now map[string]any) {
	if s.DocType == "Role" || s.DocType == "Module Def" {
		return
	}
	e := &entry{DocType: s.DocType, Name: s.Name, Shipped: s.document.hash(), Print: printOf(s.document.Fields, now)}
	if name, _ := now["name"].(string); name != s.Name {
		e.As = name
	}
	p.record.entries[s.key()] = e
}

// PrepareRemoval says what an uninstallation would do: everything goes that was brought, but for the DocTypes with their
// rows, the roles that people have, and the record of them, unless data is true. Roles stay then as well.
func PrepareRemoval(ctx context.Context, site Site, data bool) (*Plan, error) {
	all, err := Load()
	if err != nil {
		return nil, err
	}
	return prepareRemoval(ctx, site, all, data)
}

func prepareRemoval(ctx context.Context, site Site, all []Document, data bool) (*Plan, error) {
	r, err := readRecord(ctx, site)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Tenant: r.tenant, site: site, record: r}
	// In the order against that of their import, what is shipped no more first.
	order := map[string]int{}
	for i, d := range all {
		order[d.key()] = len(all) - i
	}
	keys := sortedKeys(r.entries)
	slices.SortStableFunc(keys, func(a, b string) int { return order[a] - order[b] })
	for _, key := range keys {
		e := r.entries[key]
		if stays(e.DocType) && !data {
			continue
		}
		step := Step{Action: Remove, DocType: e.DocType, Name: e.Name, entry: e}
		now, err := site.Get(ctx, e.DocType, e.name())
		switch {
		case err != nil:
			return nil, err
		case now == nil:
			step.Action = Forget
		case e.DocType == "DocType" && !custom(now):
			step.Action, step.Why = Forget, "an app has it now"
		case len(e.Print.changed(now)) > 0 && !e.Pending:
			step.Why = "also what somebody changed in it"
		}
		plan.Steps = append(plan.Steps, step)
	}
	return plan, nil
}

// Rows counts the documents that a removal with data takes along, by DocType.
func (p *Plan) Rows(ctx context.Context) (map[string]int, error) {
	rows := map[string]int{}
	for _, s := range p.Steps {
		if s.Action != Remove || s.DocType != "DocType" || s.Name == installation {
			continue
		}
		n, err := p.site.Count(ctx, s.Name)
		if err != nil {
			return nil, err
		}
		rows[s.Name] = n
	}
	return rows, nil
}
