# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Cases with their control, beside lib.sh: what has to be with agents is shown to be so without them.
#
#   paired "what it shows" FUNCTION [ARGUMENT...]   two cases: without agents, where no hook is registered, and with them
#   agents HOST...                                  starts agents, in the second
#   acquainted A ADDR_OF_B B ADDR_OF_A              both know each other, in the second
#   knows HOST PEER ADDR                            that address of the peer is active to it, in the second
#   knows_former HOST PEER ADDR                     that address of the peer is an alias to it, in the second
#   taking_part                                     is it the second?
#   later SECONDS                                   so much time passes, in both

AGENTS=1

paired() {
	local AGENTS

	for AGENTS in 0 1; do
		run_case "$([ $AGENTS = 1 ] || echo 'control without agents, ')$1" "${@:2}"
	done
}

taking_part() {
	[ $AGENTS = 1 ]
}

agents() {
	local host

	! taking_part || { agent_start "$@" && return; } || return
	for host in "$@"; do
		equal "hooks at $host" 0 "$(figure "$host" hooks)" || return
	done
}

acquainted() {
	! taking_part || must "both hosts know each other" hosts_up "$@"
}

# has_in HOST PEER ADDR SET
has_in() {
	! taking_part ||
		must "$1 has $3, $4" slowwait 10 host_is "$1" "$2" "any(.addr[]; .address == \"$3\" and .set == \"$4\")"
}

knows() {
	has_in "$@" active
}

knows_former() {
	has_in "$@" alias
}

later() {
	[ "$1" = 0 ] || POLL_MS=1000 slowwait $(($1 + 30)) passed "$(now_ms)" $(($1 * 1000))
}
