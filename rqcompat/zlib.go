package rqcompat

import (
	"bytes"
	"compress/zlib"
	"io"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// zlib's reader and writer each carry tens of kilobytes of tables. Making one per job costs more than everything
// else that is done with a job here, so both are pooled.

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	// Level 1: readers accept any, and payloads are too small for a better one to matter.
	d.zw, _ = zlib.NewWriterLevel(&d.out, zlib.BestSpeed) // the level is valid
	return d
}}

// mostKept bounds the buffer that goes back into a pool, so that one large job doesn't stay in memory.
const mostKept = 256 << 10

type inflater struct {
	src bytes.Reader
	zr  io.ReadCloser
	out []byte
}

// inflateWork is what a byte of inflated data costs, in units of pickle.Limits.Work.
const inflateWork = 3

// inflate returns data inflated. The result is valid until release. More than limit bytes, or no end by the deadline,
// give a *pickle.LimitError before more than that is kept.
func (in *inflater) inflate(data []byte, limit int, deadline time.Time) ([]byte, error) {
	in.src.Reset(data)
	var err error
	if in.zr == nil {
		in.zr, err = zlib.NewReader(&in.src)
	} else {
		err = in.zr.(zlib.Resetter).Reset(&in.src, nil)
	}
	if err != nil {
		return nil, err
	}
	started := time.Now()
	out := in.out[:0]
	for {
		if len(out) == cap(out) {
			room := max(512, min(cap(out), limit+1-cap(out))) // not beyond what is allowed
			out = append(make([]byte, 0, cap(out)+room), out...)
		}
		n, err := in.zr.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		in.out = out
		switch {
		case len(out) > limit:
			return nil, &pickle.LimitError{Limit: "inflated bytes", Max: limit}
		case err == io.EOF:
			return out, nil
		case err != nil:
			return nil, err
		case !deadline.IsZero() && time.Now().After(deadline):
			return nil, &pickle.LimitError{Limit: "time", Max: int(max(0, deadline.Sub(started).Milliseconds()))}
		}
	}
}

func (in *inflater) release() {
	in.src.Reset(nil)
	if cap(in.out) > mostKept {
		in.out = nil
	}
	inflaters.Put(in)
}

type deflater struct {
	out bytes.Buffer
	zw  *zlib.Writer
}

// deflate returns b as a zlib stream in memory of its own.
func deflate(b []byte) []byte {
	d := deflaters.Get().(*deflater)
	d.out.Reset()
	d.zw.Reset(&d.out)
	d.zw.Write(b) // a bytes.Buffer takes everything
	d.zw.Close()
	stream := bytes.Clone(d.out.Bytes())
	if d.out.Cap() <= mostKept {
		deflaters.Put(d)
	}
	return stream
}
