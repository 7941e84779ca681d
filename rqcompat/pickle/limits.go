package pickle

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
	// Text is the size of a value's JSON, in bytes. Default 128 MiB.
	Text int
}

// maxDepth keeps recursion far from the size at which Go ends the process.
const maxDepth = 100_000

func (l Limits) resolve() Limits {
	return Limits{
		Input:     orDefault(l.Input, 32<<20),
		Nodes:     orDefault(l.Nodes, 1<<20),
		Depth:     min(orDefault(l.Depth, 1000), maxDepth),
		Memo:      orDefault(l.Memo, 1<<20),
		IntDigits: orDefault(l.IntDigits, 100_000),
		Output:    orDefault(l.Output, 64<<20),
		Text:      orDefault(l.Text, 128<<20),
	}
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}
