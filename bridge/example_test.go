package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe"
)

// Export are the keyword arguments of frappe.enqueue("export_invoices", …).
type Export struct {
	Year int `json:"year"`
}

// A worker of one's own: open the bench, register handlers, run.
func Example() {
	bench, err := frappe.OpenBench("/home/frappe/frappe-bench")
	if err != nil {
		log.Fatal(err)
	}
	defer bench.Close()
	cfg, err := bridge.LoadConfig(bench)
	if err != nil {
		log.Fatal(err)
	}
	engine, err := bridge.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	bridge.Register(engine, "export_invoices", func(ctx context.Context, job *bridge.Job[Export]) (any, error) {
		if job.Params.Year < 2000 {
			return nil, bridge.Permanent(fmt.Errorf("no invoices before 2000, asked for %d", job.Params.Year))
		}
		for month := 1; month <= 12; month++ {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx) // cancelled, timed out or shutting down
			case <-time.After(time.Second):
			}
			job.Progress(float64(month)/12*100, fmt.Sprintf("Month %d of %d", month, job.Params.Year))
		}
		job.SetOutput("/files/invoices.csv")
		return map[string]int{"months": 12}, nil
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := engine.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// A service that asks to be left alone for a while is asked again when it says.
func ExampleRetryAfter() {
	err := bridge.RetryAfter(90*time.Second, errors.New("too many requests"))
	fmt.Println(err)
	// Output: too many requests
}
