package rqcompat

import (
	"bytes"
	"compress/zlib"
	"io"
	"sync"

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
	src     bytes.Reader
	zr      io.ReadCloser
	limited io.LimitedReader // of zr
	out     bytes.Buffer
}

// inflate returns data inflated. The result is valid until release. More than limit bytes give a
// *pickle.LimitError before more than that is kept.
func (in *inflater) inflate(data []byte, limit int) ([]byte, error) {
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
	in.out.Reset()
	in.limited = io.LimitedReader{R: in.zr, N: int64(limit) + 1}
	_, err = in.out.ReadFrom(&in.limited)
	if in.out.Len() > limit {
		err = &pickle.LimitError{Limit: "inflated bytes", Max: limit}
	}
	if err != nil {
		return nil, err
	}
	return in.out.Bytes(), nil
}

func (in *inflater) release() {
	in.src.Reset(nil)
	if in.out.Cap() > mostKept {
		in.out = bytes.Buffer{}
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
