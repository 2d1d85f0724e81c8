# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cache of roots, kernels and downloads; the scripts of this folder source it.
#
# An entry is a folder. It is built under a lock and a temporary name, and renamed when it is complete. So nobody sees a half-written
# entry, and two callers never build the same one.

VM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # for who sources this
REPO=$(cd "$VM/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ihmp

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

say() {
	echo "${0##*/}: $*" >&2
}

must_be_root() {
	[ "$(id -u)" = 0 ] || die "root is needed (mounts and guests): use sudo -E"
}

# hash_of STRING...: Prints 12 hex digits that name a configuration.
hash_of() {
	printf '%s\n' "$@" | sha256sum | cut -c1-12
}

# cached NAME BUILDER: Makes sure that $CACHE/NAME exists, and prints its path. BUILDER is a function; it gets a temporary folder to fill.
# Its output goes to $CACHE/NAME.log.
cached() {
	local name=$1 builder=$2 entry=$CACHE/$1 log=$CACHE/$1.log tmp

	mkdir -p "$(dirname "$entry")"
	if [ ! -d "$entry" ]; then
		exec 9>"$entry.lock"
		flock 9
		if [ ! -d "$entry" ]; then
			tmp=$entry.tmp
			rm -rf "$tmp"
			mkdir -p "$tmp"
			say "building $name (log: $log)"
			set +e
			(set -e; exec 9>&-; "$builder" "$tmp") >"$log" 2>&1 </dev/null
			set -e
			if [ ! -e "$tmp/.complete" ]; then
				tail -n 25 "$log" >&2
				die "building $name failed; the whole log is $log"
			fi
			mv "$tmp" "$entry"
		fi
		exec 9>&-
	fi
	echo "$entry"
}
