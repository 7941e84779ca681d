package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// fillSite installs the tables, and adds what a Dartwing site has: two organizations with a member each.
func (s *stage) fillSite(ctx context.Context) error {
	// A bench of its own: an open one would go on with the time zone that the empty site had.
	b, err := benchconfig.Open(s.dir, nil)
	if err != nil {
		return err
	}
	site, err := b.Site(siteName)
	if err != nil {
		return err
	}
	db, err := rows.Open(ctx, site)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := rows.Install(ctx, db, rows.InstallOptions{Samples: true}); err != nil {
		return err
	}
	if _, err := db.InsertJobTypes(ctx, []rows.JobType{reportType}); err != nil {
		return err
	}
	return s.addPeople(ctx)
}

// addPeople writes what a Dartwing site has and the bridge only reads.
func (s *stage) addPeople(ctx context.Context) error {
	db, err := sql.Open("mysql", s.mariadb.UserDSN(dbName, dbName, dbPassword))
	if err != nil {
		return err
	}
	defer db.Close()
	// The producer writes times of the site, as a bench's processes do.
	if _, err := db.ExecContext(ctx, "INSERT INTO `tabSingles` (`doctype`, `field`, `value`) VALUES ('System Settings', 'time_zone', 'UTC')"); err != nil {
		return fmt.Errorf("set the site's time zone: %w", err)
	}
	for _, p := range people {
		for _, d := range []document{
			{"Organization", p.Organization, map[string]string{"org_name": p.Organization, "org_type": "Company", "status": "Active"}},
			{"User", p.User, map[string]string{"email": p.User}},
			{"Person", "person-" + p.key, map[string]string{"frappe_user": p.User, "primary_email": p.User}},
			{"Org Member", "member-" + p.key, map[string]string{"person": "person-" + p.key, "organization": p.Organization, "status": "Active"}},
		} {
			if err := d.insert(ctx, db); err != nil {
				return err
			}
		}
	}
	return nil
}

// document is a row of a DocType's table.
type document struct {
	doctype, name string
	values        map[string]string
}

func (d document) insert(ctx context.Context, db *sql.DB) error {
	columns, marks, args := "`name`, `creation`, `modified`, `owner`, `modified_by`", "?, NOW(6), NOW(6), 'Administrator', 'Administrator'", []any{d.name}
	for column, value := range d.values {
		columns, marks, args = columns+", `"+column+"`", marks+", ?", append(args, value)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO `tab"+d.doctype+"` ("+columns+") VALUES ("+marks+")", args...); err != nil {
		return fmt.Errorf("insert %s %s: %w", d.doctype, d.name, err)
	}
	return nil
}
