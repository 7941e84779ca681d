package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// progressSamples is how many jobs report once each.
const progressSamples = 100

// measureProgress times the way of a report from the handler over the row and
// Redis through a Socket.IO server to the client of the job's owner.
func measureProgress(ctx context.Context, b *bed) ([]figure, error) {
	user := servers.SiteUser{Name: owner, SID: "sid-of-owner", Type: "System User"}
	fake, err := servers.StartFakeSite(map[string][]servers.SiteUser{site: {user}})
	if err != nil {
		return nil, err
	}
	b.onClose(fake.Stop)
	realtime, err := servers.StartRealtime(ctx, servers.RealtimeConfig{RedisURL: b.redis.URL(), SitesURL: fake.URL})
	if err != nil {
		return nil, err
	}
	b.onClose(realtime.Stop)
	client, err := socketio.Dial(ctx, socketio.Config{
		URL: realtime.URL, Site: site, Origin: "http://" + site, Header: http.Header{"Cookie": {user.Cookie()}},
	})
	if err != nil {
		return nil, err
	}
	b.onClose(client.Close)

	reported := make(chan time.Time, 1)
	stop, err := b.engine(bridge.Config{}, func(e *bridge.Engine) {
		bridge.Register(e, jobType, func(ctx context.Context, job *bridge.Job[struct{}]) (any, error) {
			reported <- time.Now()
			job.Progress(42, "half way")
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil, nil
		})
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stop() }()
	names, err := b.newRows(ctx, progressSamples)
	if err != nil {
		return nil, err
	}
	var ms []float64
	for _, name := range names {
		if err := b.enqueueExecutor(ctx, b.queue(), []string{name}); err != nil {
			return nil, err
		}
		at := <-reported
		if err := awaitProgress(ctx, client, name); err != nil {
			return nil, err
		}
		ms = append(ms, float64(time.Since(at).Microseconds())/1000)
	}
	return []figure{
		{Scenario: "progress", Who: "owner's client, median", Value: median(ms), Unit: "ms", Goal: "~200"},
		{Scenario: "progress", Who: "owner's client, p99", Value: percentile(ms, 99), Unit: "ms", Goal: "<= 2000"},
	}, nil
}

func awaitProgress(ctx context.Context, client *socketio.Conn, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		event, args, err := client.Next(ctx)
		if err != nil {
			return fmt.Errorf("progress of %s: %w", name, err)
		}
		var message struct {
			JobID    string  `json:"job_id"`
			Progress float64 `json:"progress"`
		}
		if event == bridge.EventProgress && len(args) > 0 && json.Unmarshal(args[0], &message) == nil && message.JobID == name && message.Progress == 42 {
			return nil
		}
	}
}
