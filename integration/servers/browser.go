package servers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Browser is a headless Chromium, for what only a browser can judge. Its methods may be called from several goroutines.
type Browser struct {
	p       *process
	in, out *os.File
	ended   chan struct{} // closed when nothing more can be read

	mu      sync.Mutex
	last    int
	waiting map[int]chan browserMessage
	pages   map[string]*Page // by session
}

// browserMessage is what Chromium's DevTools protocol says: an answer has an id, an event a method.
// https://chromedevtools.github.io/devtools-protocol/
type browserMessage struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// StartBrowser starts Chromium with a profile of its own, and more arguments of its command line.
func StartBrowser(ctx context.Context, arguments ...string) (*Browser, error) {
	path, err := lookPath("chromium")
	if err != nil {
		return nil, err
	}
	p, err := newProcess("chromium", path)
	if err != nil {
		return nil, err
	}
	b := &Browser{p: p, ended: make(chan struct{}), waiting: map[int]chan browserMessage{}, pages: map[string]*Page{}}
	theirIn, ours, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to chromium: %w", err), p.remove())
	}
	defer theirIn.Close()
	answers, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to chromium: %w", err), ours.Close(), p.remove())
	}
	defer theirOut.Close()
	b.in, b.out = ours, answers
	p.extra = []*os.File{theirIn, theirOut}
	p.args = append(arguments,
		"--headless", "--remote-debugging-pipe", "--user-data-dir="+filepath.Join(p.dir, "profile"), "--no-first-run",
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions",
		// As root, as in a container, it starts in no other way; it sees nothing but the tests' own pages.
		"--no-sandbox", "about:blank",
	)
	if err := p.spawn(); err != nil {
		return nil, errors.Join(err, ours.Close(), answers.Close(), p.remove())
	}
	go b.read()
	if err := b.call(ctx, "", "Browser.getVersion", nil, nil); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

// read hands out what Chromium says, until its end of the pipe is closed.
func (b *Browser) read() {
	defer close(b.ended)
	for lines := bufio.NewReader(b.out); ; {
		text, err := lines.ReadBytes(0)
		if err != nil {
			return
		}
		m := browserMessage{Params: &json.RawMessage{}}
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		waiting, page := b.waiting[m.ID], b.pages[m.SessionID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case waiting != nil:
			waiting <- m
		case page != nil:
			page.hear(m.Method, *m.Params.(*json.RawMessage))
		}
	}
}

// callTimeout is far longer than anything here takes.
const callTimeout = 60 * time.Second

func (b *Browser) call(ctx context.Context, session, method string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer := make(chan browserMessage, 1)
	b.mu.Lock()
	b.last++
	m := browserMessage{ID: b.last, SessionID: session, Method: method, Params: params}
	b.waiting[m.ID] = answer
	text, err := json.Marshal(m)
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("chromium: %s: %w", method, err)
	}
	select {
	case m = <-answer:
	case <-b.ended:
		return fmt.Errorf("chromium ended during %s; end of its log:\n%s", method, b.p.logTail())
	case <-ctx.Done():
		return fmt.Errorf("chromium: %s: %w", method, context.Cause(ctx))
	}
	if m.Error != nil {
		return fmt.Errorf("chromium: %s: %s", method, m.Error.Message)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(m.Result, result)
}

// Stop ends Chromium and removes its profile. Calling it again does nothing.
func (b *Browser) Stop() error {
	err := b.p.remove()
	_ = b.in.Close()
	_ = b.out.Close()
	<-b.ended
	return err
}

// Page is a tab with cookies of its own.
type Page struct {
	b       *Browser
	session string

	mu     sync.Mutex
	errors []string
}

// Open opens a page, and returns when it is loaded.
func (b *Browser) Open(ctx context.Context, url string) (*Page, error) {
	var made struct {
		BrowserContextID, TargetID, SessionID string
	}
	if err := b.call(ctx, "", "Target.createBrowserContext", nil, &made); err != nil {
		return nil, err
	}
	target := map[string]any{"url": "about:blank", "browserContextId": made.BrowserContextID, "width": 1280, "height": 900}
	if err := b.call(ctx, "", "Target.createTarget", target, &made); err != nil {
		return nil, err
	}
	if err := b.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made); err != nil {
		return nil, err
	}
	p := &Page{b: b, session: made.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		if err := b.call(ctx, p.session, domain+".enable", nil, nil); err != nil {
			return nil, err
		}
	}
	return p, p.Go(ctx, url)
}

// Go opens another address in the page, and returns when it is loaded.
func (p *Page) Go(ctx context.Context, url string) error {
	var went struct{ ErrorText string }
	if err := p.b.call(ctx, p.session, "Page.navigate", map[string]any{"url": url}, &went); err != nil {
		return err
	}
	if went.ErrorText != "" {
		return fmt.Errorf("open %s: %s", url, went.ErrorText)
	}
	const loaded = `new Promise((done) => document.readyState === "complete" ? done() : addEventListener("load", () => done()))`
	return p.Eval(ctx, loaded, nil)
}

// Eval runs an expression in the page, waits if it is a promise, and decodes its value into result unless that is nil.
func (p *Page) Eval(ctx context.Context, expression string, result any) error {
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	params := map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}
	if err := p.b.call(ctx, p.session, "Runtime.evaluate", params, &answer); err != nil {
		return err
	}
	if e := answer.ExceptionDetails; e != nil {
		return fmt.Errorf("%s: %s %s", expression, e.Text, e.Exception.Description)
	}
	if result == nil || answer.Result.Value == nil {
		return nil
	}
	return json.Unmarshal(answer.Result.Value, result)
}

// Await runs an expression again and again until it is true. Its error is ctx's, with the expression.
func (p *Page) Await(ctx context.Context, expression string) error {
	for {
		var is bool
		err := p.Eval(ctx, "!!("+expression+")", &is)
		if err == nil && is {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it never became true: %s: %w", expression, errors.Join(context.Cause(ctx), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Screenshot is the page as a PNG.
func (p *Page) Screenshot(ctx context.Context) ([]byte, error) {
	var shot struct{ Data string }
	if err := p.b.call(ctx, p.session, "Page.captureScreenshot", nil, &shot); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(shot.Data)
}

// Errors are what the page reported so far: exceptions that nobody caught and messages of its console of the level error.
func (p *Page) Errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.errors...)
}

func (p *Page) hear(method string, params json.RawMessage) {
	var said struct {
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Entry struct{ Level, Text, URL string }
		Type  string
		Args  []struct {
			Value       any
			Description string
		}
	}
	if json.Unmarshal(params, &said) != nil {
		return
	}
	var text string
	switch {
	case method == "Runtime.exceptionThrown":
		text = said.ExceptionDetails.Text + " " + said.ExceptionDetails.Exception.Description
	case method == "Log.entryAdded" && said.Entry.Level == "error":
		text = said.Entry.Text + " " + said.Entry.URL
	case method == "Runtime.consoleAPICalled" && said.Type == "error":
		for _, arg := range said.Args {
			text += fmt.Sprint(arg.Value, " ", arg.Description, " ")
		}
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, text)
}
