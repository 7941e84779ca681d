package job

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// RetryPolicy is bridge.RetryPolicy, where it is documented.
type RetryPolicy struct {
	Base   time.Duration
	Max    time.Duration
	Jitter float64
}

// WithDefaults returns p with every zero field set to its default.
func (p RetryPolicy) WithDefaults() RetryPolicy {
	p.Base = cmp.Or(p.Base, time.Minute)
	p.Max = cmp.Or(p.Max, 16*p.Base)
	p.Jitter = max(cmp.Or(p.Jitter, 0.2), 0)
	return p
}

// Validate reports every problem of a policy whose defaults are set.
func (p RetryPolicy) Validate() error {
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

// Pause returns how long to wait before the given retry (1 is the first): Base × 2^(retry−1), at most Max, with jitter.
func (p RetryPolicy) Pause(retry int) time.Duration {
	p = p.WithDefaults()
	d := p.Base
	for i := 1; i < retry && d < p.Max; i++ {
		d *= 2
	}
	d = min(d, p.Max)
	return time.Duration(float64(d) * (1 + p.Jitter*(2*rand.Float64()-1)))
}
