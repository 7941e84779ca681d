package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// A right that the bridge's Redis user should have, tried in a way that changes nothing.
type right struct {
	what  string
	level Level // without it
	lack  string
	grant string // what ACL SETUSER wants
	try   func(ctx context.Context, rdb redis.UniversalClient, b *frappe.Bench) error
}

// nobody is a worker that nobody is named and nobody listens to.
const nobody = "bridge-doctor"

var rights = []right{
	{"run scripts", Error, "nothing works", "+@scripting", func(ctx context.Context, rdb redis.UniversalClient, _ *frappe.Bench) error {
		return rdb.Eval(ctx, "return 1", nil).Err()
	}},
	{"use the keys rq:*", Error, "jobs can't be read or written", "~rq:*", func(ctx context.Context, rdb redis.UniversalClient, b *frappe.Bench) error {
		var errs []error
		for _, key := range []string{
			rqcompat.QueuesKey(), rqcompat.QueueKey(b.QueueName("default")), rqcompat.JobKey(nobody), rqcompat.WorkerKey(nobody),
			rqcompat.WipKey(b.QueueName("default")), rqcompat.SuspendedKey(), rqcompat.ProcessKey(nobody),
		} {
			errs = append(errs, rdb.Exists(ctx, key).Err())
		}
		return errors.Join(errs...)
	}},
	{"subscribe to rq:pubsub:*", Warning, "Force Stop and RQ's stop and shutdown don't reach running jobs, and a cancel reaches them up to 1 s late", "&rq:pubsub:* +psubscribe",
		func(ctx context.Context, rdb redis.UniversalClient, _ *frappe.Bench) error {
			listening := rdb.PSubscribe(ctx, rqcompat.PubSubChannel(nobody+"*"))
			defer listening.Close()
			_, err := listening.Receive(ctx)
			return err
		}},
	{"be heard by a subscription to rq:pubsub:*", Warning, "a bridge that died is noticed only when the leases of its jobs lapse, within 15 s", "&rq:pubsub:* +subscribe +pubsub|numsub",
		func(ctx context.Context, rdb redis.UniversalClient, _ *frappe.Bench) error {
			channel := rqcompat.PubSubChannel(nobody)
			listening := rdb.Subscribe(ctx, channel)
			defer listening.Close()
			_, err := listening.Receive(ctx)
			return errors.Join(err, rdb.PubSubNumSub(ctx, channel).Err())
		}},
	{"publish on rq:pubsub:*", Warning, "nobody can be told to stop or cancel a running job", "&rq:pubsub:* +publish",
		func(ctx context.Context, rdb redis.UniversalClient, _ *frappe.Bench) error {
			return rdb.Publish(ctx, rqcompat.PubSubChannel(nobody), "{}").Err()
		}},
	{"CLIENT LIST", Warning, "bridge.first can't get ahead of idle Python workers, and RQ 1.15's own workers don't start", "+client|list",
		func(ctx context.Context, rdb redis.UniversalClient, _ *frappe.Bench) error {
			return rdb.ClientList(ctx).Err()
		}},
	{"CLIENT UNBLOCK", Warning, "a stop takes up to a second longer, and bridge.first lets later jobs pass earlier ones", "+client|unblock",
		func(ctx context.Context, rdb redis.UniversalClient, _ *frappe.Bench) error {
			return rdb.Do(ctx, "CLIENT", "UNBLOCK", 0).Err() // no client has this number
		}},
}

// rights tries what a user with restricted rights may lack, as the one that `bench create-rq-users` makes does.
func (r *report) rights(ctx context.Context, b *frappe.Bench, rdb redis.UniversalClient) {
	user := "default"
	if o, err := b.RedisQueue(); err == nil && o.Username != "" {
		user = o.Username
	}
	lacking := false
	for _, right := range rights {
		err := right.try(ctx, rdb, b)
		if rqcompat.Judge(err) != rqcompat.Denied {
			continue // it may do so; what else is wrong other checks say
		}
		lacking = true
		r.add(right.level, "redis rights", fmt.Sprintf("run in redis-cli: ACL SETUSER %s %s", user, right.grant), "may not %s: %s (%v)", right.what, right.lack, err)
	}
	if !lacking {
		r.ok("redis rights", "all that the bridge needs")
	}
}
