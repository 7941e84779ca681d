package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// A program that only submits needs no engine.
func ExampleClient() {
	ctx := context.Background()
	client, err := bridge.NewClient(ctx, bridge.Config{ /* Bench: … */ })
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	row, err := ExportInvoices.Submit(ctx, client, Invoices{Year: 2025}, bridge.SubmitRequest{Site: "site1.localhost", Organization: "ORG-1"})
	if err != nil {
		log.Fatal(err)
	}
	seen, err := client.Inspect(ctx, "site1.localhost", row.Name)
	if err != nil {
		log.Fatal(err)
	}
	for _, entry := range seen.History {
		fmt.Println(entry.Timestamp, entry.ToStatus, entry.Message)
	}
	var ended *bridge.TransitionError
	if _, err := client.Cancel(ctx, "site1.localhost", row.Name, "jane@example.com"); errors.As(err, &ended) {
		fmt.Println("too late: it is", ended.From)
	}
}

// What frappe.enqueue does, for whoever works the queue: a Python worker, or a bridge.
func ExampleClient_Enqueue() {
	var client *bridge.Client // made by bridge.NewClient
	_, err := client.Enqueue(context.Background(), bridge.EnqueueRequest{
		Site: "site1.localhost", Method: "frappe.utils.background_jobs.test", Queue: "short", Kwargs: map[string]any{"n": 1},
	})
	if err != nil {
		log.Fatal(err)
	}
}
