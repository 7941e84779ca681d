package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// site is a site in memory. It normalizes as Frappe does, and adds what Frappe adds.
type site struct {
	all    map[string]map[string]any
	named  bool // it gives list filters their names, as REST does
	breaks int  // which change from now on it breaks off at, 0 for none
	writes int
}

var errBroken = errors.New("killed")

func newSite() *site { return &site{all: map[string]map[string]any{}} }

// copied is fields as they come back from JSON.
func copied(fields map[string]any) (c map[string]any) {
	text, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		panic(err)
	}
	return c
}

func (s *site) Get(_ context.Context, doctype, name string) (map[string]any, error) {
	found := s.all[doctype+" "+name]
	if found == nil {
		return nil, nil
	}
	return copied(found), nil
}

func (s *site) change() error {
	s.writes++
	if s.breaks--; s.breaks == 0 {
		return errBroken
	}
	return nil
}

func (s *site) Bring(_ context.Context, fields map[string]any) (map[string]any, error) {
	if err := s.change(); err != nil {
		return nil, err
	}
	now := copied(fields)
	name := now["name"].(string)
	if s.named && now["doctype"] == "List Filter" && s.all["List Filter "+name] == nil {
		name = "4f0c1a"
	}
	if text, ok := now["script"].(string); ok {
		now["script"] = strings.TrimSpace(text)
	}
	now["name"], now["modified"], now["idx"] = name, "2026-01-01", 0
	s.all[now["doctype"].(string)+" "+name] = now
	if now["issingle"] != nil {
		s.all[name+" "+name] = map[string]any{}
	}
	return copied(now), nil
}

func (s *site) Save(_ context.Context, doctype, name string, fields map[string]any) (map[string]any, error) {
	if err := s.change(); err != nil {
		return nil, err
	}
	maps.Copy(s.all[doctype+" "+name], copied(fields))
	return copied(s.all[doctype+" "+name]), nil
}

func (s *site) Delete(_ context.Context, doctype, name string) error {
	if err := s.change(); err != nil {
		return err
	}
	delete(s.all, doctype+" "+name)
	if doctype == "DocType" {
		delete(s.all, name+" "+name)
	}
	return nil
}

func (s *site) Count(context.Context, string) (int, error) { return 3, nil }
func (s *site) Forget(context.Context) error               { return nil }
func (s *site) Close() error                               { return nil }

func docType(name string, custom int, fields ...any) map[string]any {
	return map[string]any{"doctype": "DocType", "name": name, "custom": custom, "module": "Custom", "fields": fields}
}

func data(name string) any {
	return map[string]any{"fieldname": name, "fieldtype": "Data", "label": name}
}

// shippedWith is what is shipped for the DocTypes, with one script and one list filter.
func shippedWith(t *testing.T, scriptText string) []Document {
	t.Helper()
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(d Document) bool { return slices.Index(kinds, d.Kind) > slices.Index(kinds, "property_setter") })
	return append(all,
		Document{"client_script", "Client Script", "Try", map[string]any{
			"doctype": "Client Script", "name": "Try", "dt": "Background Job", "script": scriptText, "enabled": 1.0, "module": Module}},
		Document{"list_filter", "List Filter", "Mine", map[string]any{"doctype": "List Filter", "name": "Mine", "filters": "[]"}})
}

// install runs one installation and returns the steps that it planned, in words.
func install(t *testing.T, s *site, all []Document, o Options) (steps []string) {
	t.Helper()
	plan, err := prepare(t.Context(), s, all, o)
	return applied(t, plan, err)
}

func uninstall(t *testing.T, s *site, all []Document, data bool) (steps []string) {
	t.Helper()
	plan, err := prepareRemoval(t.Context(), s, all, data)
	return applied(t, plan, err)
}

// applied does what was planned.
func applied(t *testing.T, plan *Plan, err error) (steps []string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Apply(t.Context(), func(int, Step) {}); err != nil {
		t.Fatal(err)
	}
	for _, step := range plan.Steps {
		steps = append(steps, step.String())
	}
	return steps
}

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestInstallTwiceChangesNothing(t *testing.T) {
	s := newSite()
	s.named = true
	all := shippedWith(t, "one;\n")
	steps := install(t, s, all, Options{})
	for _, key := range []string{"Role Dartwing User", "DocType Background Job", "Client Script Try", "List Filter 4f0c1a"} {
		if s.all[key] == nil {
			t.Errorf("%s isn't there after %q", key, steps)
		}
	}
	before := s.writes
	want(t, "steps of a second installation", install(t, s, all, Options{}), nil)
	if s.writes != before {
		t.Errorf("a second installation made %d changes", s.writes-before)
	}
}

