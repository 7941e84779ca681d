//go:build race

package rqcompat_test

// race tells that the race detector is on, under which everything takes many times as long.
const race = true
