package rows

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Table names.
const (
	tableJob          = "tabBackground Job"
	tableJobType      = "tabJob Type"
	tableJobSchedule  = "tabJob Schedule"
	tableLog          = "tabJob Execution Log"
	tableDependency   = "tabBackground Job Dependency"
	tableBatch        = "tabBackground Job Batch"
	tableOrganization = "tabOrganization"
	tablePerson       = "tabPerson"
	tableOrgMember    = "tabOrg Member"
	tablePause        = "tabBackground Job Pause"
	tableBreaker      = "tabJob Circuit Breaker"
	tableWithheld     = "tabWithheld Job Result"
)

// definitions are DocTypes in the form that `bench import-doc` takes; the tables are derived from them as Frappe does.
// Those in core are only the columns of Frappe's own DocTypes that are read here and in package access.
//
//go:embed doctype/*.json doctype/core/*.json
var definitions embed.FS

// importOrder has the files of the DocTypes, each after those that it links to.
var importOrder = []string{"organization", "job_type", "background_job_dependency", "background_job_batch", "background_job", "job_execution_log", "background_job_pause", "job_circuit_breaker", "withheld_job_result", "job_schedule"}

// DocTypes are the DocTypes of the tables that are kept here as Frappe's import_doc takes them, each after those that it
// links to.
func DocTypes() []json.RawMessage {
	var all []json.RawMessage
	for _, name := range importOrder {
		text, err := definitions.ReadFile("doctype/" + name + ".json")
		if err != nil {
			panic(err) // it is embedded
		}
		all = append(all, text)
	}
	return all
}

// docType is the part of a DocType that decides how its table looks.
type docType struct {
	Name      string     `json:"name"`
	Engine    string     `json:"engine"`
	IsTable   int        `json:"istable"`
	SortField string     `json:"sort_field"`
	Fields    []docField `json:"fields"`
}

type docField struct {
	Name        string `json:"fieldname"`
	Type        string `json:"fieldtype"`
	Length      int    `json:"length"`
	Default     string `json:"default"`
	Unique      int    `json:"unique"`
	SearchIndex int    `json:"search_index"`
}

func (d docType) table() string { return "tab" + d.Name }

// loadDocTypes reads the definitions of one embedded directory, by name.
func loadDocTypes(dir string) ([]docType, error) {
	files, err := fs.Glob(definitions, dir+"/*.json")
	if err != nil {
		return nil, fmt.Errorf("doctype definitions: %w", err)
	}
	var types []docType
	for _, file := range files {
		text, err := definitions.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("doctype definitions: %w", err)
		}
		var d docType
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("doctype definition %s: %w", path.Base(file), err)
		}
		types = append(types, d)
	}
	return types, nil
}

// createTable is the statement Frappe would send (database/mariadb/schema.py create; 15 and 16 differ in the width of
// Check and docstatus and in which of creation and modified gets an index).
func (d docType) createTable(major int, extra []index) string {
	check, docstatus, idx := "int(1)", "int(1)", "int(8)"
	if major >= 16 {
		check, docstatus, idx = "tinyint", "tinyint", "int"
	}
	lines := []string{
		"`name` varchar(140) PRIMARY KEY",
		"`creation` datetime(6)", "`modified` datetime(6)", "`modified_by` varchar(140)", "`owner` varchar(140)",
		"`docstatus` " + docstatus + " NOT NULL DEFAULT 0", "`idx` " + idx + " NOT NULL DEFAULT 0",
	}
	for _, f := range d.Fields {
		if def := f.column(check); def != "" {
			lines = append(lines, "`"+f.Name+"` "+def)
		}
	}
	if d.IsTable == 1 {
		lines = append(lines, "`parent` varchar(140)", "`parentfield` varchar(140)", "`parenttype` varchar(140)")
	} else {
		lines = append(lines, "`_user_tags` text", "`_comments` text", "`_assign` text", "`_liked_by` text")
	}
	for _, i := range append(d.indexes(major), extra...) {
		lines = append(lines, i.definition())
	}
	return fmt.Sprintf("CREATE TABLE `%s` (\n%s\n) ENGINE=%s ROW_FORMAT=DYNAMIC CHARACTER SET=utf8mb4 COLLATE=utf8mb4_unicode_ci",
		d.table(), strings.Join(lines, ",\n"), d.Engine)
}

