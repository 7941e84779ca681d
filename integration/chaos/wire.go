package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// scripts are names of Redis scripts by their hash: what their first line says of them.
var scripts sync.Map

// redisReader reads Redis's requests. A kind is the command with what its key is of, or what a script is for.
func redisReader() reader {
	return func(r *bufio.Reader) (raw []byte, kind string, err error) {
		head, err := r.ReadSlice('\n')
		if err != nil {
			return nil, "", err
		}
		raw = append(raw, head...)
		n, err := strconv.Atoi(strings.TrimSpace(string(head[1:])))
		if head[0] != '*' || err != nil {
			return nil, "", fmt.Errorf("a request begins with %q", head)
		}
		args := make([]string, 0, 4)
		for i := range n {
			head, err := r.ReadSlice('\n')
			if err != nil {
				return nil, "", err
			}
			raw = append(raw, head...)
			size, err := strconv.Atoi(strings.TrimSpace(string(head[1:])))
			if err != nil {
				return nil, "", err
			}
			from := len(raw)
			raw = append(raw, make([]byte, size+2)...)
			if _, err := io.ReadFull(r, raw[from:]); err != nil {
				return nil, "", err
			}
			if i < cap(args) {
				args = append(args, string(raw[from:from+size]))
			}
		}
		return raw, redisKind(args), nil
	}
}

func redisKind(args []string) string {
	if len(args) == 0 {
		return ""
	}
	name := strings.ToUpper(args[0])
	if len(args) == 1 {
		return name
	}
	switch name {
	case "EVAL", "EVALSHA":
		if of := scriptName(name, args[1]); of != "" {
			return "script: " + of
		}
		return ""
	case "SCRIPT":
		if len(args) > 2 {
			scriptName("EVAL", args[2])
		}
		return "SCRIPT LOAD"
	case "HELLO", "CLIENT", "SUBSCRIBE", "PUBLISH", "AUTH", "SELECT", "INFO", "COMMAND":
		return name
	}
	// rq:job:<id> is one kind, whatever the id.
	parts := strings.SplitN(args[1], ":", 3)
	return name + " " + strings.Join(parts[:min(len(parts), 2)], ":")
}

// scriptName is the beginning of what a script says of itself, "" of a hash whose text was not seen yet.
func scriptName(command, text string) string {
	if command == "EVALSHA" {
		name, _ := scripts.Load(text)
		known, _ := name.(string)
		return known
	}
	line, _, _ := strings.Cut(text, "\n")
	name := strings.TrimSpace(strings.TrimPrefix(line, "--"))
	hash := sha1.Sum([]byte(text))
	scripts.Store(hex.EncodeToString(hash[:]), name[:min(len(name), 50)])
	return name[:min(len(name), 50)]
}

// comQuery and the others are MySQL's commands.
const (
	comQuery   = 3
	comPrepare = 22
	comExecute = 23
)

var table = regexp.MustCompile("`?tab[A-Z][A-Za-z ]*`?")

// mysqlReader reads MariaDB's packets. A kind is the statement's first word with its table.
func mysqlReader() reader {
	prepared := "" // the last one of this connection, which is what is executed next
	return func(r *bufio.Reader) (raw []byte, kind string, err error) {
		head := make([]byte, 4)
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, "", err
		}
		size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		raw = append(head, make([]byte, size)...)
		if _, err := io.ReadFull(r, raw[4:]); err != nil {
			return nil, "", err
		}
		if head[3] != 0 || size == 0 {
			return raw, "", nil
		}
		switch raw[4] {
		case comQuery:
			kind = statement(raw[5:])
		case comPrepare:
			prepared = statement(raw[5:])
			kind = "prepare " + prepared
		case comExecute:
			kind = "execute " + prepared
		}
		return raw, kind, nil
	}
}

func statement(text []byte) string {
	word, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" "))
	name := strings.ToUpper(string(word[:min(len(word), 20)]))
	if found := table.Find(text); found != nil {
		name += " " + strings.Trim(string(found), "` ")
	}
	return name
}
