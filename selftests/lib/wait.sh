# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Time, and waiting for conditions. No test sleeps for a fixed time where it can wait for a condition. slowwait is that of the
# kernel's selftests/net/lib.sh.

mkfifo "$TMP/nap"
exec {NAP}<>"$TMP/nap"

now_ms() {
	local now=${EPOCHREALTIME/./}

	echo "${now%???}"
}

# passed MOMENT_MS MS: Is the moment at least that long ago?
passed() {
	[ $(($(now_ms) - $1)) -ge "$2" ]
}

# nap SECONDS: Sleeps without starting a process. It is for polling, and for code that sends at intervals.
nap() {
	read -rt "$1" -u "$NAP" _ || true
}

# slowwait SECONDS CMD...: Runs CMD until it succeeds, and prints what CMD printed last. The output ends with a newline, so that a KTAP
# line that follows begins on a line of its own. The status says whether CMD succeeded; if it never did, its errors are printed. CMD
# runs in this shell. The pause between two tries grows to 160 ms, or POLL_MS: each try costs computing, so a wait of many seconds
# should try less often.
slowwait() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) pause=5 most=${POLL_MS:-160} status=0 seconds
	# A condition may itself call slowwait, and two processes may wait at the same time, so each has a file of its own.
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

# nap_until MOMENT_MS: Sleeps until then; for code that sends at given times.
nap_until() {
	local left=$(($1 * 1000 - ${EPOCHREALTIME/./})) seconds

	[ $left -gt 0 ] || return 0
	printf -v seconds '%d.%06d' $((left / 1000000)) $((left % 1000000))
	nap "$seconds"
}

# quiet CMD...: Runs CMD without its output.
quiet() {
	"$@" >/dev/null 2>&1
}

# not CMD...: Succeeds if CMD fails.
not() {
	! "$@"
}

# has_line FILE PATTERN: Does some line match the extended regular expression?
has_line() {
	local line

	[ -e "$1" ] || return
	while IFS= read -r line || [ -n "$line" ]; do
		[[ ! $line =~ $2 ]] || return 0
	done <"$1"
	return 1
}
