//go:build !race

package rqcompat_test

const race = false
