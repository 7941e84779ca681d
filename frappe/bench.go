package frappe

import (
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// QueueType is one kind of queue a bench has, with the timeout of jobs that name none.
type QueueType struct {
	Name    string
	Timeout int64 // seconds
}

// Bench is a bench directory: its configuration and its sites. Safe for concurrent use.
type Bench struct {
	Dir      string
	SitesDir string
	ID       string // prefix of the bench's queues
	Major    int    // Frappe's major version, 0 when unknown
}

// OpenBench reads a bench. dir is the bench directory or its sites directory.
func OpenBench(dir string) (*Bench, error) { return nil, errNotBuilt }

// SetLogger makes the bench report what it can't return: a configuration file that became unreadable, text that was cut.
func (b *Bench) SetLogger(log zerolog.Logger) {}

// Config is the bench-wide configuration with the environment on top. Don't change it.
func (b *Bench) Config() Config { return nil }

// Warnings are oddities of the bench's configuration that an operator should know.
func (b *Bench) Warnings() []string { return nil }

// RQVersion is the version of rq installed in the bench's virtual environment, "" when unknown.
func (b *Bench) RQVersion() string { return "" }

// QueueTypes lists short, default, long and the custom queues of the key "workers".
func (b *Bench) QueueTypes() []QueueType { return nil }

// QueueName is RQ's name of a queue type: "<bench id>:<type>".
func (b *Bench) QueueName(qtype string) string { return b.ID + ":" + qtype }

// QueueTypeOf is the queue type of one of this bench's queues, "" for any other queue.
func (b *Bench) QueueTypeOf(queue string) string { return "" }

// JobID prefixes a job id with the site the way this bench's Frappe does.
func (b *Bench) JobID(site, id string) string { return site + "::" + id }

// SplitJobID takes the site off a job id. Both separators, "::" and "||", are understood.
func (b *Bench) SplitJobID(id string) (site, rest string, ok bool) { return "", "", false }

// RedisQueue are the connection options of redis_queue, with the bench's credentials.
func (b *Bench) RedisQueue() (*redis.UniversalOptions, error) { return nil, errNotBuilt }

// RedisRealtime are the options of the connection that publishes realtime events: redis_queue without the ACL user.
func (b *Bench) RedisRealtime() (*redis.UniversalOptions, error) { return nil, errNotBuilt }

// RedisCache are the connection options of redis_cache.
func (b *Bench) RedisCache() (*redis.UniversalOptions, error) { return nil, errNotBuilt }

// Sites lists the bench's sites by name.
func (b *Bench) Sites() ([]string, error) { return nil, errNotBuilt }

// Site is a site of the bench; ErrNoSuchSite when there is none.
func (b *Bench) Site(name string) (*Site, error) { return nil, errNotBuilt }

// Close closes the pools of all sites.
func (b *Bench) Close() error { return nil }