// column is a field's type (database/mariadb/database.py setup_type_map), "" for fields without a column.
func (f docField) column(check string) string {
	var def string
	switch f.Type {
	case "Data", "Link", "Dynamic Link", "Select":
		def = fmt.Sprintf("varchar(%d)", cmp.Or(f.Length, 140))
	case "Text", "Small Text":
		return "text"
	case "Code":
		return "longtext"
	case "JSON":
		return "json"
	case "Datetime":
		return "datetime(6)"
	case "Int":
		return "int(11) NOT NULL DEFAULT " + f.number()
	case "Check":
		return check + " NOT NULL DEFAULT " + f.number()
	case "Percent":
		return "decimal(21,9) NOT NULL DEFAULT " + f.number()
	default:
		return ""
	}
	if f.Default != "" && !strings.HasPrefix(f.Default, "__") { // __user is for forms and code (model/create_new.py)
		def += " DEFAULT '" + strings.ReplaceAll(f.Default, "'", "''") + "'"
	}
	if f.Unique == 1 {
		def += " UNIQUE"
	}
	return def
}

func (f docField) number() string {
	n, _ := strconv.Atoi(f.Default) // 0 for anything else
	return strconv.Itoa(n)
}

// index is one index of a table. Its name is that of frappe.db.add_index, so that neither side makes a second one.
type index []string

func (i index) name() string {
	if len(i) == 1 {
		return i[0]
	}
	return strings.Join(i, "_") + "_index"
}

func (i index) definition() string {
	return "INDEX `" + i.name() + "` (`" + strings.Join(i, "`,`") + "`)"
}

// indexes are those Frappe makes by itself.
func (d docType) indexes(major int) []index {
	var list []index
	add := func(columns ...string) { list = append(list, columns) }
	for _, f := range d.Fields {
		if f.SearchIndex == 1 && f.Unique == 0 {
			add(f.Name)
		}
	}
	switch {
	case d.IsTable == 1:
		add("parent")
	case major >= 16:
		add("creation")
		if d.SortField == "modified" {
			add("modified")
		}
	default:
		add("modified")
		if d.SortField == "creation" {
			add("creation")
		}
	}
	return list
}

// neededIndexes are the ones that this package's queries, the desk's lists and the shipped documents live on. They all
// have two columns or more: Frappe drops a single-column index that its DocType doesn't know at the next migrate, and
// leaves composite ones alone. Each is written at each move of a row, so there is one for what several ask.
var neededIndexes = map[string][]index{
	tableJob: {
		{"job_hash", "creation"}, // duplicates
		// Due retries. Frappe asks for organizations in a way that no index serves (coalesce(organization,'')='' or …): with
		// the column here it needn't read the rows to count those of a status.
		{"status", "next_retry_at", "organization"},
		{"status", "modified"},                 // stale rows; lists, cards and reports by status and time
		{"organization", "status", "modified"}, // running and waiting jobs of a tenant; lists of one, in their order
		{"depends_on", "status"},               // dependents
		{"batch", "status", "organization"},    // what a batch counts, without reading its jobs
		{"owner", "status", "modified"},        // whoever may read his own only: his list and his cards
		{"job_type", "status", "modified"},     // lists of a type, and the figures on its form
	},
	tableDependency: {{"background_job", "parent"}}, // dependents
	tableLog: {
		{"background_job", "timestamp"}, // a job's history
		{"owner", "modified"},           // the list of whoever may read the log of his own jobs only
	},
	tableBreaker: {
		{"status", "modified"}, // those that are open, among those that ever were
	},
}

// covers reports whether an existing index (its columns in order) serves the one that is needed.
func (i index) covers(need index) bool {
	return len(i) >= len(need) && slices.EqualFunc(i[:len(need)], need, strings.EqualFold)
}
