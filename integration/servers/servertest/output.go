package servertest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Output is what a program prints. It may be read while it is written.
type Output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed by the next Write; nil if nobody waits
}

// Write never fails.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.b.Write(b)
}

// String is all that was printed, without a line that is still being written.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines()
}

func (o *Output) lines() string {
	text := o.b.String()
	return text[:strings.LastIndexByte(text, '\n')+1]
}

// Await waits until ok says yes to what was printed, at most half a minute; what says for what.
func (o *Output) Await(t testing.TB, what string, ok func(text string) bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		o.mu.Lock()
		text := o.lines()
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more := o.more
		o.mu.Unlock()
		if ok(text) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("waited in vain until %s; what was printed:\n%s", what, text)
		}
	}
}

// AwaitText waits until a line with the text was printed.
func (o *Output) AwaitText(t testing.TB, text string) {
	t.Helper()
	o.Await(t, "it prints "+text, func(all string) bool { return strings.Contains(all, text) })
}
