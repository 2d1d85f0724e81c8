# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What is done when a scope ends, whatever became of it. Names are those of the kernel's selftests/net/lib/sh/defer.sh.
#
#   defer CMD...            runs when the innermost scope ends, last one first; outside of any, when the suite ends
#   in_defer_scope CMD...   runs CMD in a scope of its own; the status is CMD's
#
# A case is a scope. What deferred commands say is in $TMP/deferred.log.

DEFERRED=()

defer() {
	DEFERRED+=("$(printf '%q ' "$@")")
}

in_defer_scope() {
	local floor=${#DEFERRED[@]} status=0

	"$@" || status=$?
	run_deferred "$floor"
	return $status
}

# run_deferred FLOOR: runs and forgets all but the first ones, FLOOR of them.
run_deferred() {
	local i

	for ((i = ${#DEFERRED[@]} - 1; i >= $1; i--)); do
		eval "${DEFERRED[i]}" >>"$TMP/deferred.log" 2>&1
		unset 'DEFERRED[i]'
	done
}
