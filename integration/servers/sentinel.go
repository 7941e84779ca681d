package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sentinelService is the name of what the sentinels watch.
	sentinelService = "frappe"
	// SentinelPatience is how long a master has to be silent until its sentinels begin to replace it.
	SentinelPatience = 2 * time.Second
)

// Sentinel is a Redis of three servers, one of them the master, and the three sentinels that watch them.
type Sentinel struct {
	Servers []*Redis // the first one is the master at the start
	// Addrs are the sentinels'.
	Addrs []string

	processes []*process
}

// StartSentinel starts six processes, and returns when the sentinels know each other and both replicas follow. The options
// are those of all three servers.
func StartSentinel(ctx context.Context, opts ...Option) (s *Sentinel, err error) {
	s = &Sentinel{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	for i := range 3 {
		own := append([]Option{WithConfig("repl-diskless-sync-delay", "0"), WithConfig("repl-timeout", "5")}, opts...)
		if i > 0 {
			own = append(own, WithConfig("replicaof", strings.Split(s.Servers[0].Addr, ":")...))
		}
		r, err := StartRedis(ctx, own...)
		if err != nil {
			return s, err
		}
		s.Servers = append(s.Servers, r)
	}
	for range 3 {
		if err := s.startSentinel(ctx); err != nil {
			return s, err
		}
	}
	return s, s.settle(ctx)
}

func (s *Sentinel) startSentinel(ctx context.Context) error {
	path, err := lookPath("redis-server")
	if err != nil {
		return err
	}
	p, err := newProcess("redis-sentinel", path)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	port, err := freePort()
	if err != nil {
		return err
	}
	host, master, err := net.SplitHostPort(s.Servers[0].Addr)
	if err != nil {
		return err
	}
	config := filepath.Join(p.dir, "sentinel.conf") // it writes there what it learns
	lines := []string{
		"port " + strconv.Itoa(port), "bind 127.0.0.1", "dir " + p.dir,
		fmt.Sprintf("sentinel monitor %s %s %s 2", sentinelService, host, master),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", sentinelService, SentinelPatience.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s 5000", sentinelService),
		fmt.Sprintf("sentinel parallel-syncs %s 2", sentinelService),
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	p.args = []string{config, "--sentinel"}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.Addrs = append(s.Addrs, addr)
	return p.start(ctx, func(ctx context.Context) error {
		c := s.sentinel(addr)
		defer c.Close()
		return c.Ping(ctx).Err()
	})
}

func (s *Sentinel) sentinel(addr string) *redis.SentinelClient {
	return redis.NewSentinelClient(&redis.Options{Addr: addr, MaxRetries: -1, PoolSize: 1, ReadTimeout: time.Second, DisableIdentity: true})
}

// settle waits until each sentinel knows two others and two replicas that follow.
func (s *Sentinel) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for _, addr := range s.Addrs {
		c := s.sentinel(addr)
		defer c.Close()
		for {
			state, err := c.Master(ctx, sentinelService).Result()
			replicas, err2 := c.Replicas(ctx, sentinelService).Result()
			following := 0
			for _, r := range replicas {
				if r["master-link-status"] == "ok" {
					following++
				}
			}
			if err == nil && err2 == nil && state["num-other-sentinels"] == "2" && following == 2 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("sentinel %s doesn't settle: %d of 2 replicas follow, %s other sentinels: %w", addr, following, state["num-other-sentinels"], errors.Join(err, err2, ctx.Err()))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// Config are the keys of common_site_config.json that name the sentinels for redis_queue.
func (s *Sentinel) Config() map[string]any {
	return map[string]any{
		"redis_queue_sentinel_enabled": 1, "redis_queue_sentinels": s.Addrs, "redis_queue_master_service": sentinelService,
	}
}

// Master is the server that most sentinels name.
func (s *Sentinel) Master(ctx context.Context) (*Redis, error) {
	votes := map[string]int{}
	var errs []error
	for _, addr := range s.Addrs {
		c := s.sentinel(addr)
		found, err := c.GetMasterAddrByName(ctx, sentinelService).Result()
		_ = c.Close()
		if errs = append(errs, err); err != nil {
			continue
		}
		votes[net.JoinHostPort(found[0], found[1])]++
	}
	for _, r := range s.Servers {
		if votes[r.Addr] >= 2 {
			return r, nil
		}
	}
	return nil, fmt.Errorf("the sentinels don't agree on a master: %v: %w", votes, errors.Join(errs...))
}

// NextMaster waits until the sentinels name another master than a former one.
func (s *Sentinel) NextMaster(ctx context.Context, former *Redis) (*Redis, error) {
	for {
		m, err := s.Master(ctx)
		if err == nil && m != former {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no other master than %s: %w", former.Addr, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Failover has the sentinels replace a master that is well, as an operator does before he takes it down.
func (s *Sentinel) Failover(ctx context.Context) error {
	c := s.sentinel(s.Addrs[0])
	defer c.Close()
	return c.Failover(ctx, sentinelService).Err()
}

// Settle waits until all servers that run follow the master again, and the sentinels know.
func (s *Sentinel) Settle(ctx context.Context) error { return s.settle(ctx) }

// Stop ends all of them. Calling it again does nothing.
func (s *Sentinel) Stop() error {
	var errs []error
	for _, p := range s.processes {
		errs = append(errs, p.remove())
	}
	for _, r := range s.Servers {
		errs = append(errs, r.Stop())
	}
	return errors.Join(errs...)
}
