package frappe

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisQueue are the connection options of redis_queue, a URL and its options as redis-py takes them, with the bench's credentials in Frappe's order: the ACL user of
// use_rq_auth, else RQ_ADMIN_PASWORD (Frappe spells it so), else what the URL carries (redis_queue.py,
// background_jobs.py get_redis_conn). The client never repeats a command: an RPUSH without reply would run twice.
func (b *Bench) RedisQueue() (*redis.UniversalOptions, error) {
	c := b.Config()
	o, err := b.redisOptions(c, "redis_queue")
	if err != nil {
		return nil, err
	}
	switch {
	case c.Bool("use_rq_auth"):
		o.Username = c.String("rq_username", b.ID)
		o.Password = c.String("rq_password", "")
		if o.Password == "" {
			return nil, fmt.Errorf("redis_queue: use_rq_auth is on but rq_password is empty in %s; run: bench create-rq-users", commonFile)
		}
	case os.Getenv("RQ_ADMIN_PASWORD") != "":
		o.Username, o.Password = "default", os.Getenv("RQ_ADMIN_PASWORD")
	}
	return o, nil
}

// RedisRealtime are the options of the connection that publishes realtime events: redis_queue without the ACL user, who
// may not publish on the channel "events" (realtime.py get_redis_connection_without_auth).
func (b *Bench) RedisRealtime() (*redis.UniversalOptions, error) {
	return b.redisOptions(b.Config(), "redis_queue")
}

// RedisCache are the connection options of redis_cache.
func (b *Bench) RedisCache() (*redis.UniversalOptions, error) {
	return b.redisOptions(b.Config(), "redis_cache")
}

func (b *Bench) redisOptions(c Config, key string) (o *redis.UniversalOptions, err error) {
	if c.Bool(key + "_sentinel_enabled") {
		o, err = sentinelOptions(c, key)
	} else {
		o, err = b.serverOptions(c, key)
	}
	if err != nil {
		return nil, err
	}
	o.MaxRetries = -1
	// Only hosted clusters send these. In automatic mode go-redis 9.23 negotiates them, with a data race.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

func (b *Bench) serverOptions(c Config, key string) (*redis.UniversalOptions, error) {
	u, ok := splitRedisURL(c.String(key, ""))
	if !ok {
		// Never quoted: it may hold a password.
		return nil, fmt.Errorf("%s is not a Redis URL; it must look like redis://127.0.0.1:11000, rediss://… or unix:///path", key)
	}
	o, err := u.connection(b.SitesDir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return o, nil
}

func sentinelOptions(c Config, key string) (*redis.UniversalOptions, error) {
	addrs := c.Strings(key + "_sentinels")
	if len(addrs) == 0 {
		return nil, fmt.Errorf(`%s_sentinel_enabled is on but %s_sentinels is empty; write it as ["host:port", …]`, key, key)
	}
	for _, a := range addrs {
		if !strings.Contains(a, ":") {
			return nil, fmt.Errorf("%s_sentinels has %q; write host:port", key, a)
		}
	}
	master := c.String(key+"_master_service", "")
	if master == "" {
		return nil, fmt.Errorf("%s_sentinel_enabled is on but %s_master_service is empty; name the service the sentinels watch", key, key)
	}
	return &redis.UniversalOptions{
		Addrs:            addrs,
		MasterName:       master,
		SentinelUsername: c.String(key+"_sentinel_username", ""),
		SentinelPassword: c.String(key+"_sentinel_password", ""),
		Username:         c.String(key+"_master_username", ""),
		Password:         c.String(key+"_master_password", ""),
	}, nil
}

// ReservedEvent reports whether socket.io keeps an event's name for itself (4.x). One that is emitted all the same
// throws: in the realtime server, inside its subscriber's callback, which ends the realtime of all sites.
func ReservedEvent(name string) bool {
	return slices.Contains([]string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}, name)
}
