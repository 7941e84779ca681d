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
	src bytes.Reader
	zr  io.ReadCloser
	buf []byte
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
	buf := in.buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := in.zr.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		in.buf = buf
		switch {
		case len(buf) > limit:
			return nil, &pickle.LimitError{Limit: "inflated bytes", Max: limit}
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

func (in *inflater) release() {
	in.src.Reset(nil)
	if cap(in.buf) > mostKept {
		in.buf = nil
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
