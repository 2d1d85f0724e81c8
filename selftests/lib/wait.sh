# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Time, and waiting for conditions: there is no blind sleep in a test. slowwait is that of the kernel's selftests/net/lib.sh.

mkfifo "$TMP/nap"
exec {NAP}<>"$TMP/nap"

now_ms() {
	local now=${EPOCHREALTIME/./}

	echo "${now%???}"
}

# passed MOMENT_MS MS: that long ago, or longer.
passed() {
	[ $(($(now_ms) - $1)) -ge "$2" ]
}

# nap SECONDS: without a process; only for polling and for generators.
nap() {
	read -rt "$1" -u "$NAP" _ || true
}

# slowwait SECONDS CMD...: waits until CMD succeeds, and prints what CMD printed last. The output ends with a newline, so a result
# that follows begins a line. The status says whether CMD succeeded. CMD runs in this shell. Its errors are printed when it never succeeds. It is tried at least every 160 ms, or
# POLL_MS: looking costs computing, a wait of many seconds needs it less.
slowwait() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) pause=5 most=${POLL_MS:-160} status=0 seconds
	# A condition may wait for another one, and two processes wait at the same time.
	local depth=$((${depth:-0} + 1))
	local said=$TMP/said.$BASHPID.$depth
	shift

	until "$@" >"$said" 2>"$said.errors"; do
		if [ "${EPOCHREALTIME/./}" -ge "$end" ]; then
			status=1
			cat "$said.errors" >&2
			break
		fi
		printf -v seconds '0.%03d' $pause
		nap "$seconds"
		[ $pause -ge "$most" ] || pause=$((pause * 2))
	done
	[ ! -s "$said" ] || printf '%s\n' "$(<"$said")"
	return $status
}

# nap_until MOMENT_MS: for generators.
nap_until() {
	local left=$(($1 * 1000 - ${EPOCHREALTIME/./})) seconds

	[ $left -gt 0 ] || return 0
	printf -v seconds '%d.%06d' $((left / 1000000)) $((left % 1000000))
	nap "$seconds"
}

# quiet CMD...: without what it prints.
quiet() {
	"$@" >/dev/null 2>&1
}

# not CMD...: CMD fails.
not() {
	! "$@"
}

# has_line FILE PATTERN: some line matches the extended regular expression.
has_line() {
	local line

	[ -e "$1" ] || return
	while IFS= read -r line || [ -n "$line" ]; do
		[[ ! $line =~ $2 ]] || return 0
	done <"$1"
	return 1
}
