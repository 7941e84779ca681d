package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// question is one call of testdata/python/peer.py, and raw is JSON that Go can't write, such as half a surrogate pair.
type question struct {
	Call string          `json:"call"`
	Args json.RawMessage `json:"args"`
}

// frappeEnqueue is a call of frappe.enqueue; options is an object in JSON.
func frappeEnqueue(options string) question {
	return question{Call: "produce.frappe", Args: json.RawMessage(options)}
}

// ask has a Python process with real RQ answer all questions, and returns what it answered: nil where it raised.
func (b *bed) ask(ctx context.Context, questions []question) (answers []json.RawMessage, err error) {
	var in bytes.Buffer
	for _, q := range questions {
		// By hand: an encoder would mend what isn't UTF-8.
		fmt.Fprintf(&in, `{"call": %q, "args": %s}`+"\n", q.Call, q.Args)
	}
	dir, err := filepath.Abs(filepath.Join(b.o.testdata, "python"))
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, b.python, filepath.Join(dir, "peer.py"))
	cmd.Env = append(os.Environ(), "REDIS_URL="+b.redis.URL(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin, cmd.Stderr = &in, &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask Python with RQ %s: %w\n%s", b.version, err, &said)
	}
	for line := range bytes.Lines(out) {
		var answer struct{ OK json.RawMessage }
		if err := json.Unmarshal(line, &answer); err != nil {
			return nil, fmt.Errorf("with RQ %s Python answered %.200q: %w", b.version, line, err)
		}
		answers = append(answers, answer.OK)
	}
	if len(answers) != len(questions) {
		return nil, fmt.Errorf("with RQ %s Python answered %d of %d questions", b.version, len(answers), len(questions))
	}
	return answers, nil
}
