#!/usr/bin/env bash
# Installs what tests, demo and benchmarks need and this machine lacks, and says what it does. Safe to run again: with
# everything in place it takes less than a second.
#
#   setup.sh STATICCHECK_VERSION            all of it: Debian packages, Python environments, Node modules, staticcheck
#   setup.sh STATICCHECK_VERSION packages   Debian packages only
set -euo pipefail
cd "$(dirname "$0")/../.."

cache="${BRIDGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dartwing-bridge}"
staticcheck_version="$1"
shift

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# have PROGRAM: also where only root's PATH looks.
have() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

missing_packages() {
	have redis-server || echo redis-server
	{ have mariadbd && have mariadb-install-db; } || echo mariadb-server-core
	have my_print_defaults || echo mariadb-client-core
	have python3 || echo python3
	python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
	have node || echo nodejs
	have npm || echo npm
	have chromium || echo chromium
	# The race detector is linked by a C compiler.
	{ have gcc || have clang; } || echo gcc libc6-dev
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "installing needs root and there is no sudo; run as root: $*"
	fi
}

# install_packages keeps the packages from starting services: tests start servers of their own, on ports of their own,
# and a redis-server on the standard port would be a surprise.
install_packages() {
	have apt-get || die "missing: $*; this is no Debian, so install the programs of these packages by hand"
	say "installing Debian packages: $*"
	local policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
		trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
	case " $* " in *" redis-server "*)
		# Nor at the next boot.
		as_root update-rc.d redis-server disable ;;
	esac
}

packages=$(missing_packages | tr '\n' ' ')
if [ -n "$packages" ]; then
	# shellcheck disable=SC2086 # a list of words
	install_packages $packages
fi
[ "${1:-}" = packages ] && exit 0

if [ ! -x "$cache/bin/staticcheck-$staticcheck_version" ]; then
	say "building staticcheck $staticcheck_version"
	GOFLAGS='' GOBIN="$cache/bin/new" go install "honnef.co/go/tools/cmd/staticcheck@$staticcheck_version"
	mv "$cache/bin/new/staticcheck" "$cache/bin/staticcheck-$staticcheck_version"
fi

go run ./integration/servers/cmd/prepare
