package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// sendInvoice fails for good where a retry can't help, and says when to come back where it can.
func sendInvoice(_ context.Context, job *bridge.Job[Invoice]) (any, error) {
	amount, ok := job.Params.Amount.Rat()
	switch {
	case !ok || amount.Sign() <= 0:
		return nil, bridge.Permanent(fmt.Errorf("invoice %s asks for nothing", job.Params.Number))
	case job.Params.Number == "INV-2":
		return nil, bridge.RetryAfter(90*time.Second, errors.New("the mail server is busy"))
	}
	job.Log().Info("sent", "invoice", job.Params.Number, "due", job.Params.Due)
	return nil, nil
}

// sumUp takes its time and leaves when it must: canceled, timed out or shutting down.
func sumUp(ctx context.Context, job *bridge.Job[Total]) (any, error) {
	for month := 1; month <= 12; month++ {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Second):
			job.Progress(100*float64(month)/12, fmt.Sprintf("month %d", month))
		}
	}
	return "12 months", nil
}
