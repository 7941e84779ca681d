package bridge_test

import (
	"context"
	"fmt"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// Invoices, Invoice and Total are the parameters of three Job Types.
type Invoices struct {
	Year int `json:"year"`
}
type Invoice struct {
	Number string         `json:"number"`
	Due    bridge.Date    `json:"due"`
	Amount bridge.Decimal `json:"amount"`
}
type Total struct {
	Until bridge.Datetime `json:"until"`
}

const (
	ExportInvoices bridge.JobType[Invoices] = "export_invoices"
	SendInvoice    bridge.JobType[Invoice]  = "send_invoice"
	SumUp          bridge.JobType[Total]    = "sum_up"
)

// exportInvoices submits a job for each invoice. A retry finds those that an earlier attempt submitted by their keys.
func exportInvoices(ctx context.Context, job *bridge.Job[Invoices]) (any, error) {
	numbers := []string{"INV-1", "INV-2"}
	for i, number := range numbers {
		if _, err := SendInvoice.Submit(ctx, job, Invoice{Number: number}, bridge.SubmitRequest{Key: number}); err != nil {
			return nil, err
		}
		job.Progress(100*float64(i+1)/float64(len(numbers)), "submitted "+number)
	}
	job.SetOutput(fmt.Sprintf("/files/invoices-%d.csv", job.Params.Year))
	return map[string]int{"invoices": len(numbers)}, nil
}
