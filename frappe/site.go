package frappe

import (
	"context"
	"errors"
	"time"
)

// ErrNoSuchSite says that the bench has no site of that name.
var ErrNoSuchSite = errors.New("no such site")

// Site is one site of a bench: its merged configuration, and its database once somebody asks for it.
type Site struct{ Name string }

// Config is the site's configuration in Frappe's merge order. Don't change it.
func (s *Site) Config() Config { return nil }

// DBName is the schema name, which is also the prefix of the site's cache keys.
func (s *Site) DBName() string { return "" }

// DB opens the site's pool on first use.
func (s *Site) DB(ctx context.Context) (*DB, error) { return nil, errNotBuilt }

// Location is the site's time zone: System Settings time_zone, Asia/Kolkata where that is empty.
func (s *Site) Location(ctx context.Context) (*time.Location, error) { return nil, errNotBuilt }

// Now is the current time in the site's zone, to the microsecond and never on a full second. While the database can't
// be asked for the zone it is the default one's.
func (s *Site) Now(ctx context.Context) time.Time { return time.Now() }

// MaintenanceMode reports whether the site's tables may be altered right now; the bridge holds its jobs then.
func (s *Site) MaintenanceMode() bool { return false }

// InstalledApps lists the apps installed on the site, as Frappe keeps them in tabDefaultValue.
func (s *Site) InstalledApps(ctx context.Context) ([]string, error) { return nil, errNotBuilt }

// Warnings are oddities of the site's configuration that an operator should know.
func (s *Site) Warnings() []string { return nil }
