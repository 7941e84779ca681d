package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// pickleRounds is how often a value is read and written per measurement.
const pickleRounds = 50_000

// measurePickle compares reading and writing the call of a typical job.
func measurePickle(ctx context.Context, b *bed) ([]figure, error) {
	inner := &pickle.Dict{}
	for key, value := range map[string]any{"invoice": "INV-2026-00042", "copies": int64(2), "draft": false, "rate": 19.5, "to": "a@b.c"} {
		inner.Set(key, value)
	}
	call := envelope(frappe.Call{Site: site, User: owner, Method: "erpnext.accounts.export", IsAsync: true, Kwargs: inner})
	tuple := &pickle.Tuple{Items: []any{call.Func, nil, &pickle.Tuple{}, call.Kwargs}}
	data, err := pickle.Encode(tuple)
	if err != nil {
		return nil, err
	}
	out, err := b.script(ctx, "pickle", hex.EncodeToString(data), strconv.Itoa(pickleRounds))
	if err != nil {
		return nil, err
	}
	var python struct{ Loads, Dumps float64 }
	if err := json.Unmarshal(out, &python); err != nil {
		return nil, err
	}
	decode, err := bestNanoseconds(func() error { _, err := pickle.Decode(data); return err })
	if err != nil {
		return nil, err
	}
	encode, err := bestNanoseconds(func() error { _, err := pickle.Encode(tuple); return err })
	if err != nil {
		return nil, err
	}
	loads, dumps := python.Loads*1e9, python.Dumps*1e9
	return []figure{
		{Scenario: "pickle", Who: "decode", Value: decode, Unit: "ns", Ratio: loads / decode, Peer: "CPython/bridge", Goal: ">= 0.33"},
		{Scenario: "pickle", Who: "CPython loads", Value: loads, Unit: "ns"},
		{Scenario: "pickle", Who: "encode", Value: encode, Unit: "ns", Ratio: dumps / encode, Peer: "CPython/bridge", Goal: ">= 0.5"},
		{Scenario: "pickle", Who: "CPython dumps", Value: dumps, Unit: "ns"},
	}, nil
}

func bestNanoseconds(f func() error) (float64, error) {
	best := 0.0
	for range 5 {
		start := time.Now()
		for range pickleRounds {
			if err := f(); err != nil {
				return 0, err
			}
		}
		if ns := float64(time.Since(start).Nanoseconds()) / pickleRounds; best == 0 || ns < best {
			best = ns
		}
	}
	return best, nil
}
