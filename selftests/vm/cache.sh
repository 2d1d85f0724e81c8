# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cache of roots, kernels and downloads: sourced by the scripts of this folder.
#
# An entry is a folder. It is built under a lock in a temporary name and renamed into place when it is complete, so a
# half-written entry is never seen, and two callers never build the same thing twice.

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

# hash_of STRING...: 12 hex digits that name a configuration.
hash_of() {
	printf '%s\n' "$@" | sha256sum | cut -c1-12
}

# cached NAME BUILDER: makes sure that $CACHE/NAME exists. BUILDER is a function, called with the temporary folder that
# it fills; what it prints goes to $CACHE/NAME.log. The path of the entry is printed.
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
