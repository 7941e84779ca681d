package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// legalSteps is what may follow what in the log of a job, as people were promised it.
var legalSteps = map[string][]string{
	"": {"Pending"}, "Pending": {"Queued", "Canceled"}, "Queued": {"Running", "Canceled", "Dead Letter"},
	"Running": {"Completed", "Failed", "Dead Letter", "Timed Out", "Canceled"},
	"Failed":  {"Queued", "Dead Letter"}, "Timed Out": {"Queued", "Dead Letter"}, "Dead Letter": {"Queued"},
}

// faultyLogs are the jobs whose log has a step that is not legal, or misses one.
func (b *bed) faultyLogs(ctx context.Context) (wrong []string, err error) {
	rows, err := b.db.Strings(ctx, "read the rows", "SELECT CONCAT_WS('\t', name, status) FROM `tabBackground Job`")
	if err != nil {
		return nil, err
	}
	logged, err := b.db.Strings(ctx, "read the log", "SELECT CONCAT_WS('\t', background_job, COALESCE(from_status,''), to_status) FROM `tabJob Execution Log` ORDER BY background_job, timestamp, name")
	if err != nil {
		return nil, err
	}
	is := map[string]string{}
	for _, text := range logged {
		step := strings.Split(text, "\t")
		job, was, became := step[0], step[1], step[2]
		if was == became { // told, and no change
			continue
		}
		if was != is[job] || !slices.Contains(legalSteps[was], became) {
			wrong = append(wrong, fmt.Sprintf("%s: its log goes from %q to %q after %q", job, was, became, is[job]))
		}
		is[job] = became
	}
	for _, text := range rows {
		if job, status, _ := strings.Cut(text, "\t"); is[job] != status {
			wrong = append(wrong, fmt.Sprintf("%s is %s, and its log ends with %q", job, status, is[job]))
		}
	}
	return wrong, nil
}
