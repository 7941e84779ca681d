package rqcompat

import (
	"context"
	"hash/maphash"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// places are the lists and registries of some queues as one reading of them saw them.
type places struct {
	waits  idSet               // in a queue's list, or popped by a waiter of First
	listed map[Registry]*idSet // Scheduled and Failed
	stuck  map[string]string   // the queue in whose intermediate list an id is
	wip    map[string]*inWork  // by id
}

// inWork is what the started registry has of a job.
type inWork struct {
	queue, lapsed, live string // members
}

// idSet is a set of ids that costs eight bytes each: a queue may hold a million. Two ids in one place of it would hide one
// that was left behind, once in billions of readings.
type idSet struct {
	sums   []uint64
	sorted bool
}

var idSeed = maphash.MakeSeed()

func (s *idSet) add(id string) {
	s.sums, s.sorted = append(s.sums, maphash.String(idSeed, id)), false
}

func (s *idSet) has(id string) bool {
	if !s.sorted {
		slices.Sort(s.sums)
		s.sorted = true
	}
	_, ok := slices.BinarySearch(s.sums, maphash.String(idSeed, id))
	return ok
}

// places reads where ids of the queues are, in the order in which ids move, so that one that moves meanwhile is seen twice
// rather than not at all. Only what waiters of First popped may go back, and is read on both sides.
func (c *Client) places(ctx context.Context, queues []string) (*places, error) {
	p := &places{listed: map[Registry]*idSet{}, stuck: map[string]string{}, wip: map[string]*inWork{}}
	for _, r := range []Registry{Scheduled, Failed} {
		set := &idSet{}
		p.listed[r] = set
		for _, q := range queues {
			err := c.EachMember(ctx, r, q, func(members []Member) error {
				for _, m := range members {
					set.add(m.ID)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	for _, q := range queues {
		if err := c.placesOf(ctx, q, p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (c *Client) placesOf(ctx context.Context, queue string, p *places) error {
	waits := func(ids []string) {
		for _, id := range ids {
			p.waits.add(id)
		}
	}
	for _, read := range []func() error{
		func() error { return c.eachOf(ctx, FirstKey(queue), waits) },
		func() error { return c.EachWaiting(ctx, queue, waits) },
		func() error { return c.eachOf(ctx, FirstKey(queue), waits) },
		func() error {
			return c.eachOf(ctx, IntermediateKey(queue), func(ids []string) {
				for _, id := range ids {
					p.stuck[id] = queue
				}
			})
		},
	} {
		if err := read(); err != nil {
			return err
		}
	}
	now := float64(c.Now(ctx).Unix())
	return c.EachMember(ctx, Wip, queue, func(members []Member) error {
		for _, m := range members {
			r := p.wip[m.ID]
			if r == nil {
				r = &inWork{}
				p.wip[m.ID] = r
			}
			member := m.ID
			if m.ExecutionID != "" {
				member = c.d.WipMember(m.ID, m.ExecutionID)
			}
			if r.queue = queue; m.Score <= now {
				r.lapsed = member
			} else {
				r.live = member
			}
		}
		return nil
	})
}

// eachOf calls do with the ids of a short list, a page at a time.
func (c *Client) eachOf(ctx context.Context, key string, do func(ids []string)) error {
	for start := int64(0); ; start += listPage - pageOverlap {
		ids, err := c.rdb.LRange(ctx, key, start, start+listPage-1).Result()
		if err != nil {
			return wrap(err, "read %s", clip(key))
		}
		if do(ids); len(ids) < listPage {
			return nil
		}
	}
}

// suspicious is judge for what two fields say, before more is read: whether a job may be none that all is well with.
func (p *places) suspicious(id string, status Status) bool {
	if p.waits.has(id) || p.wip[id] != nil {
		return false // of the latter all are looked at
	}
	registry := registryOf(status)
	return status == StatusStarted || registry != "" && !p.listed[registry].has(id)
}

// put notes in a trace where its job is.
func (p *places) put(id string, t *trace) {
	t.waits = p.waits.has(id)
	if q, ok := p.stuck[id]; ok {
		t.stuck, t.queue = true, q
	}
	if r := p.wip[id]; r != nil {
		t.live, t.lapsed, t.queue = r.live != "", r.lapsed, r.queue
		if t.status.Ended() {
			t.ended = r.live
		}
	}
	if registry := registryOf(t.status); registry != "" {
		t.listed = p.listed[registry].has(id)
	}
}

// leftFields are what is read of a job that may have been left behind.
var leftFields = []string{"status", "origin", "enqueued_at", "started_at", "last_heartbeat", "worker_name", "created_at"}

// traces reads the hashes of jobs, and puts in where they are.
func (c *Client) traces(ctx context.Context, ids []string, p *places, ours func(string) bool) (map[string]Left, error) {
	found := make(map[string]Left, len(ids))
	for batch := range slices.Chunk(ids, fetchChunk) {
		read := make([]*redis.SliceCmd, len(batch))
		data := make([]*redis.BoolCmd, len(batch))
		ttl := make([]*redis.DurationCmd, len(batch))
		_, err := pipelined(ctx, c.rdb, func(pipe redis.Pipeliner) {
			for i, id := range batch {
				read[i], data[i], ttl[i] = pipe.HMGet(ctx, JobKey(id), leftFields...), pipe.HExists(ctx, JobKey(id), "data"), pipe.PTTL(ctx, JobKey(id))
			}
		})
		if err != nil {
			return nil, wrap(err, "look at %d jobs", len(batch))
		}
		for i, id := range batch {
			l := leftJob(id, read[i], data[i].Val(), ttl[i].Val())
			l.trace.ours = ours != nil && ours(l.Worker)
			p.put(id, &l.trace)
			l.Queue = l.trace.queue
			found[id] = l
		}
	}
	return found, c.readHolders(ctx, found)
}

// leftJob reads a reply. To RQ a hash without data is no job.
func leftJob(id string, cmd *redis.SliceCmd, data bool, ttl time.Duration) Left {
	h, err := cmd.Result()
	if err != nil || !data {
		return Left{ID: id}
	}
	text := func(i int) string { s, _ := h[i].(string); return s }
	l := Left{ID: id, Status: Status(text(0)), Worker: text(5)}
	l.trace = trace{
		status: l.Status, queue: text(1), enqueued: text(2), started: text(3), beaten: text(4), worker: l.Worker, fading: ttl > 0 && ttl < fading,
	}
	for _, at := range []string{text(3), text(2), text(6)} {
		if t, err := ParseTime(at); err == nil && !t.IsZero() && l.Since.IsZero() {
			l.Since = t
		}
	}
	l.BlocksDeduplicate = ttl < 0 && (l.Status == StatusQueued || l.Status == StatusStarted)
	return l
}

// readHolders asks the workers of started jobs that no registry has whether they have them.
func (c *Client) readHolders(ctx context.Context, found map[string]Left) error {
	var ids []string
	for id, l := range found {
		if l.Status == StatusStarted && l.Worker != "" && !l.trace.live && l.trace.lapsed == "" {
			ids = append(ids, id)
		}
	}
	for batch := range slices.Chunk(ids, fetchChunk) {
		current := make([]*redis.SliceCmd, len(batch))
		_, err := pipelined(ctx, c.rdb, func(p redis.Pipeliner) {
			for i, id := range batch {
				current[i] = p.HMGet(ctx, WorkerKey(found[id].Worker), "current_job")
			}
		})
		if err != nil {
			return wrap(err, "look at the workers of %d jobs", len(batch))
		}
		for i, id := range batch {
			l := found[id]
			l.trace.held = slices.Contains(current[i].Val(), any(id))
			found[id] = l
		}
	}
	return nil
}
