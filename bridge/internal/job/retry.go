package job

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// RetryPolicy is a schedule of attempts. Package bridge publishes it.
type RetryPolicy struct {
	// Base is the pause before the first retry. Default: 1 min.
	Base time.Duration
	// Max is the longest pause. Default: 16 × Base, the pause before the fifth retry.
	Max time.Duration
	// Jitter is the share by which a pause may be longer or shorter, 0 to 1, so that jobs that failed together don't
	// return together. Default: 0.2. A negative value means none.
	Jitter float64
}

// withDefaults sets every zero field to its default. It is for one use: the Jitter that means none is a zero afterwards.
func (p RetryPolicy) withDefaults() RetryPolicy {
	p.Base = cmp.Or(p.Base, time.Minute)
	p.Max = cmp.Or(p.Max, 16*p.Base)
	p.Jitter = max(cmp.Or(p.Jitter, 0.2), 0)
	return p
}

// CheckRetry reports every problem of a policy.
func CheckRetry(p RetryPolicy) error {
	p = p.withDefaults()
	var errs []error
	if p.Base < 0 {
		errs = append(errs, fmt.Errorf("retry base %s is negative", p.Base))
	}
	if p.Max < p.Base {
		errs = append(errs, fmt.Errorf("retry maximum %s is below the base %s", p.Max, p.Base))
	}
	if p.Jitter > 1 {
		errs = append(errs, fmt.Errorf("retry jitter %g is above 1", p.Jitter))
	}
	return errors.Join(errs...)
}

// CheckIntervals reports a pause that is none.
func CheckIntervals(pauses []time.Duration) error {
	for _, d := range pauses {
		if d <= 0 {
			return fmt.Errorf("retry interval %s is not above zero", d)
		}
	}
	return nil
}

// PauseAfter is how long to wait before a retry (1 is the first) after err: what err asks for, else what p says.
func PauseAfter(err error, p RetryPolicy, retry int) time.Duration {
	if f := ReadError(err); f != nil && f.After > 0 {
		return f.After
	}
	p = p.withDefaults()
	d := p.Base
	for i := 1; i < retry && d < p.Max; i++ {
		d *= 2
	}
	d = min(d, p.Max)
	return time.Duration(float64(d) * (1 + p.Jitter*(2*rand.Float64()-1)))
}
