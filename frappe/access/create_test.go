package access

import (
	"testing"
)

// TestMayCreate is what roles give: those of the DocType, or of the desk where somebody made rules there.
func TestMayCreate(t *testing.T) {
	d, db, exec := newSite(t)
	install(t, db)
	may := func(d *Directory, user, doctype string, want bool) {
		t.Helper()
		if got, err := d.MayCreate(t.Context(), user, doctype); got != want || err != nil {
			t.Errorf("%s may create %s: %v, %v, want %v", user, doctype, got, err, want)
		}
	}
	may(d, "Ann@example.com", "Invoice", false) // without Frappe's permissions
	may(d, "Administrator", "Invoice", true)
	const columns = " (name varchar(140), parent varchar(140), role varchar(140), permlevel int, `create` int)"
	exec(someUsers, "UPDATE `tabUser` SET user_type=IF(name='bob@example.com','Website User','System User')",
		"CREATE TABLE `tabDocPerm`"+columns, "CREATE TABLE `tabCustom DocPerm`"+columns,
		"INSERT INTO `tabHas Role` (name,parent,parenttype,role) VALUES ('1','Ann@example.com','User','Accounts User'),('2','eve@example.com','User','Auditor'),('3','eve@example.com','Page','Accounts User')",
		"INSERT INTO `tabDocPerm` VALUES ('1','Invoice','Accounts User',0,1),('2','Invoice','Auditor',0,0),('3','Invoice','Auditor',1,1),('4','Note','All',0,1),('5','ToDo','Desk User',0,1),('6','Letter','Accounts User',0,1)",
		"INSERT INTO `tabCustom DocPerm` VALUES ('1','Letter','Auditor',0,1)")
	for doctype, users := range map[string][]string{
		"Invoice": {"Ann@example.com"}, "Note": {"Ann@example.com", "bob@example.com", "eve@example.com"},
		"ToDo": {"Ann@example.com", "eve@example.com"}, "Letter": {"eve@example.com"}, "Nothing": nil,
	} {
		for _, user := range []string{"Ann@example.com", "bob@example.com", "eve@example.com"} {
			want := false
			for _, u := range users {
				want = want || u == user
			}
			may(d, user, doctype, want)
		}
	}
	// What was refused is asked again at once.
	exec("INSERT INTO `tabHas Role` (name,parent,parenttype,role) VALUES ('4','bob@example.com','User','Accounts User')")
	may(d, "bob@example.com", "Invoice", true)
}
