package pickle

import "time"

// Limits bounds what is done for one value. A field that is zero or negative means its default, so that the zero Limits
// are usable: with them a value costs at most 200 ms and 64 MiB, its JSON included.
type Limits struct {
	// Work is what may be done, in units of about one nanosecond: decoding a usual job takes some thousands. Every call
	// of this package has it anew. Default 200,000,000.
	Work int
	// Memory is the estimated bytes that decoding may take beside its input. A value takes up to about 100. Default
	// 40 MiB.
	Memory int
	// Deadline is when decoding and conversion give up. It is looked at about every millisecond. Default none.
	Deadline time.Time
	// Input is the size of a pickle to decode, in bytes. Default 24 MiB.
	Input int
	// Depth is how deep containers and objects nest. CPython can't write more than its recursion limit of 1000.
	// Default 1000, at most 100,000.
	Depth int
	// IntDigits is the length of one integer in decimal digits. Default 100,000.
	IntDigits int
	// Output is the size of a pickle to write, in bytes. Default 64 MiB.
	Output int
	// Text is the size of a value's JSON, in bytes. Default 24 MiB.
	Text int

	spent Cost
}

// Cost is what it took to decode a value. Work is in units of about one nanosecond on a machine of 2020, Memory is the
// estimated bytes that the value takes, and with it what decoding needed beside it.
type Cost struct{ Work, Memory int }

// After gives limits that know what was spent on a value before it is decoded, by inflating it for instance.
func (l Limits) After(c Cost) Limits {
	l.spent = c
	return l
}

// maxDepth keeps recursion far from the size at which Go ends the process.
const maxDepth = 100_000

func (l Limits) resolve() Limits {
	return Limits{
		Work:      orDefault(l.Work, 200_000_000),
		Memory:    orDefault(l.Memory, 40<<20),
		Deadline:  l.Deadline,
		Input:     orDefault(l.Input, 24<<20),
		Depth:     min(orDefault(l.Depth, 1000), maxDepth),
		IntDigits: orDefault(l.IntDigits, 100_000),
		Output:    orDefault(l.Output, 64<<20),
		Text:      orDefault(l.Text, 24<<20),
	}
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}
