// Package pickle reads and writes Python's pickle format without Python.
//
// A pickle is a small program for a stack machine. Decode runs it symbolically: plain values become Go values, and
// everything that would need an import or a call becomes a description of it (Global, Object). Nothing is ever
// imported, looked up or called, so a hostile pickle can at worst be refused.
//
//	Python                Go
//	None                  nil
//	bool                  bool
//	int                   int64 when it fits, else *big.Int
//	float                 float64
//	str                   string, UTF-8; a lone surrogate keeps its 3-byte form
//	bytes                 Bytes
//	bytearray             *ByteArray
//	list, tuple           *List, *Tuple
//	dict                  *Dict, in order
//	set, frozenset        *Set, *FrozenSet
//	function, class       *Global
//	any other object      *Object; see Base for those of subclasses of the types above
//
// Protocols 0 to 5 are read, with every opcode that a stream alone can give a meaning to. Persistent ids,
// extension codes and out-of-band buffers refer to something outside the stream and are refused by name and
// position. Protocols 2 to 5 are written, 4 by default, without frames.
//
// # Promise
//
// What is decoded and encoded again loads in Python to an equal value of the same types, with the same order, the
// same sharing between lists, dicts, sets, tuples, objects and byte arrays, and the same cycles. Sharing of
// strings, bytes and numbers, on which no Python program can depend, is kept where it saves space.
//
// # Normal forms
//
// Older protocols write calls for plain types that they have no opcodes for. These calls are understood, so that a
// value looks the same whatever protocol it came in:
//
//   - _codecs.encode(text, "latin1") and bytes() are Bytes
//   - bytearray(...) of bytes or Latin-1 text is a ByteArray
//   - set([...]) and frozenset([...]) are Set and FrozenSet
//   - copyreg.__newobj__ and copyreg.__newobj_ex__ are NewObj and NewObjEx
//   - getattr(<global>, "name") is the Global with the dotted name (up to 256 bytes of module and name)
//   - module names of Python 2 in protocols 0 to 2 become those of Python 3, as CPython does by default
//
// Strings of Python 2 (opcodes STRING, BINSTRING, SHORT_BINSTRING) are text when they are ASCII and are refused
// otherwise, as CPython does by default. A call whose result the pickle throws away is dropped, except that of a
// state setter (sixth item of __reduce__), which becomes part of its Object. Duplicate keys of a dict and members
// of a set are merged as in Python, but for nan, which equals nothing: Python asks whether it is the same object, and here
// each is a member of its own. Bytes after STOP are ignored.
//
// # Failure
//
// A malformed or refused stream gives a *SyntaxError with the offset and the opcode, a stream that asks for too
// much a *LimitError with the name of the limit, a value that has no pickle an *UnsupportedError. No input makes
// the package panic. What a stream makes long, or has done again, is charged to one budget of work and memory, with a
// deadline if one is given (Limits, Cost). By default decoding costs at most 200 ms and 64 MiB, its input included, and
// writing a value as JSON not more. The other forms of a value can be larger than the value, where it shares much or where
// calls run in circles: they are cut for display, and Limits.JSON, which is for programs, refuses them by the name of the
// limit.
package pickle
