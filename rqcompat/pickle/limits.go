package pickle

import "cmp"

// Limits bounds what Decode and Encode do for one value. A field that is zero or negative means its default, so
// that the zero Limits are usable.
type Limits struct {
	// Input is the size of a pickle to decode, in bytes. Default 32 MiB. Text that has to be copied to bring old
	// protocols' bytes into their normal form is limited by the same figure.
	Input int
	// Nodes is the number of values, repeated references included. A node costs up to about 100 bytes of memory.
	// Default 1,048,576.
	Nodes int
	// Depth is how deep containers and objects nest. CPython can't write more than its recursion limit of 1000.
	// Default 1000, at most 100,000.
	Depth int
	// Memo is the number of remembered values. Default 1,048,576.
	Memo int
	// IntDigits is the length of one integer in decimal digits. Default 100,000.
	IntDigits int
	// Output is the size of a pickle to write, in bytes. Default 64 MiB.
	Output int
}

// maxDepth keeps recursion far from the size at which Go ends the process.
const maxDepth = 100_000

func (l Limits) resolve() Limits {
	return Limits{
		Input:     cmp.Or(max(l.Input, 0), 32<<20),
		Nodes:     cmp.Or(max(l.Nodes, 0), 1<<20),
		Depth:     min(cmp.Or(max(l.Depth, 0), 1000), maxDepth),
		Memo:      cmp.Or(max(l.Memo, 0), 1<<20),
		IntDigits: cmp.Or(max(l.IntDigits, 0), 100_000),
		Output:    cmp.Or(max(l.Output, 0), 64<<20),
	}
}
