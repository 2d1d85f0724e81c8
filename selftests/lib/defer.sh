# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Commands that run when a scope ends, whether it succeeded or failed. The names are those of the kernel's
# selftests/net/lib/sh/defer.sh.
#
#   defer CMD...            runs CMD when the innermost scope ends, or outside of any scope when the suite ends; the last one is first
#   in_defer_scope CMD...   runs CMD in a new scope and returns its status
#
# A case is a scope. The output of deferred commands goes to $TMP/deferred.log.

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

# run_deferred FLOOR: Runs and forgets the deferred commands except for the first FLOOR ones.
run_deferred() {
	local i

	for ((i = ${#DEFERRED[@]} - 1; i >= $1; i--)); do
		eval "${DEFERRED[i]}" >>"$TMP/deferred.log" 2>&1
		unset 'DEFERRED[i]'
	done
}
