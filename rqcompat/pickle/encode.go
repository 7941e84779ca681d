package pickle

import (
	"fmt"
	"math/big"
)

// Encode writes v as a pickle of protocol 4 under the default Limits.
//
// It takes everything Decode returns and, besides, plain Go values: all integer types, float32, []byte (bytes),
// []any and []string (list), map[string]any (dict with sorted keys) and json.Number. A *List, *Dict, *Set, *Tuple,
// *Object or *ByteArray that is referred to twice is one object in Python too.
//
// Errors are *UnsupportedError for values and *LimitError for sizes. Neither contains data of v.
func Encode(v any) ([]byte, error) {
	return EncodeOptions{}.Encode(v)
}

// EncodeOptions says how to write. The zero value is what Encode uses.
type EncodeOptions struct {
	// Protocol is 2, 3, 4 or 5. Default 4, which Python reads since 3.4.
	Protocol int
	// Limits bounds the work; of Input nothing is used.
	Limits Limits
}

// Encode writes v as a pickle, see the function Encode.
func (o EncodeOptions) Encode(v any) (pickle []byte, err error) {
	if o.Protocol == 0 {
		o.Protocol = 4
	}
	if o.Protocol < 2 || o.Protocol > 5 {
		return nil, &UnsupportedError{fmt.Sprintf("protocol %d can't be written, only 2 to 5", o.Protocol)}
	}
	e := encoders.Get().(*encoder)
	defer e.release()
	defer failed(&err)
	e.lim, e.proto = o.Limits.resolve(), o.Protocol
	e.b = append(e.b, opProto, byte(o.Protocol))
	e.save(v, 0)
	e.b = append(e.b, opStop)
	e.room(0)
	return append([]byte(nil), e.b...), nil
}

// save writes one value and leaves it on top of the reader's stack.
func (e *encoder) save(v any, depth int) {
	e.room(0)
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, opNone)
	case string:
		e.text(v)
	case bool:
		if v {
			e.b = append(e.b, opNewtrue)
		} else {
			e.b = append(e.b, opNewfalse)
		}
	case int64:
		e.int(v)
	case float64:
		e.float(v)
	case *Dict, *List, *Tuple, *Object, *Global, *Set, *FrozenSet, *ByteArray:
		e.node(v, depth)
	case Bytes:
		e.bytes(v)
	case *big.Int:
		e.bigInt(v)
	default:
		e.goValue(v, depth)
	}
}

// saveAll writes values one after the other.
func (e *encoder) saveAll(depth int, values ...any) {
	for _, v := range values {
		e.save(v, depth)
	}
}

func (e *encoder) savePairs(depth int, pairs []Pair) {
	for i := range pairs {
		e.save(pairs[i].Key, depth)
		e.save(pairs[i].Value, depth)
	}
}
