package frappe

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// QueueType is one kind of queue a bench has, with the timeout of jobs that name none.
type QueueType struct {
	Name    string
	Timeout int64 // seconds
}

// Options say how a bench is opened.
type Options struct {
	// Section is the key of common_site_config.json, and of a site's own file, whose object holds what the caller sets
	// right about a bench: frappe_version, rq_version, job_id_separator and, for rows, db_connections. "" is none.
	Section string
	// Log gets what can't be returned: a configuration file that became unreadable, text that was cut. nil discards it.
	Log *slog.Logger
}

// Bench is a bench directory: its configuration and its sites. Safe for concurrent use.
type Bench struct {
	Dir      string // absolute
	SitesDir string
	ID       string       // prefix of the bench's queues
	Major    int          // Frappe's major version, 0 when unknown
	Section  string       // of Options
	Log      *slog.Logger // of Options, never nil

	rqVersion string
	separator string

	mu         sync.Mutex
	common     watchedFile
	config     Config // common file with the environment on top
	generation int    // counts the changes of config
	sites      map[string]*Site
	told       map[string]bool // problems already logged
}

const (
	commonFile = "common_site_config.json"
	siteFile   = "site_config.json"
)

// ErrNotABench says that a directory isn't a bench.
var ErrNotABench = errors.New("not a bench")

// OpenBench reads the bench of a bench directory or sites directory. A broken configuration file is a *ConfigError.
func OpenBench(dir string, o Options) (*Bench, error) {
	root, sites, err := locateBench(dir)
	if err != nil {
		return nil, err
	}
	b := &Bench{Dir: root, SitesDir: sites, Section: o.Section, Log: o.Log, sites: map[string]*Site{}, told: map[string]bool{}}
	if b.Log == nil {
		b.Log = slog.New(slog.DiscardHandler)
	}
	b.common.path = filepath.Join(sites, commonFile)
	if _, err := b.common.reload(); err != nil {
		return nil, err
	}
	own := b.common.config.Object(o.Section)
	if b.Major, err = majorVersion(own, root); err != nil {
		return nil, fmt.Errorf("%s: %s.%w", b.common.path, o.Section, err)
	}
	b.rqVersion = own.String("rq_version", installedRQ(root))
	if b.separator, err = jobIDSeparator(own, b.Major, b.rqVersion); err != nil {
		return nil, fmt.Errorf("%s: %s.%w", b.common.path, o.Section, err)
	}
	b.config = b.common.config.withEnvironment(b.Major)
	b.ID = benchID(b.config, root)
	return b, nil
}

func locateBench(dir string) (root, sites string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", "", fmt.Errorf("bench directory %q: %w", dir, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", "", fmt.Errorf("bench directory: %w", err)
	}
	if !info.IsDir() {
		return "", "", fmt.Errorf("%w: %s is a file; name the directory that holds apps/ and sites/", ErrNotABench, abs)
	}
	if isDir(filepath.Join(abs, "sites")) {
		return abs, filepath.Join(abs, "sites"), nil
	}
	if isSitesDir(abs) {
		return filepath.Dir(abs), abs, nil
	}
	return "", "", fmt.Errorf("%w: %s has neither sites/ nor %s; name the directory that holds apps/ and sites/", ErrNotABench, abs, commonFile)
}

