// Package demo holds the Python side of `bridge demo`: what a bench's own
// processes would do, on real RQ, without a bench.
package demo

import "embed"

// Source has the scripts, and in the directory frappe the part of Frappe that
// they need.
//
//go:embed *.py frappe
var Source embed.FS
