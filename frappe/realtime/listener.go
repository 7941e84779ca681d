package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Change is a document that was inserted or saved, as Frappe tells the realtime server right after the commit
// (model/document.py notify_update). It is a hint: nothing is told of changes in SQL, nor while Redis was away, and whoever
// may publish on the channel can tell of any document.
type Change struct {
	Site string
	// DocType and Name are empty for an event of the site's that is about no change of a document.
	DocType, Name string
	// Source is Publisher.Source of who sent it, "" for Frappe.
	Source string
}

const (
	// listenPing is how often a silent subscription is checked, listenReply how long the answer may take.
	listenPing  = 10 * time.Second
	listenReply = 5 * time.Second
)

// Listen calls hear, one at a time, for each event that the sites of the bench send, until ctx ends or the subscription is
// lost; what was sent until the next call is lost as well. listening is called once the subscription stands.
func Listen(ctx context.Context, rdb redis.UniversalClient, listening func(), hear func(Change)) error {
	ps := rdb.Subscribe(ctx, eventsChannel)
	defer ps.Close()
	// A context does not interrupt a read; a closed connection does.
	stop := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer stop()
	stands, wait := false, listenPing
	for {
		m, err := ps.ReceiveTimeout(ctx, wait)
		var timeout interface{ Timeout() bool }
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case stands && wait == listenPing && errors.As(err, &timeout) && timeout.Timeout():
			if err := ps.Ping(ctx); err != nil {
				return fmt.Errorf("listen for changes of documents: %w", err)
			}
			wait = listenReply
			continue
		case err != nil:
			return fmt.Errorf("listen for changes of documents: %w", err)
		}
		wait = listenPing
		switch m := m.(type) {
		case *redis.Subscription:
			stands = true
			listening()
		case *redis.Message:
			if c, ok := parseChange(m.Payload); ok {
				hear(c)
			}
		}
	}
}

// parseChange reads an event; ok is false for what nobody could have meant. Most events are about no change of a document:
// of these only the site is read.
func parseChange(payload string) (c Change, ok bool) {
	if len(payload) > maxPayload {
		return c, false
	}
	if !strings.Contains(payload, `_update"`) {
		c.Site = siteOf(payload)
		return c, c.Site != ""
	}
	var e struct {
		Event     string          `json:"event"`
		Message   json.RawMessage `json:"message"`
		Namespace string          `json:"namespace"`
		Source    string          `json:"source"`
	}
	if json.Unmarshal([]byte(payload), &e) != nil || e.Namespace == "" {
		return c, false
	}
	c.Site, c.Source = e.Namespace, e.Source
	if e.Event != "doc_update" && e.Event != "list_update" {
		return c, true
	}
	var document struct{ DocType, Name string }
	if json.Unmarshal(e.Message, &document) == nil { // a name may be a number: of another DocType
		c.DocType, c.Name = document.DocType, document.Name
	}
	return c, true
}

// siteOf finds the namespace of an event without reading the rest. Text inside a message can't look like the key: its
// quotes have a backslash before them.
func siteOf(payload string) string {
	_, rest, _ := strings.Cut(payload, `"namespace":`)
	rest, isText := strings.CutPrefix(strings.TrimLeft(rest, " "), `"`)
	site, _, closed := strings.Cut(rest, `"`)
	if !isText || !closed || len(site) > maxRoom || strings.ContainsRune(site, '\\') {
		return ""
	}
	return site
}
