package frappe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrNoSuchSite says that the bench has no site of that name.
var ErrNoSuchSite = errors.New("no such site")

// Site is one site of a bench, with its merged configuration. Safe for concurrent use.
type Site struct {
	Name  string
	Bench *Bench

	mu         sync.Mutex
	file       watchedFile
	generation int // of the bench's file that config was merged from
	config     Config
}

// Sites lists the bench's sites by name: directories, not symlinks, with a site_config.json (utils get_sites).
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
// *ConfigError when its configuration is broken, another error when the file system can't tell now. The same value is returned each time.
func (b *Bench) Site(name string) (*Site, error) {
	if !isSiteName(name) {
		return nil, fmt.Errorf("%w: %.*q is not the name of a site", ErrNoSuchSite, MaxSiteName, name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sites[name]
	if s == nil {
		s = &Site{Name: name, Bench: b, file: watchedFile{path: filepath.Join(b.SitesDir, name, siteFile)}}
	}
	b.currentConfig()
	if err := s.refresh(b.generation); err != nil {
		return nil, err
	}
	b.sites[name] = s
	return s, nil
}

// MaxSiteName is how many bytes the name of a directory has at most.
const MaxSiteName = 255

// isSiteName reports whether a name can be that of a directory among the sites. A file system's answer to one that can't
// says nothing of the site: it might pass.
func isSiteName(name string) bool {
	return name != "" && len(name) <= MaxSiteName && name == filepath.Base(name) && !strings.HasPrefix(name, ".") && !strings.Contains(name, "\x00")
}

// refresh rereads the site's file if it changed. A broken one leaves the last good content. Needs the bench's lock.
func (s *Site) refresh(generation int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Also behind a symlink, as of a volume or an alias: Frappe leaves those out of its list and works with them.
	info, err := os.Stat(s.file.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%w: there is no %s; run: bench new-site %s", ErrNoSuchSite, s.file.path, s.Name)
	case err != nil:
		return fmt.Errorf("site %s can't be looked at now: %w", s.Name, err)
	}
	changed, err := s.file.reload()
	if err != nil {
		if s.config == nil {
			return err
		}
		s.Bench.complain(err)
		return nil
	}
	if changed || s.config == nil || s.generation != generation {
		s.generation = generation
		s.config = s.Bench.common.config.overlaid(s.file.config).withEnvironment(s.Bench.Major)
	}
	return nil
}

// ConfigFile is the path of the site's own configuration.
func (s *Site) ConfigFile() string { return s.file.path }

// Config is the site's configuration in Frappe's merge order: common file, site's file, environment, defaults. It is
// what Bench.Site last read. Don't change the map.
func (s *Site) Config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// DBName is the schema name, which is also the prefix of the site's cache keys.
func (s *Site) DBName() string { return s.Config().String("db_name", "") }

// MaintenanceMode reports whether the site's tables may be altered right now, as bench migrate does.
func (s *Site) MaintenanceMode() bool { return s.Config().Bool("maintenance_mode") }

// Warnings are oddities of the site's configuration that an operator should know, each with what to do.
func (s *Site) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.warnings(s.file.config)
}
