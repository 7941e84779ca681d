package realtime_test

import (
	"context"
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/redis/go-redis/v9"
)

// printer shows what a client would send, and sends nothing.
type printer struct{ redis.Hook }

func (printer) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, commands []redis.Cmder) error {
		for _, c := range commands {
			fmt.Printf("%s %s %s\n", c.Args()...)
		}
		return nil
	}
}

func (printer) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (printer) DialHook(next redis.DialHook) redis.DialHook          { return next }

func ExamplePublisher_Publish() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:11000", MaxRetries: -1})
	rdb.AddHook(printer{})
	defer rdb.Close()
	p := realtime.NewPublisher(rdb, nil)
	err := p.Publish(context.Background(),
		realtime.Event{Name: "job_progress", Site: "site1.localhost", Rooms: []string{realtime.RoomDoc("Background Job", "JOB-2026-00001")}, Message: map[string]any{"progress": 40}},
		realtime.Event{Name: "connect", Site: "site1.localhost", Rooms: []string{realtime.RoomUser("jane@example.com")}})
	fmt.Println(err)
	// Output:
	// publish events {"event":"job_progress","message":{"progress":40},"namespace":"site1.localhost","room":"doc:Background Job/JOB-2026-00001"}
	// realtime event "connect" for rooms ["user:jane@example.com"] of site "site1.localhost": socket.io reserves this name
}

func ExampleRoomUser() {
	fmt.Println(realtime.RoomUser("jane@example.com"))
	fmt.Println(realtime.RoomDoc("Background Job", "JOB-2026-00001"))
	fmt.Println(realtime.RoomDocType("Background Job"))
	fmt.Println(realtime.RoomOrganization("ORG-2026-00001"))
	// Output:
	// user:jane@example.com
	// doc:Background Job/JOB-2026-00001
	// doctype:Background Job
	// org:ORG-2026-00001
}