func TestInstallLeavesWhatPeopleChanged(t *testing.T) {
	s := newSite()
	install(t, s, shippedWith(t, "one;"), Options{})

	want(t, "a newer script", install(t, s, shippedWith(t, "two;"), Options{}), []string{"upgrade Client Script Try"})

	s.all["Client Script Try"]["enabled"] = 0
	want(t, "a changed script", install(t, s, shippedWith(t, "two;"), Options{}), []string{"leave Client Script Try: somebody changed enabled"})
	want(t, "a newer one of a changed script", install(t, s, shippedWith(t, "three;"), Options{}),
		[]string{"leave Client Script Try: there is a newer one, but somebody changed enabled"})
	want(t, "to overwrite it", install(t, s, shippedWith(t, "three;"), Options{Overwrite: true}), []string{"upgrade Client Script Try: somebody changed enabled"})
	if got := s.all["Client Script Try"]; got["script"] != "three;" || got["enabled"] != 1.0 {
		t.Errorf("the script is %v", got)
	}

	delete(s.all, "Client Script Try")
	want(t, "a deleted script", install(t, s, shippedWith(t, "three;"), Options{}), []string{"leave Client Script Try: somebody deleted it"})
	want(t, "to bring it back", install(t, s, shippedWith(t, "three;"), Options{Overwrite: true}), []string{"create Client Script Try: somebody deleted it"})
}

func TestInstallExtendsAChangedDocType(t *testing.T) {
	s := newSite()
	all := shippedWith(t, "")
	install(t, s, all, Options{})
	mine := s.all["DocType Job Type"]
	mine["title_field"] = "display_name"
	mine["fields"] = append(mine["fields"].([]any), data("mine"))

	for i, d := range all {
		if d.key() == "DocType Job Type" {
			all[i].Fields = maps.Clone(d.Fields)
			all[i].Fields["fields"] = append(slices.Clone(d.Fields["fields"].([]any)), data("newer"))
		}
	}
	want(t, "steps", install(t, s, all, Options{}), []string{"extend DocType Job Type: there is a newer one, but somebody changed fields"})
	for _, name := range []string{"mine", "newer"} {
		if fieldOf(s.all["DocType Job Type"], name) == nil {
			t.Errorf("the DocType has no field %s", name)
		}
	}
	if got := install(t, s, all, Options{}); len(got) != 1 || !strings.HasPrefix(got[0], "leave DocType Job Type") {
		t.Errorf("steps afterwards are %q", got)
	}
}

func TestInstallBesideAnApp(t *testing.T) {
	s := newSite()
	all := shippedWith(t, "")
	for _, d := range all {
		if d.Kind == "doctype" && d.Name != installation {
			app := copied(d.Fields)
			app["custom"], app["module"] = 0, "Dartwing Core"
			for _, field := range app["fields"].([]any) {
				delete(field.(map[string]any), "read_only")
			}
			app["fields"] = slices.DeleteFunc(app["fields"].([]any), func(field any) bool { return field.(map[string]any)["fieldname"] == "log_tail" })
			s.all[d.key()] = copied(app)
		}
	}
	before := copied(s.all["DocType Background Job"])
	install(t, s, all, Options{})
	if diff := cmp.Diff(before, s.all["DocType Background Job"]); diff != "" {
		t.Errorf("the app's DocType is another now:\n%s", diff)
	}
	for _, key := range []string{"Property Setter Background Job-started_at-read_only", "Property Setter Background Job-main-sort_order",
		"Custom Field Background Job-log_tail"} {
		if s.all[key] == nil {
			t.Errorf("there is no %s", key)
		}
	}
	if s.all["Property Setter Background Job-job_type-read_only_depends_on"] != nil {
		t.Error("a Property Setter says what the DocType says by itself")
	}
	if s.all["Custom Field Background Job-progress"] != nil {
		t.Error("a field that the app has is brought")
	}
	steps := uninstall(t, s, all, true)
	for key := range s.all {
		if strings.HasPrefix(key, "Property Setter") || strings.HasPrefix(key, "Custom Field") || strings.HasPrefix(key, "Client Script") {
			t.Errorf("%s outlasted the removal %q", key, steps)
		}
	}
	if s.all["DocType Background Job"] == nil {
		t.Error("the app's DocType is gone")
	}
}

