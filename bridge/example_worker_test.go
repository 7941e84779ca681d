package bridge_test

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
)

// A worker of one's own: open the bench, register handlers, run.
func Example() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	bench, err := benchconfig.Open("/home/frappe/frappe-bench", logger)
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := benchconfig.Load(bench)
	if err != nil {
		log.Fatal(err)
	}
	engine, err := bridge.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	bridge.Register(engine, ExportInvoices, exportInvoices, bridge.StrictParams())
	bridge.Register(engine, SendInvoice, sendInvoice, bridge.WithRetry(bridge.RetryPolicy{Base: 10 * time.Second}))
	bridge.Register(engine, SumUp, sumUp)
	engine.Use(timed)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := engine.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
