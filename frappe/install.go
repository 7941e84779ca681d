package frappe

import "context"

// InstallOptions says what Install adds beside the tables.
type InstallOptions struct {
	Samples bool // the Job Types echo_job, sample_job and long_running_job
}

// InstallReport says what Install did. Names are table names, indexes are "table.index".
type InstallReport struct {
	Created      []string
	Kept         []string
	IndexesAdded []string
	JobTypes     []string // inserted
}

// TableProblem is something CheckTables found missing.
type TableProblem struct {
	Table   string
	Column  string // "" when it isn't about a column
	Index   string // "" when it isn't about an index
	Problem string
	Fix     string // what to do
	Fatal   bool   // the bridge can't work with it
}

// Install creates the tables a site lacks and adds missing indexes to the ones it has. Existing tables are otherwise left
// as they are. On a database without Frappe it also creates the few core tables that the bridge reads.
func Install(ctx context.Context, site *Site, opts InstallOptions) (InstallReport, error) {
	return InstallReport{}, errNotBuilt
}

// CheckTables compares a site's tables with what the bridge needs; nothing is changed.
func CheckTables(ctx context.Context, site *Site) ([]TableProblem, error) { return nil, errNotBuilt }