// TestAnAppTakesOver: an app that brings the same DocTypes is installed after us.
func TestAnAppTakesOver(t *testing.T) {
	s := newSite()
	all := shippedWith(t, "")
	install(t, s, all, Options{})
	for _, key := range []string{"DocType Background Job", "DocType Organization"} {
		s.all[key]["custom"], s.all[key]["module"] = 0, "Dartwing Core"
	}
	want(t, "steps", install(t, s, all, Options{}), []string{
		"forget DocType Organization: an app has it now", "forget DocType Background Job: an app has it now"})
	uninstall(t, s, all, true)
	if s.all["DocType Background Job"] == nil || s.all["DocType Job Type"] != nil {
		t.Errorf("a removal with data leaves %v", sortedKeys(s.all))
	}
}

func TestSomebodyElsesDocTypeIsRefused(t *testing.T) {
	s := newSite()
	s.all["DocType Job Type"] = docType("Job Type", 1, data("type_name"), map[string]any{"fieldname": "is_enabled", "fieldtype": "Data"}, data("colour"))
	_, err := prepare(t.Context(), s, shippedWith(t, ""), Options{})
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.DocType != "Job Type" || !slices.Contains(refused.Different, "is_enabled is Data, not Check") ||
		!slices.Contains(refused.Different, "it lacks handler_method (Data)") {
		t.Fatalf("error is %v", err)
	}
	if s.writes > 0 {
		t.Errorf("%d changes were made", s.writes)
	}
}

func TestDocTypesFromOtherHands(t *testing.T) {
	for name, c := range map[string]struct {
		change func(job map[string]any)
		want   string
	}{
		"the same":           {func(map[string]any) {}, "adopt DocType Job Type"},
		"an earlier version": {func(d map[string]any) { d["fields"] = d["fields"].([]any)[:5] }, "upgrade DocType Job Type: it was imported by hand"},
		"more fields":        {func(d map[string]any) { d["fields"] = append(d["fields"].([]any), data("colour")) }, "leave DocType Job Type: somebody else made it, with all the fields that are needed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			all := shippedWith(t, "")
			i := slices.IndexFunc(all, func(d Document) bool { return d.key() == "DocType Job Type" })
			theirs := copied(all[i].Fields)
			c.change(theirs)
			if name != "the same" {
				theirs["module"] = "Custom"
			}
			s.all["DocType Job Type"] = theirs
			if got := install(t, s, all, Options{}); !slices.Contains(got, c.want) {
				t.Errorf("steps are %q, want among them %q", got, c.want)
			}
		})
	}
}

func TestSomebodyElsesScriptIsLeft(t *testing.T) {
	s := newSite()
	s.all["Client Script Try"] = map[string]any{"name": "Try", "script": "theirs"}
	if got := install(t, s, shippedWith(t, "ours"), Options{}); !slices.Contains(got, "leave Client Script Try: somebody else made one of this name") {
		t.Errorf("steps are %q", got)
	}
	uninstall(t, s, shippedWith(t, "ours"), false)
	if s.all["Client Script Try"]["script"] != "theirs" {
		t.Error("a removal took somebody else's script")
	}
}

// TestBrokenOffAnywhere: whatever change an installation or a removal is killed at, running it again completes it.
func TestBrokenOffAnywhere(t *testing.T) {
	all := shippedWith(t, "one;")
	whole := newSite()
	install(t, whole, all, Options{})
	installs := whole.writes
	uninstall(t, whole, all, true)
	removals := whole.writes - installs
	for n := 1; n <= installs; n++ {
		t.Run(fmt.Sprint("install at ", n), func(t *testing.T) {
			s := newSite()
			s.breaks = n
			breakOff(t, s, func() (*Plan, error) { return prepare(t.Context(), s, all, Options{}) })
			install(t, s, all, Options{})
			want(t, "steps afterwards", install(t, s, all, Options{}), nil)
			uninstall(t, s, all, true)
			onlyRoles(t, s)
		})
	}
	for n := 1; n <= removals; n++ {
		t.Run(fmt.Sprint("uninstall at ", n), func(t *testing.T) {
			s := newSite()
			install(t, s, all, Options{})
			s.breaks = n
			breakOff(t, s, func() (*Plan, error) { return prepareRemoval(t.Context(), s, all, true) })
			again := &site{all: maps.Clone(s.all)}
			uninstall(t, s, all, true)
			onlyRoles(t, s)
			// Or somebody wants it after all.
			install(t, again, all, Options{})
			want(t, "steps after an installation", install(t, again, all, Options{}), nil)
			if again.all["Client Script Try"] == nil {
				t.Error("the script isn't back")
			}
		})
	}
}

func breakOff(t *testing.T, s *site, prepare func() (*Plan, error)) {
	t.Helper()
	plan, err := prepare()
	if err == nil {
		// A process that is killed writes nothing down any more.
		killed := &killed{Site: s}
		plan.site = killed
		err = plan.Apply(t.Context(), func(int, Step) {})
	}
	if !errors.Is(err, errBroken) {
		t.Fatalf("error is %v, want it broken off", err)
	}
	s.breaks = 0
}

