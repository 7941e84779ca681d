package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// moment is a boundary of what a bridge does: a command that it sends, before it leaves or when it was executed and nobody has
// read the answer. What a bridge does between two commands nobody else can see, so these are all there are.
type moment struct {
	command string // its kind
	after   bool
}

// moments counts how often processes died at each, so that each kind has its turn, however rare it is.
type moments struct {
	mu   sync.Mutex
	hits map[moment]int // of all that were seen
}

// choosy is how long a process that is to die waits for a moment at which few have; the longer it waits the less choosy it is.
const choosy = 4 * time.Second

// see notes a moment.
func (ms *moments) see(m moment) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.hits == nil {
		ms.hits = map[moment]int{}
	}
	ms.hits[m] += 0
}

// comes says whether one that has waited for so long is to die at m, which was seen.
func (ms *moments) comes(m moment, waited time.Duration) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	all := make([]int, 0, len(ms.hits))
	for _, n := range ms.hits {
		all = append(all, n)
	}
	slices.Sort(all)
	least := all[min(int(float64(len(all))*min(waited.Seconds()/choosy.Seconds(), 1)), len(all)-1)]
	return ms.hits[m] <= least
}

func (ms *moments) hit(m moment) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.hits[m]++
}

// died says at how many moments somebody died, and how many there were.
func (ms *moments) died() (hit, all int) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, n := range ms.hits {
		if n > 0 {
			hit++
		}
	}
	return hit, len(ms.hits)
}

// missed lists those at which nobody died.
func (ms *moments) missed() (list []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for m, n := range ms.hits {
		if n == 0 {
			list = append(list, map[bool]string{false: "before ", true: "after "}[m.after]+m.command)
		}
	}
	slices.Sort(list)
	return list
}

// mortal is who may die at any moment: due asks whether this is its last, and die kills it.
type mortal interface {
	due(moment) bool
	die(moment)
}

// reader reads a command: its bytes, and its kind, "" for what is part of a conversation and none.
type reader func(*bufio.Reader) (raw []byte, kind string, err error)

// gate passes on what one process and a server say to each other, command by command.
type gate struct {
	listener net.Listener
	target   string
	read     func() reader // one for each connection
	mortal   mortal

	mu    sync.Mutex
	conns []net.Conn
	all   sync.WaitGroup
}

// openGate listens on a port of its own. Call close.
func openGate(target string, read func() reader, who mortal) (*gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{listener: l, target: target, read: read, mortal: who}
	g.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			g.all.Go(func() { g.serve(client) })
		}
	})
	return g, nil
}

func (g *gate) port() int { return g.listener.Addr().(*net.TCPAddr).Port }

func (g *gate) close() error {
	err := g.listener.Close()
	g.mu.Lock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
	g.mu.Unlock()
	g.all.Wait()
	return err
}

// track has close end a connection.
func (g *gate) track(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns = append(g.conns, c)
}

func (g *gate) forget(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns = slices.DeleteFunc(g.conns, func(other net.Conn) bool { return other == c })
	_ = c.Close()
}

// executed is how long an answer is waited for; commands that block have none.
const executed = 200 * time.Millisecond

// serve ends when one of the two does: the other is told by the end of its connection, as without a gate.
func (g *gate) serve(client net.Conn) {
	g.track(client)
	defer g.forget(client)
	server, err := net.Dial("tcp", g.target)
	if err != nil {
		return // refused, as the server refuses
	}
	g.track(server)
	defer g.forget(server)
	answers := make(chan struct{}, 1) // something came from the server
	var back sync.WaitGroup
	hold := &sync.Mutex{} // while it is held nothing reaches the client
	back.Go(func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if n > 0 {
				select {
				case answers <- struct{}{}:
				default:
				}
				hold.Lock()
				_, failed := client.Write(buf[:n])
				hold.Unlock()
				err = errors.Join(err, failed)
			}
			if err != nil {
				return
			}
		}
	})
	_ = g.pass(bufio.NewReaderSize(client, 64<<10), bufio.NewWriterSize(server, 64<<10), answers, hold) // the end of either
	_ = server.Close()
	back.Wait()
}

// pass passes commands on until the client ends, or dies of it.
func (g *gate) pass(from *bufio.Reader, to *bufio.Writer, answers <-chan struct{}, hold sync.Locker) error {
	read := g.read()
	for {
		raw, kind, err := read(from)
		if err != nil {
			return err
		}
		if before := (moment{kind, false}); kind != "" && g.mortal.due(before) {
			_ = to.Flush() // what it sent before is on its way
			g.mortal.die(before)
			return io.EOF
		}
		if _, err := to.Write(raw); err != nil {
			return err
		}
		if after := (moment{kind, true}); kind != "" && g.mortal.due(after) {
			return g.dieAfter(after, to, answers, hold)
		}
		if from.Buffered() == 0 {
			if err := to.Flush(); err != nil {
				return err
			}
		}
	}
}

// dieAfter lets a process die when the server has answered the command of m, and before it reads that.
func (g *gate) dieAfter(m moment, to *bufio.Writer, answers <-chan struct{}, hold sync.Locker) error {
	hold.Lock()
	defer hold.Unlock()
	select {
	case <-answers: // of an earlier command
	default:
	}
	err := to.Flush()
	select {
	case <-answers:
	case <-time.After(executed):
	}
	g.mortal.die(m)
	return errors.Join(err, io.EOF)
}
