package rows

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

const (
	// defaultConnections is enough for batched writes: transitions share transactions.
	defaultConnections = 16
	// idleTime is how long a connection, and all that is kept for a site, outlasts its last use.
	idleTime = 500 * time.Millisecond
	// roomPause is how often it is looked whether a connection has ended.
	roomPause = 5 * time.Millisecond
)

// ErrConnections says that all connections that may be made are in use, by other sites mostly: nothing was asked.
var ErrConnections = errors.New("all database connections of the bench are in use")

var errPoolClosed = errors.New("the databases of this bench are closed")

// bound holds the connections of several databases below one limit. Each use of a database takes a turn, and there are as
// many turns as connections. A database that waits for a turn has none while it waits, so none waits for itself.
//
// No database gets more than half of what the others leave, so that one that is busy, or whose server is silent, always
// leaves turns for the next; of those that wait the one with the fewest turns is served first.
type bound struct {
	limit int

	mu      sync.Mutex
	using   int // turns taken
	open    int // connections made and not ended
	waiting []*turn
	opened  []*database // those that may have connections
}

// database is what a bound holds of one.
type database struct {
	site      string
	bound     *bound
	connector driver.Connector
	// x are the connections; it may be used by who has a turn only. It and what follows are guarded by bound.mu.
	x      *sqlx.DB
	using  int // turns taken
	used   time.Time
	idle   *time.Timer
	closed bool
}

// turn is one that is waited for.
type turn struct {
	d     *database
	taken chan struct{}
	// closed says that d was closed meanwhile, and that there is none.
	closed bool
}

func newBound(limit int) *bound { return &bound{limit: limit} }

// enter takes a turn of d, whose x can be used until leave is called.
func (b *bound) enter(ctx context.Context, d *database) (leave func(), err error) {
	t := &turn{d: d, taken: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, t)
	b.serve()
	b.mu.Unlock()
	select {
	case <-t.taken:
	case <-ctx.Done():
		b.mu.Lock()
		i := slices.Index(b.waiting, t)
		if i >= 0 {
			b.waiting = slices.Delete(b.waiting, i, i+1)
		}
		b.mu.Unlock()
		if i >= 0 {
			return nil, fmt.Errorf("site %s: %w (%d): %w", d.site, ErrConnections, b.limit, context.Cause(ctx))
		}
	}
	if t.closed {
		return nil, fmt.Errorf("site %s: %w", d.site, errPoolClosed)
	}
	return func() { b.leave(d) }, nil
}

// serve gives turns to those that wait, as long as there are any. It needs b.mu.
func (b *bound) serve() {
	for b.using < b.limit {
		next := -1
		for i, t := range b.waiting {
			left := b.limit - b.using + t.d.using
			if t.d.using < (left+1)/2 && (next < 0 || t.d.using < b.waiting[next].d.using) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		b.give(b.waiting[next])
		b.waiting = slices.Delete(b.waiting, next, next+1)
	}
}

// give needs b.mu.
func (b *bound) give(t *turn) {
	defer close(t.taken)
	if t.closed = t.d.closed; t.closed {
		return
	}
	b.using++
	t.d.using++
	if t.d.x == nil {
		t.d.x = t.d.pool(b.limit)
		b.opened = append(b.opened, t.d)
	}
}

func (b *bound) leave(d *database) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.using--
	d.using--
	d.used = time.Now()
	switch {
	case d.using > 0:
	case d.closed:
		b.forget(d)
	case d.idle == nil:
		d.idle = time.AfterFunc(idleTime, func() { b.rest(d) })
	default:
		d.idle.Reset(idleTime)
	}
	b.serve()
}

// rest ends the connections of a database that nobody uses, and the goroutines behind them.
func (b *bound) rest(d *database) {
	b.mu.Lock()
	x := d.x
	if d.using > 0 || x == nil {
		b.mu.Unlock()
		return
	}
	b.forget(d)
	b.mu.Unlock()
	x.Close()
}

// forget needs b.mu.
func (b *bound) forget(d *database) {
	d.x = nil
	b.opened = slices.DeleteFunc(b.opened, func(o *database) bool { return o == d })
}

// shut ends a database for good: its connections end as soon as they aren't used.
func (b *bound) shut(d *database) error {
	b.mu.Lock()
	x := d.x
	d.closed = true
	if d.idle != nil {
		d.idle.Stop()
	}
	if d.using == 0 {
		b.forget(d) // else who uses it still holds x
	}
	b.mu.Unlock()
	if x == nil {
		return nil
	}
	return x.Close()
}

// room waits until one more connection may be made. There are no more turns than connections, so if all are made there
// are idle ones, but for a moment: those unused for longest end.
func (b *bound) room(ctx context.Context) error {
	for {
		b.mu.Lock()
		if b.open < b.limit {
			b.open++
			b.mu.Unlock()
			return nil
		}
		idle := slices.DeleteFunc(slices.Clone(b.opened), func(d *database) bool { return d.x == nil || d.x.Stats().Idle == 0 })
		var x *sqlx.DB
		if len(idle) > 0 {
			x = slices.MinFunc(idle, func(one, other *database) int { return one.used.Compare(other.used) }).x
		}
		b.mu.Unlock()
		if x != nil {
			x.SetMaxIdleConns(-1) // ends them now
			x.SetMaxIdleConns(b.limit)
			continue
		}
		select {
		case <-time.After(roomPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gone counts a connection that ended.
func (b *bound) gone() {
	b.mu.Lock()
	b.open--
	b.mu.Unlock()
}

// boundConnector makes connections within a bound.
type boundConnector struct {
	driver.Connector
	bound *bound
}

func (c boundConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.bound.room(ctx); err != nil {
		return nil, err
	}
	made, err := c.Connector.Connect(ctx)
	if err != nil {
		c.bound.gone()
		return nil, err
	}
	return &boundConn{session: made.(session), gone: sync.OnceFunc(c.bound.gone)}, nil
}

// session is what the driver's connections can do; boundConn must not hide any of it from database/sql.
type session interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type boundConn struct {
	session
	gone func()
}

// Close ends the connection and makes room for another one.
func (c *boundConn) Close() error {
	defer c.gone()
	return c.session.Close()
}

// pool prepares connections; the first is made when it is used.
func (d *database) pool(most int) *sqlx.DB {
	x := sqlx.NewDb(sql.OpenDB(boundConnector{d.connector, d.bound}), "mysql")
	x.SetMaxIdleConns(most)
	x.SetConnMaxIdleTime(idleTime)
	x.SetConnMaxLifetime(time.Hour)
	return x
}
