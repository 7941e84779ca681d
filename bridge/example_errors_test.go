package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/bridgetest"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// A service that asks to be left alone for a while is asked again when it says.
func ExampleRetryAfter() {
	err := bridge.RetryAfter(90*time.Second, errors.New("too many requests"))
	fmt.Println(err, "is", bridge.Classify(err))
	// Output: too many requests is Transient
}

// An error that no retry mends, whatever it is wrapped in.
func ExamplePermanent() {
	err := fmt.Errorf("export: %w", bridge.Permanent(errors.New("no such year")))
	fmt.Println(err, "is", bridge.Classify(err))
	// Output: export: no such year is Permanent
}

func ExampleClassify() {
	fmt.Println(bridge.Classify(errors.New("connection refused")))
	fmt.Println(bridge.Classify(&bridge.HTTPError{Status: 404, Message: "no such invoice"}))
	fmt.Println(bridge.Classify(errors.New("frappe.exceptions.ValidationError: no such invoice")))
	// Output:
	// Transient
	// Permanent
	// Permanent
}

// What an API of one's own answers is sorted once, for all handlers.
func ExampleEngine_Classify() {
	bench, err := frappe.OpenBench("/home/frappe/frappe-bench", frappe.Options{})
	if err != nil {
		return
	}
	engine, err := bridge.New(bridge.Config{Bench: bench})
	if err != nil {
		return
	}
	errQuota := errors.New("the month's quota is used up")
	engine.Classify(func(err error) (bridge.ErrorType, bool) {
		if errors.Is(err, errQuota) {
			return bridge.ErrorPermanent, true
		}
		return "", false
	})
}

// With StrictParams a misspelt parameter is found out.
func ExampleStrictParams() {
	r := bridgetest.RunJSON(context.Background(), exportInvoices, `{"yaer": 2025}`, bridgetest.Strict())
	fmt.Println(r.Err)
	// Output: parameters of "the handler under test" don't fit its handler: json: unknown field "yaer"
}
