package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// attack is one means of a tenant to harm another. run goes on until ctx ends.
type attack struct {
	name, what string
	run        func(ctx context.Context, b *bed, payloads []payload) error
}

var attacks = []attack{
	{"payloads", "calls that cost much to read", attackWithPayloads},
	{"rows", "jobs whose row can't be written, spoilt hashes, strange ids", attackWithRows},
	{"spellings", "the own organization in a thousand spellings", attackWithSpellings},
	{"unknown", "organizations that don't exist", crowd(func(i int) (string, string, string) { return attackerUser, fmt.Sprint("ORG-", i), busy })},
	{"users", "many users of one organization", crowd(func(i int) (string, string, string) { return manyUsers(i), attacker, busy })},
	{"critical", "a Job Type of the highest priority", crowd(func(int) (string, string, string) { return attackerUser, attacker, critical })},
	{"failing", "jobs that fail for good, as many as possible", attackWithFailures},
	{"dependents", "10,000 dependents of one job", attackWithDependents},
	{"long", "jobs that don't end", attackWithLongJobs},
	{"parameters", "a megabyte of parameters each", attackWithParameters},
	{"progress", "floods of progress", crowdOf(40, func(int) (string, string, string) { return attackerUser, attacker, flood })},
	{"results", "a megabyte of result each", crowdOf(200, func(int) (string, string, string) { return attackerUser, attacker, large })},
}

const (
	// crowdWaits is how many jobs an attacker keeps waiting.
	crowdWaits = 3000
	// breath is how often an attack looks whether there is room for more.
	breath = 20 * time.Millisecond
	// atOnce is how many it enqueues in one round trip.
	atOnce = 100
)

// crowd keeps the queue full of jobs; each takes user, organization and service.
func crowd(job func(i int) (user, organization, service string)) func(context.Context, *bed, []payload) error {
	return crowdOf(crowdWaits, job)
}

func crowdOf(waiting int, job func(i int) (user, organization, service string)) func(context.Context, *bed, []payload) error {
	return func(ctx context.Context, b *bed, _ []payload) error {
		return b.keepWaiting(ctx, waiting, func(i int) rqcompat.Request {
			user, organization, service := job(i)
			return b.request(ownKind, "", call(user, "hostile."+service, map[string]any{"organization": organization, "i": i}))
		})
	}
}

// keepWaiting enqueues until so many jobs wait, again and again.
func (b *bed) keepWaiting(ctx context.Context, waiting int, request func(i int) rqcompat.Request) error {
	list := rqcompat.QueueKey(b.queue(ownKind))
	for i := 0; ctx.Err() == nil; {
		length, err := b.rdb.LLen(ctx, list).Result()
		if err != nil {
			return err
		}
		if room := waiting - int(length); room > 0 {
			requests := make([]rqcompat.Request, min(room, atOnce))
			for n := range requests {
				requests[n] = request(i)
				i++
			}
			if _, err := b.rq.EnqueueMany(ctx, requests); err != nil {
				return err
			}
			if room > atOnce {
				continue
			}
		}
		pause(ctx, breath)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// attackWithPayloads keeps every hostile call waiting once.
func attackWithPayloads(ctx context.Context, b *bed, payloads []payload) error {
	return b.keepWaiting(ctx, 50, func(i int) rqcompat.Request {
		r := b.request(ownKind, "", rqcompat.Call{})
		r.Data = payloads[i%len(payloads)].data
		return r
	})
}

// attackWithRows enqueues every bad member twice a second.
func attackWithRows(ctx context.Context, b *bed, _ []payload) error {
	for round := 0; ctx.Err() == nil; round++ {
		if _, err := b.enqueueBad(ctx, ownKind, fmt.Sprint(round), nil); err != nil {
			return err
		}
		pause(ctx, time.Second/2)
	}
	return nil
}

// attackWithSpellings: all of them are equal to the organization's name by the database's collation.
func attackWithSpellings(ctx context.Context, b *bed, payloads []payload) error {
	return crowd(func(int) (string, string, string) {
		spelt := []byte(attacker)
		for i := range spelt {
			if rand.IntN(2) == 0 {
				spelt[i] = strings.ToLower(string(spelt[i]))[0]
			}
		}
		return attackerUser, string(spelt) + strings.Repeat(" ", rand.IntN(5)), busy
	})(ctx, b, payloads)
}

// attackWithFailures uses jobs without rows, which the database doesn't slow down.
func attackWithFailures(ctx context.Context, b *bed, _ []payload) error {
	return b.keepWaiting(ctx, crowdWaits, func(int) rqcompat.Request {
		return b.request(ownKind, "", rqcompat.Call{Func: "hostile.failing"})
	})
}

// dependents is how many wait for one job.
const dependents = 10_000

// attackWithDependents lets ever more jobs wait for one, and then that one run.
func attackWithDependents(ctx context.Context, b *bed, _ []payload) error {
	for ctx.Err() == nil {
		parent := b.request(ownKind, "", rqcompat.Call{Func: "hostile.bad"})
		parent.ID, parent.At = fmt.Sprint("parent-", time.Now().UnixNano()), time.Now().Add(time.Hour)
		if _, err := b.rq.Enqueue(ctx, parent); err != nil {
			return err
		}
		for range dependents / atOnce {
			requests := make([]rqcompat.Request, atOnce)
			for i := range requests {
				requests[i] = b.request(ownKind, "", rqcompat.Call{Func: "hostile.bad"})
				requests[i].DependsOn = []string{parent.ID}
			}
			if _, err := b.rq.EnqueueMany(ctx, requests); err != nil {
				return err
			}
		}
		if err := b.rdb.ZAdd(ctx, rqcompat.RegistryKey(rqcompat.Scheduled, b.queue(ownKind)), redis.Z{Score: float64(time.Now().Unix()), Member: parent.ID}).Err(); err != nil {
			return err
		}
		pause(ctx, 3*time.Second)
	}
	return nil
}

// attackWithLongJobs enqueues ever more jobs that don't end.
func attackWithLongJobs(ctx context.Context, b *bed, _ []payload) error {
	return b.keepWaiting(ctx, 500, func(int) rqcompat.Request {
		return b.request(ownKind, "", call(attackerUser, "hostile.long", map[string]any{"organization": attacker}))
	})
}

// attackWithParameters encodes once; it is the bridge that is to have the work.
func attackWithParameters(ctx context.Context, b *bed, _ []payload) error {
	text := strings.Repeat("parameters ", 100_000)
	data, err := rqcompat.EncodeCall(call(attackerUser, "hostile.bad", map[string]any{"organization": attacker, "text": text}))
	if err != nil {
		return err
	}
	return b.keepWaiting(ctx, 200, func(int) rqcompat.Request {
		r := b.request(ownKind, "", rqcompat.Call{})
		r.Data = data
		return r
	})
}
