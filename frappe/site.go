package frappe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNoSuchSite says that the bench has no site of that name.
var ErrNoSuchSite = errors.New("no such site")

// Site is one site of a bench: its merged configuration, and its database once somebody asks for it. Safe for
// concurrent use.
type Site struct {
	Name  string
	bench *Bench

	mu         sync.Mutex
	file       watchedFile
	generation int // of the bench's file that config was merged from
	config     Config

	// opening is taken while a connection is made, apart from mu: a server that doesn't answer must not hold up whoever
	// only wants to know the configuration.
	opening  chan struct{}
	db       *DB
	openKey  string // what db was opened with
	failed   error  // the last attempt to connect
	failedAt time.Time
}

// Sites lists the bench's sites by name: directories under sites/, not symlinks, that have a site_config.json
// (frappe/utils/__init__.py get_sites).
func (b *Bench) Sites() ([]string, error) {
	entries, err := os.ReadDir(b.SitesDir)
	if err != nil {
		return nil, fmt.Errorf("list sites: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && isFile(filepath.Join(b.SitesDir, e.Name(), siteFile)) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Site is a site of the bench, with its configuration as it is in the files now; ErrNoSuchSite when there is none, a
// *ConfigError when its configuration can't be read. The same value is returned each time.
func (b *Bench) Site(name string) (*Site, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, fmt.Errorf("%w: %q is not the name of a site", ErrNoSuchSite, name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fmt.Errorf("site %s: the bench is closed", name)
	}
	s := b.sites[name]
	if s == nil {
		s = &Site{Name: name, bench: b, file: watchedFile{path: filepath.Join(b.SitesDir, name, siteFile)}, opening: make(chan struct{}, 1)}
	}
	b.currentConfig()
	if err := s.refresh(b.generation); err != nil {
		return nil, err
	}
	b.sites[name] = s
	return s, nil
}

// refresh rereads the site's file if it changed. While it is broken the last good content stays in force. It needs the
// bench's lock.
func (s *Site) refresh(generation int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if info, err := os.Lstat(filepath.Dir(s.file.path)); err != nil || !info.IsDir() || !isFile(s.file.path) {
		return fmt.Errorf("%w: there is no %s; run: bench new-site %s", ErrNoSuchSite, s.file.path, s.Name)
	}
	changed, err := s.file.reload()
	if err != nil {
		if s.config == nil {
			return err
		}
		s.bench.complain(err)
		return nil
	}
	if changed || s.config == nil || s.generation != generation {
		s.generation = generation
		s.config = s.bench.common.config.overlaid(s.file.config).withEnvironment(s.bench.Major)
	}
	return nil
}

// Config is the site's configuration in Frappe's merge order: common file, site's file, environment, defaults. It is
// what Bench.Site last read. Don't change the map.
func (s *Site) Config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// DBName is the schema name, which is also the prefix of the site's cache keys.
func (s *Site) DBName() string { return s.Config().String("db_name", "") }

// MaintenanceMode reports whether the site's tables may be altered right now; the bridge holds its jobs then.
func (s *Site) MaintenanceMode() bool { return s.Config().Bool("maintenance_mode") }

// Warnings are oddities of the site's configuration that an operator should know, each with what to do.
func (s *Site) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(configWarnings(s.file.path, s.file.config), s.file.warnings()...)
}

// DB is the site's database, opened on first use and again after the configuration named another one. The errors are
// ErrUnavailable, ErrAccessDenied or ErrNoDatabase, wrapped with what to do.
func (s *Site) DB(ctx context.Context) (*DB, error) {
	cfg, err := s.databaseConfig()
	if err != nil {
		return nil, err
	}
	if err := s.lockOpening(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.opening }()
	if s.db != nil && s.openKey == cfg.key() {
		s.db.refreshZone(ctx)
		return s.db, nil
	}
	if s.failed != nil && time.Since(s.failedAt) < reconnectPause && s.openKey == cfg.key() {
		return nil, s.failed
	}
	db, err := openDB(ctx, s.Name, cfg, s.bench.logger)
	if s.db != nil {
		go s.db.x.Close() // waits for the statements that are still running
		s.db = nil
	}
	s.openKey = cfg.key()
	if err != nil {
		if ctx.Err() == nil {
			s.failed, s.failedAt = err, time.Now()
		}
		return nil, err
	}
	s.db, s.failed = db, nil
	return db, nil
}

// reconnectPause keeps a hundred jobs of one site from waiting in turn for a server that is away.
const reconnectPause = time.Second

func (s *Site) lockOpening(ctx context.Context) error {
	select {
	case s.opening <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("site %s: open the database: %w", s.Name, context.Cause(ctx))
	}
}

func (s *Site) close() error {
	s.opening <- struct{}{}
	defer func() { <-s.opening }()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return db.x.Close()
}

// Location is the site's time zone: System Settings time_zone, Asia/Kolkata where that is empty.
func (s *Site) Location(ctx context.Context) (*time.Location, error) {
	db, err := s.DB(ctx)
	if err != nil {
		return nil, fmt.Errorf("time zone of the site: %w", err)
	}
	return db.Location(), nil
}

// Now is the current time in the site's zone, to the microsecond and never on a full second. While the database can't
// be asked for the zone it is Frappe's default one.
func (s *Site) Now(ctx context.Context) time.Time {
	loc, err := s.Location(ctx)
	if err != nil {
		loc = defaultLocation()
	}
	return siteNow(loc)
}

// InstalledApps lists the apps installed on the site, as Frappe keeps them in tabDefaultValue.
func (s *Site) InstalledApps(ctx context.Context) ([]string, error) {
	db, err := s.DB(ctx)
	if err != nil {
		return nil, err
	}
	var texts []string
	err = db.read(ctx, "read the installed apps", func(ctx context.Context) error {
		texts = nil
		return db.x.SelectContext(ctx, &texts, "SELECT defvalue FROM `tabDefaultValue` WHERE parent='__global' AND defkey='installed_apps' AND defvalue IS NOT NULL LIMIT 1")
	})
	if err != nil || len(texts) == 0 {
		return nil, err
	}
	var apps []string
	if err := json.Unmarshal([]byte(texts[0]), &apps); err != nil {
		return nil, fmt.Errorf("installed apps of %s: %w", s.Name, err)
	}
	return apps, nil
}
