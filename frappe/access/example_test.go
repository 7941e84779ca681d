package access_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

func ExampleDirectory_Members() {
	ctx := context.Background()
	bench, err := frappe.OpenBench("/home/frappe/frappe-bench", frappe.Options{})
	if err != nil {
		return
	}
	pool := rows.NewPool(bench)
	defer pool.Close()
	db, err := pool.DB(ctx, "site1.localhost")
	if err != nil {
		return
	}
	users, err := access.New(db).Members(ctx, "ORG-2026-00001")
	if errors.Is(err, access.ErrNoMembership) {
		return // nobody can be asked
	}
	fmt.Println(users, err)
}
