package policy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/access"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ErrRateLimited says that the user has submitted as many jobs of the Job Type as he may for now. Package bridge publishes it.
var ErrRateLimited = errors.New("rate limit reached")

// RateLimitError is an ErrRateLimited with when to try again.
type RateLimitError struct {
	JobType, User string
	// Limit is how many jobs of the Job Type the user may submit within Window.
	Limit  int
	Window time.Duration
	// RetryAfter is how long it takes until he may submit another one.
	RetryAfter time.Duration
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("%v: %s may submit %d jobs of Job Type %s within %s; try again in %s",
		ErrRateLimited, e.User, e.Limit, e.JobType, e.Window, e.RetryAfter.Round(100*time.Millisecond))
}

// Is makes it an ErrRateLimited.
func (e *RateLimitError) Is(target error) bool { return target == ErrRateLimited }

// Places are sliding windows; *rqcompat.Client has them.
type Places interface {
	TakePlaces(ctx context.Context, window string, length time.Duration, limit int, who []string) (taken []bool, next time.Duration, err error)
	LeavePlaces(ctx context.Context, window string, who []string) error
}

// window names the sliding window of a user's jobs of a type. No two have the same, whatever their names are.
func window(site, jobType, user string) string {
	text, _ := json.Marshal([]string{site, jobType, user}) // strings can be encoded
	return fmt.Sprintf("submit:%x", sha256.Sum256(text))
}

// rate takes places for submissions of one user and Job Type, all or some of them.
func (l *Limits) rate(ctx context.Context, site string, t *rows.JobType, user string, of []*Submission) error {
	if t == nil || t.RateLimit <= 0 || user == access.Administrator {
		return nil
	}
	if exempt, err := l.IsManager(ctx, site, user); err != nil || exempt {
		return err
	}
	who := make([]string, len(of))
	for i, s := range of {
		who[i] = s.ID
	}
	length := time.Duration(t.RateLimitWindow) * time.Second
	taken, next, err := l.Places.TakePlaces(ctx, window(site, t.TypeName, user), length, t.RateLimit, who)
	if err != nil {
		return err
	}
	for i, s := range of {
		if s.took = taken[i]; !taken[i] {
			s.Err = &RateLimitError{JobType: t.TypeName, User: user, Limit: t.RateLimit, Window: length, RetryAfter: next}
		}
	}
	return nil
}