func isSitesDir(dir string) bool {
	for _, mark := range []string{commonFile, "apps.txt", filepath.Join("*", siteFile)} {
		if found, _ := filepath.Glob(filepath.Join(dir, mark)); len(found) > 0 {
			return true
		}
	}
	return false
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// benchID is get_bench_id of frappe/utils/__init__.py (15, 16), byte for byte: with another one, Python and Go would
// work different queues without any error.
func benchID(c Config, root string) string {
	if id, ok := c["bench_id"].(string); ok {
		return id
	}
	path := cmp.Or(os.Getenv("FRAPPE_BENCH_ROOT"), resolvedRoot(root))
	return strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
}

// resolvedRoot is what Frappe takes for its bench: three levels above its package, symlinks resolved on the way. With
// apps/frappe a symlink that is not the directory one thinks of.
func resolvedRoot(root string) string {
	if pkg, err := filepath.EvalSymlinks(filepath.Join(root, "apps", "frappe", "frappe")); err == nil {
		return filepath.Dir(filepath.Dir(filepath.Dir(pkg)))
	}
	if real, err := filepath.EvalSymlinks(root); err == nil {
		return real
	}
	return root
}

var versionLine = regexp.MustCompile(`(?m)^__version__\s*=\s*["']v?(\d+)`)

// majorVersion is Frappe's major version: as configured, else from the source of the frappe app, else 0.
func majorVersion(own Config, root string) (int, error) {
	if v := own.String("frappe_version", ""); v != "" {
		text, _, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
		n, err := strconv.Atoi(text)
		if err != nil || n < 13 {
			return 0, fmt.Errorf(`frappe_version is %q; write the major version, as in "15"`, v)
		}
		return n, nil
	}
	// Without the source, m is nil.
	text, _ := os.ReadFile(filepath.Join(root, "apps", "frappe", "frappe", "__init__.py"))
	m := versionLine.FindSubmatch(text)
	if m == nil {
		return 0, nil
	}
	return strconv.Atoi(string(m[1]))
}

// installedRQ is the version of the rq distribution in the bench's virtual environment.
func installedRQ(root string) string {
	found, _ := filepath.Glob(filepath.Join(root, "env", "lib", "python*", "site-packages", "rq-*.dist-info"))
	if len(found) == 0 {
		return ""
	}
	name := filepath.Base(slices.Max(found))
	return strings.TrimSuffix(strings.TrimPrefix(name, "rq-"), ".dist-info")
}

// jobIDSeparator stands between site and id. Frappe changed it together with the move to RQ 2; where the installed rq
// is known it decides, because 16.0.0-dev existed with both.
func jobIDSeparator(own Config, major int, rq string) (string, error) {
	if s := own.String("job_id_separator", ""); s != "" {
		if s != "::" && s != "||" {
			return "", fmt.Errorf(`job_id_separator is %q; it must be "::" (Frappe 15) or "||" (Frappe 16)`, s)
		}
		return s, nil
	}
	two := major >= 16
	head, _, _ := strings.Cut(rq, ".")
	if n, err := strconv.Atoi(head); err == nil {
		two = n >= 2
	}
	if two {
		return "||", nil
	}
	return "::", nil
}

// Config is the bench-wide configuration with the environment on top, as it is in the file now. While the file is
// broken the last good one stays in force. Don't change the map.
func (b *Bench) Config() Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.currentConfig()
}

// currentConfig needs b.mu.
func (b *Bench) currentConfig() Config {
	changed, err := b.common.reload()
	if err != nil {
		b.complain(err)
	} else if changed {
		b.config = b.common.config.withEnvironment(b.Major)
		b.generation++
	}
	return b.config
}

// complain logs a problem once. It needs b.mu.
func (b *Bench) complain(err error) {
	if b.told[err.Error()] {
		return
	}
	b.told[err.Error()] = true
	b.Log.Error("configuration unreadable, keeping the last good one", "error", err)
}

// Warnings are oddities of the bench's configuration that an operator should know, each with what to do.
func (b *Bench) Warnings() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.common.warnings(b.currentConfig())
}

// RQVersion is the version of rq in the bench's virtual environment, or the section's rq_version; "" when unknown.
func (b *Bench) RQVersion() string { return b.rqVersion }

// watchedFile is a configuration file that is read again when it changed on disk.
type watchedFile struct {
	path   string
	config Config
	seen   string // what tells the file that config was read from, "" for none yet
	broken error
}

// reload reads the file if it is new, and says so. After an error the last good content is still in config.
func (w *watchedFile) reload() (changed bool, err error) {
	seen := "absent"
	info, err := os.Stat(w.path)
	switch {
	case err == nil:
		seen = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
	case !errors.Is(err, os.ErrNotExist):
		return false, fmt.Errorf("configuration: %w", err)
	}
	if seen == w.seen {
		return false, w.broken
	}
	c, err := readConfig(w.path)
	if errors.Is(err, os.ErrNotExist) {
		c, err = Config{}, nil
	}
	w.seen, w.broken = seen, err
	if err == nil {
		w.config = c
	}
	return err == nil, err
}

// warnings are about the file being broken, and about keys of c that Frappe obeys and a Go process can't.
func (w *watchedFile) warnings(c Config) []string {
	var warnings []string
	if c.Bool("extra_config") {
		warnings = append(warnings, fmt.Sprintf("%s: extra_config names Python functions (%s) whose result isn't known here; put what they set into the file",
			w.path, strings.Join(c.Strings("extra_config"), ", ")))
	}
	if t := c.String("db_type", "mariadb"); t != "mariadb" {
		warnings = append(warnings, fmt.Sprintf("%s: db_type is %q; only mariadb is supported", w.path, t))
	}
	if w.broken != nil {
		warnings = append(warnings, w.broken.Error()+" (the last good content stays in force)")
	}
	return warnings
}
