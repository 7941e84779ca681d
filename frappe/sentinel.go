package frappe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/internal/dial"
	"github.com/redis/go-redis/v9"
)

const (
	// masterTimeout is for connecting to a master: one that is gone must not be waited for while another takes its place.
	masterTimeout = 2 * time.Second
	// sentinelTimeout is how long a sentinel may take to answer.
	sentinelTimeout = time.Second
	// othersTimeout is how long the others are waited for after the first answer.
	othersTimeout = 200 * time.Millisecond
	// answerFor is how long an answer counts: after a failover all connections are made anew at the same moment.
	answerFor = 200 * time.Millisecond
)

// sentinels know which server is the master of a service. They are asked for each connection that is made, so that whoever
// uses it follows a failover. go-redis's own client for them writes to stderr, a line at each turn, and takes "no such
// service" for "no such key".
type sentinels struct {
	addrs   []string
	service string
	user    string
	pass    string
	key     string // of the configuration

	mu     sync.Mutex
	asked  time.Time
	master string
	err    error
}

func sentinelServer(c Config, key string) (*Redis, error) {
	addrs := c.Strings(key + "_sentinels")
	if len(addrs) == 0 {
		return nil, fmt.Errorf(`%s_sentinel_enabled is on but %s_sentinels is empty; write it as ["host:port", …]`, key, key)
	}
	for i, a := range addrs {
		// Never quoted: it may be a URL with a password.
		if _, _, err := net.SplitHostPort(a); err != nil || strings.ContainsAny(a, "/@") {
			return nil, fmt.Errorf("entry %d of %s_sentinels is not like host:port", i+1, key)
		}
	}
	service := c.String(key+"_master_service", "")
	if service == "" {
		return nil, fmt.Errorf("%s_sentinel_enabled is on but %s_master_service is empty; name the service the sentinels watch", key, key)
	}
	s := &sentinels{
		addrs: addrs, service: service, user: c.String(key+"_sentinel_username", ""), pass: c.String(key+"_sentinel_password", ""), key: key,
	}
	where := fmt.Sprintf("the master of %s (sentinels %s)", service, strings.Join(addrs, ", "))
	return &Redis{
		UniversalOptions: &redis.UniversalOptions{
			Addrs: []string{where}, Dialer: s.dial, // who dials asks where
			Username: c.String(key+"_master_username", ""), Password: c.String(key+"_master_password", ""),
		},
		Where: where, sentinels: s,
	}, nil
}

// dial connects to whoever is master now.
func (s *sentinels) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	addr, err := s.ask(ctx)
	if err != nil {
		return nil, err
	}
	return dial.Dialer(masterTimeout).DialContext(ctx, "tcp", addr)
}

// ask gives the address that most sentinels name. One that was cut off may name an old one until it hears of the new.
func (s *sentinels) ask(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) > answerFor {
		s.master, s.err = s.vote(context.WithoutCancel(ctx)) // the answer is for all who wait
		s.asked = time.Now()
	}
	return s.master, s.err
}

// sentinelAnswer is what one of them says.
type sentinelAnswer struct {
	master string
	err    error
}

func (s *sentinels) vote(ctx context.Context) (string, error) {
	answers := make(chan sentinelAnswer, len(s.addrs))
	for _, addr := range s.addrs {
		go func() {
			master, err := s.askOne(ctx, addr)
			answers <- sentinelAnswer{master, err}
		}()
	}
	var (
		votes = map[string]int{}
		best  string
		worst error // of those that name none: what one answers rather than that another can't be reached
		late  <-chan time.Time
	)
	for range s.addrs {
		select {
		case a := <-answers:
			if a.err != nil {
				if _, network := errors.AsType[net.Error](a.err); worst == nil || !network {
					worst = a.err
				}
				continue
			}
			if votes[a.master]++; votes[a.master] > votes[best] {
				best = a.master
			}
			if late == nil {
				late = time.After(othersTimeout)
			}
			if votes[best] > len(s.addrs)/2 {
				return best, nil
			}
		case <-late:
			return best, nil
		}
	}
	if best == "" {
		return "", fmt.Errorf("no sentinel names the master of %q (%d asked): %w", s.service, len(s.addrs), worst)
	}
	return best, nil
}

func (s *sentinels) askOne(ctx context.Context, addr string) (string, error) {
	c := redis.NewSentinelClient(&redis.Options{
		Addr: addr, Username: s.user, Password: s.pass, MaxRetries: -1, PoolSize: 1, DisableIdentity: true,
		ReadTimeout: sentinelTimeout, WriteTimeout: sentinelTimeout, Dialer: quietDialer(dialTo(sentinelTimeout, nil)),
	})
	defer c.Close()
	found, err := c.GetMasterAddrByName(ctx, s.service).Result()
	switch {
	case errors.Is(err, redis.Nil): // not wrapped: it isn't an answer about any key
		return "", fmt.Errorf("sentinel %s watches no service %q; correct %s_master_service, or have it watched", addr, s.service, s.key)
	case err != nil:
		return "", fmt.Errorf("sentinel %s: %w", addr, err)
	case len(found) != 2:
		return "", fmt.Errorf("sentinel %s answers %d parts for an address", addr, len(found))
	}
	return net.JoinHostPort(found[0], found[1]), nil
}
