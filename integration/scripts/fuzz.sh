#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each: fuzz.sh 10m
set -euo pipefail
cd "$(dirname "$0")/../.."
fuzztime="$1"

found=0
for package in $(go list ./...); do
	# On its own line, so that a package that does not compile ends the script.
	listed=$(go test -list '^Fuzz' "$package")
	for target in $(grep '^Fuzz' <<<"$listed" || true); do
		echo "fuzz: $target of $package for $fuzztime"
		# Minimizing an input for a minute, the default, would stand in the way of finding others.
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -fuzzminimizetime 10x "$package"
		found=$((found + 1))
	done
done
[ "$found" -gt 0 ] || { echo "fuzz: there is no fuzz target" >&2; exit 1; }
