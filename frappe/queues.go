package frappe

import (
	"maps"
	"slices"
	"strings"
)

// DefaultTimeout is the seconds that Frappe gives a job whose queue names none (background_jobs.py get_queues_timeout).
const DefaultTimeout = 300

// QueueTypes lists short, default and long, then the custom queues of the key "workers", by name. Frappe has those in
// the order of the file, which only decides where its workers look first.
func (b *Bench) QueueTypes() []QueueType {
	types := []QueueType{{"short", DefaultTimeout}, {"default", DefaultTimeout}, {"long", 1500}}
	workers := b.Config().Object("workers")
	for _, name := range slices.Sorted(maps.Keys(workers)) {
		q := QueueType{name, int64(workers.Object(name).Int("timeout", DefaultTimeout))}
		if i := slices.IndexFunc(types, func(t QueueType) bool { return t.Name == name }); i >= 0 {
			types[i] = q
			continue
		}
		types = append(types, q)
	}
	return types
}

// QueueName is RQ's name of a queue type: "<bench id>:<type>".
func (b *Bench) QueueName(qtype string) string { return b.ID + ":" + qtype }

// QueueTypeOf is the queue type of one of this bench's queues, "" for any other queue.
func (b *Bench) QueueTypeOf(queue string) string {
	if qtype, ok := strings.CutPrefix(queue, b.ID+":"); ok {
		return qtype
	}
	return ""
}

// JobID prefixes a job id with the site the way this bench's Frappe does: "<site>::<id>" with RQ 1, and with RQ 2,
// which refuses colons, "<site>||<id>" (background_jobs.py create_job_id).
func (b *Bench) JobID(site, id string) string {
	if b.separator == "||" {
		id = strings.ReplaceAll(id, ":", "|")
	}
	return site + b.separator + id
}

// JobIDs are the forms that a job id may have on this bench, its own first: a bench that moved to RQ 2 has both.
func (b *Bench) JobIDs(site, id string) []string {
	ids := []string{b.JobID(site, id)}
	for _, other := range []string{site + "::" + id, site + "||" + strings.ReplaceAll(id, ":", "|")} {
		if !slices.Contains(ids, other) {
			ids = append(ids, other)
		}
	}
	return ids
}

// SplitJobID takes the site off a job id. Both separators are understood; the first one counts.
func (b *Bench) SplitJobID(id string) (site, rest string, ok bool) {
	at := -1
	for _, sep := range []string{"::", "||"} {
		if i := strings.Index(id, sep); i > 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return "", "", false
	}
	return id[:at], id[at+2:], true
}
