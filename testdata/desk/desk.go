// Package desk holds the source of a page that stands in for Frappe's desk, for tests of Client Scripts.
package desk

import "embed"

// Source has the page and its script.
//
//go:embed desk.html desk.js
var Source embed.FS
