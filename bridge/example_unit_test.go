package bridge_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/bridgetest"
)

// Unit tests of the handlers above.

func TestExportSubmitsAJobForEachInvoice(t *testing.T) {
	r := bridgetest.Run(t.Context(), exportInvoices, Invoices{Year: 2025})
	if r.Err != nil || r.Output != "/files/invoices-2025.csv" {
		t.Errorf("%v, output %q", r.Err, r.Output)
	}
	if len(r.Submitted) != 2 || r.Submitted[1].JobType != "send_invoice" || r.Submitted[1].Key != "INV-2" {
		t.Errorf("submitted %+v", r.Submitted)
	}
}

func TestAnInvoiceOfNothingIsNotRetried(t *testing.T) {
	r := bridgetest.RunJSON(t.Context(), sendInvoice, `{"number": "INV-1", "amount": "0.00", "due": "2025-03-31"}`)
	if bridge.Classify(r.Err) != bridge.ErrorPermanent || r.Status != "Dead Letter" {
		t.Errorf("%v, %s", r.Err, r.Status)
	}
}

func TestSumUpLeavesWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // twelve seconds that take none
		r := bridgetest.Run(t.Context(), sumUp, Total{}, bridgetest.Info(bridge.JobInfo{Timeout: 5500 * time.Millisecond}))
		if r.Status != "Timed Out" || len(r.Progress) != 5 || !strings.Contains(r.Err.Error(), "timeout") {
			t.Errorf("%s with %d reports: %v", r.Status, len(r.Progress), r.Err)
		}
	})
}
