package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

func median(values []float64) float64 { return percentile(values, 50) }

// percentile picks the nearest rank.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	i := int(float64(len(sorted))*p/100+0.5) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// peerRate runs a worker of peer.py over n jobs and returns its rate.
func (b *bed) peerRate(ctx context.Context, n int, arguments ...string) (float64, error) {
	out, err := b.script(ctx, arguments...)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Seconds float64 `json:"seconds"`
		Failed  int     `json:"failed"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return 0, fmt.Errorf("peer.py %v said %q: %w", arguments, out, err)
	}
	if answer.Failed > 0 {
		return 0, fmt.Errorf("peer.py %v: %s of %d jobs failed", arguments, strconv.Itoa(answer.Failed), n)
	}
	return float64(n) / answer.Seconds, nil
}
