package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// look finds out what this bench and site have.
func (b *bed) look(ctx context.Context) error {
	var site struct {
		Documents, Scripts bool
	}
	err := b.python.do(ctx, `
documents = hasattr(frappe, "get_doc")
scripts = False
if documents:
    from frappe.utils import safe_exec
    scripts = bool(getattr(safe_exec, "is_safe_exec_enabled", lambda: frappe.conf.get("server_script_enabled"))())
answer = {"documents": documents, "scripts": scripts}
`, nil, &site)
	if err != nil {
		return err
	}
	if !site.Documents {
		b.missing[documents] = "this Python has a stand-in for Frappe, without documents"
		b.missing[manager] = b.missing[documents]
	}
	if !site.Scripts {
		b.missing[scripts] = "Server Scripts are switched off; bench set-config -g server_script_enabled 1"
	}
	if !b.maintenance {
		b.missing[maintenance] = "not asked for: --maintenance"
	}
	if !b.migrate {
		b.missing[migrate] = "not asked for: --migrate"
	}
	b.lookForBrowser(ctx)
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return err
	}
	problems, err := rows.CheckTables(ctx, db)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(problems, func(p rows.TableProblem) bool { return p.Fatal }) {
		b.missing[tables] = "the site lacks tables: bridge install --site " + b.site
	}
	b.lookAtServers(ctx)
	return nil
}

// organization is the one whose jobs are submitted.
const organization = "BRIDGE-ACCEPTANCE"

// makeUsers makes the users, and an organization to which the other one belongs too.
func (b *bed) makeUsers(ctx context.Context) error {
	made := map[string]*user{"owner": &b.owner, "other": &b.other, "manager": &b.manager}
	if b.missing[documents] != "" {
		if b.owner.name == "" || b.other.name == "" {
			b.missing[users] = "no users: pass --owner and --other"
		}
		delete(made, "manager")
	}
	for short, u := range made {
		if u.name != "" || b.missing[documents] != "" {
			continue
		}
		*u = user{name: name + "-" + short + "@example.com", key: newID("key"), secret: newID("secret")}
		err := b.python.do(ctx, `
frappe.flags.in_import = True  # the limit of new users an hour is not for us
u = frappe.new_doc("User")
u.update({"email": args["name"], "first_name": "Bridge Acceptance", "send_welcome_email": 0, "api_key": args["key"], "api_secret": args["secret"]})
for role in args["roles"]:
    if frappe.db.exists("Role", role):
        u.append("roles", {"role": role})
u.flags.no_welcome_mail = True
u.insert(ignore_permissions=True)
`, values{"name": u.name, "key": u.key, "secret": u.secret, "roles": rolesOf[short]}, nil)
		if err != nil {
			return fmt.Errorf("make the user %s: %w", u.name, err)
		}
	}
	if b.missing[tables] != "" {
		return nil
	}
	return b.python.do(ctx, `
if not hasattr(frappe, "get_doc"):  # a stand-in for Frappe, whose users nobody made
    for user in args["members"]:
        insert("User", user, email=user)
insert("Organization", args["name"], org_name=args["name"], org_type="Family", status="Active", naming_series="ORG-.YYYY.-")
if has_table("Person") and has_table("Org Member"):
    for i, user in enumerate(args["members"]):
        person = f'{args["name"]}-{i}'
        insert("Person", person, frappe_user=user, primary_email=user, first_name="Bridge", last_name="Acceptance", source="import", status="Active")
        insert("Org Member", person, person=person, organization=args["name"], status="Active")
elif has_table("User Permission") and frappe.db.sql("select name from tabDocType where name='Organization'"):
    for user in args["members"]:
        insert("User Permission", f'{args["name"]}-{user}', user=user, allow="Organization", for_value=args["name"], apply_to_all_doctypes=1)
`, values{"name": organization, "members": []string{b.owner.name, b.other.name}}, nil)
}

// rolesOf are the roles of the users that are made. Inbox User makes a System User of somebody with no other right.
var rolesOf = map[string][]string{
	"owner": {"Inbox User", "Dartwing User"}, "other": {"Inbox User", "Dartwing User"}, "manager": {"System Manager"},
}

// makeJobTypes makes the Job Types that the own worker has handlers for.
func (b *bed) makeJobTypes(ctx context.Context) error {
	if b.missing[tables] != "" {
		return nil
	}
	db, err := b.pool.DB(ctx, b.site)
	if err != nil {
		return err
	}
	task := rows.JobType{
		TypeName: taskType, DisplayName: "Bridge Acceptance", Description: "Made by the acceptance program, which removes it.", Enabled: true,
		HandlerMethod: "bridge_acceptance.jobs.task", DefaultTimeout: 60, DefaultPriority: rows.PriorityNormal, MaxRetries: 3, RateLimitWindow: 60,
	}
	short := task
	short.TypeName, short.HandlerMethod, short.DefaultTimeout, short.MaxRetries = shortType, "bridge_acceptance.jobs.short", shortTimeout, 0
	_, err = db.InsertJobTypes(ctx, []rows.JobType{task, short})
	return err
}

//go:embed sweep.py
var sweepCode string

// sweep removes everything that bears the mark, whoever made it. Nothing may work the marked jobs any more.
func (b *bed) sweep(ctx context.Context) error {
	if err := b.sweepJobs(ctx); err != nil {
		return err
	}
	return b.python.do(ctx, sweepCode, values{"mark": name + "%", "type": `bridge\_acceptance\_%`, "organization": organization + "%", "error": "%bridge_acceptance%"}, nil)
}

// sweepJobs removes the marked jobs from RQ, and the deliveries of the marked rows.
func (b *bed) sweepJobs(ctx context.Context) error {
	var ids []string
	const jobKey = "rq:job:"
	for keys := b.rdb.Scan(ctx, 0, jobKey+b.site+"*"+name+"-*", 1000).Iterator(); ; {
		if !keys.Next(ctx) {
			if err := keys.Err(); err != nil {
				return err
			}
			break
		}
		ids = append(ids, keys.Val()[len(jobKey):])
	}
	if b.missing[tables] == "" {
		db, err := b.pool.DB(ctx, b.site)
		if err != nil {
			return err
		}
		jobs, _, err := db.ListJobs(ctx, rows.ListFilter{Organization: organization, Limit: 1000})
		if err != nil {
			return err
		}
		for _, row := range jobs {
			if in, err := b.client.Inspect(ctx, b.site, row.Name); err == nil && in.Job != nil {
				ids = append(ids, in.Job.ID)
			}
		}
	}
	for _, id := range ids {
		if err := b.rq().Delete(ctx, id); err != nil && !errors.Is(err, rqcompat.ErrNoSuchJob) {
			return fmt.Errorf("delete the job %s: %w", id, err)
		}
	}
	return nil
}