// killed is a site whose first failed change is the last.
type killed struct {
	Site
	dead bool
}

func (k *killed) after(err error) error {
	k.dead = k.dead || err != nil
	return err
}

func (k *killed) Bring(ctx context.Context, fields map[string]any) (map[string]any, error) {
	if k.dead {
		return nil, errBroken
	}
	now, err := k.Site.Bring(ctx, fields)
	return now, k.after(err)
}

func (k *killed) Save(ctx context.Context, doctype, name string, fields map[string]any) (map[string]any, error) {
	if k.dead {
		return nil, errBroken
	}
	now, err := k.Site.Save(ctx, doctype, name, fields)
	return now, k.after(err)
}

func (k *killed) Delete(ctx context.Context, doctype, name string) error {
	if k.dead {
		return errBroken
	}
	return k.after(k.Site.Delete(ctx, doctype, name))
}

func onlyRoles(t *testing.T, s *site) {
	t.Helper()
	for key := range s.all {
		if !strings.HasPrefix(key, "Role ") && !strings.HasPrefix(key, "Module Def ") {
			t.Errorf("%s is still there", key)
		}
	}
}

func TestUninstallKeepsTheDocTypes(t *testing.T) {
	s := newSite()
	all := shippedWith(t, "one;")
	install(t, s, all, Options{})
	s.all["Client Script Try"]["enabled"] = 0
	steps := uninstall(t, s, all, false)
	if !slices.Contains(steps, "remove Client Script Try: also what somebody changed in it") {
		t.Errorf("steps are %q", steps)
	}
	for _, key := range []string{"DocType Background Job", "DocType " + installation, "Role Dartwing User"} {
		if s.all[key] == nil {
			t.Errorf("%s is gone", key)
		}
	}
	want(t, "steps of a second removal", uninstall(t, s, all, false), nil)
	s.all["DocType Job Type"]["title_field"] = "mine"
	if got := install(t, s, all, Options{}); !slices.Contains(got, "leave DocType Job Type: somebody changed title_field") && s.all["DocType Job Type"]["title_field"] != "mine" {
		t.Errorf("an installation afterwards forgot what people changed: %q", got)
	}
	if s.all["Client Script Try"] == nil {
		t.Error("the script isn't back")
	}
}

func TestWhatIsShippedNoMoreGoes(t *testing.T) {
	s := newSite()
	all := shippedWith(t, "one;")
	install(t, s, all, Options{})
	without := slices.DeleteFunc(slices.Clone(all), func(d Document) bool { return d.Kind == "client_script" || d.Kind == "list_filter" })
	s.all["List Filter Mine"]["filters"] = "[1]"
	want(t, "steps", install(t, s, without, Options{}), []string{
		"remove Client Script Try", "leave List Filter Mine: it isn't needed any more, but somebody changed it"})
}

func TestTenant(t *testing.T) {
	company := docType("Company", 0, data("company_name"))
	t.Run("of the site's", func(t *testing.T) {
		s := newSite()
		s.all["DocType Company"] = company
		all := shippedWith(t, "")
		install(t, s, all, Options{Tenant: "Company"})
		for _, name := range []string{"Background Job", "Job Execution Log"} {
			if got := fieldOf(s.all["DocType "+name], "organization")["options"]; got != "Company" {
				t.Errorf("the organization of %s is a link to %v", name, got)
			}
		}
		if s.all["DocType Organization"] != nil {
			t.Error("a DocType Organization was made")
		}
		want(t, "steps without the flag", install(t, s, all, Options{}), nil)
	})
	t.Run("that isn't there", func(t *testing.T) {
		if _, err := prepare(t.Context(), newSite(), shippedWith(t, ""), Options{Tenant: "Company"}); err == nil || !strings.Contains(err.Error(), "the site has no DocType Company") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("against an app's", func(t *testing.T) {
		s := newSite()
		s.all["DocType Company"] = company
		s.all["DocType Background Job"] = docType("Background Job", 0, map[string]any{"fieldname": "organization", "fieldtype": "Link", "options": "Organization"})
		if _, err := prepare(t.Context(), s, shippedWith(t, ""), Options{Tenant: "Company"}); err == nil || !strings.Contains(err.Error(), "belong to Organization") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("an Organization of the site's own", func(t *testing.T) {
		s := newSite()
		s.all["DocType Organization"] = docType("Organization", 1, data("title"))
		install(t, s, shippedWith(t, ""), Options{})
		if fieldOf(s.all["DocType Organization"], "title") == nil {
			t.Error("it was replaced")
		}
	})
}
