package job

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRetryPolicyPause(t *testing.T) {
	tests := []struct {
		name   string
		policy RetryPolicy
		pauses map[int]time.Duration // by retry, seconds
	}{
		{"defaults", RetryPolicy{Jitter: -1}, map[int]time.Duration{0: 60, 1: 60, 2: 120, 3: 240, 4: 480, 5: 960, 6: 960, 60: 960, 1 << 30: 960}},
		{"a cap that is not a step of the doubling", RetryPolicy{Base: time.Minute, Max: 100 * time.Second, Jitter: -1}, map[int]time.Duration{1: 60, 2: 100, 3: 100}},
		{"a base of its own", RetryPolicy{Base: 3 * time.Second, Jitter: -1}, map[int]time.Duration{1: 3, 2: 6, 3: 12, 5: 48, 9: 48}},
		{"a cap at the base", RetryPolicy{Base: time.Second, Max: time.Second, Jitter: -1}, map[int]time.Duration{1: 1, 7: 1}},
	}
	for _, tc := range tests {
		for retry, want := range tc.pauses {
			if got := PauseAfter(errors.New("boom"), tc.policy, retry); got != want*time.Second {
				t.Errorf("%s: the pause before retry %d is %s, want %d s", tc.name, retry, got, want)
			}
		}
	}
}

func TestRetryPolicyJitter(t *testing.T) {
	var low, high bool
	for range 1000 {
		d := PauseAfter(errors.New("boom"), RetryPolicy{}, 1)
		if d < 48*time.Second || d > 72*time.Second {
			t.Fatalf("pause %s is outside ±20 %% of a minute", d)
		}
		low, high = low || d < 50*time.Second, high || d > 70*time.Second
	}
	if !low || !high {
		t.Error("1000 pauses come near to neither end of ±20 %, want both")
	}
}

func TestPauseAfter(t *testing.T) {
	exact := RetryPolicy{Jitter: -1}
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		err  error
		want time.Duration
	}{
		"what the handler asked for":        {fmt.Errorf("w: %w", Mark(boom, Transient, 7*time.Second)), 7 * time.Second},
		"the policy's":                      {boom, 4 * time.Minute},
		"the policy's, if nothing is asked": {Mark(boom, Transient, 0), 4 * time.Minute},
	} {
		if got := PauseAfter(tc.err, exact, 3); got != tc.want {
			t.Errorf("%s: the pause before retry 3 is %s, want %s", name, got, tc.want)
		}
	}
}

func TestRetryPolicyValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		policy RetryPolicy
		says   []string
	}{
		"defaults":                {RetryPolicy{}, nil},
		"full jitter":             {RetryPolicy{Base: 1, Max: 1, Jitter: 1}, nil},
		"negative base":           {RetryPolicy{Base: -1, Max: 1}, []string{"base -1ns is negative"}},
		"maximum below the base":  {RetryPolicy{Base: time.Hour, Max: time.Minute}, []string{"maximum 1m0s is below the base 1h0m0s"}},
		"jitter above 1":          {RetryPolicy{Jitter: 1.5}, []string{"jitter 1.5 is above 1"}},
		"several faults together": {RetryPolicy{Base: -1, Max: -2, Jitter: 2}, []string{"base", "maximum", "jitter"}},
	} {
		err := CheckRetry(tc.policy)
		if (err == nil) != (tc.says == nil) {
			t.Errorf("%s: %v, want a fault: %v", name, err, tc.says != nil)
			continue
		}
		for _, says := range tc.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want %q in it", name, err, says)
			}
		}
	}
}
