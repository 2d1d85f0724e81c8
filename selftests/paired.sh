# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Cases with a control, beside lib.sh: each case runs without agents first, to show that its expectation holds without ihmp as well.
#
#   paired "what it shows" FUNCTION [ARGUMENT...]   runs two cases: one without agents, in which no hook is registered, and one with them
# The following functions do something only in the case with agents:
#   agents HOST...                                  starts agents; without agents, checks that no hook is registered
#   acquainted A ADDR_OF_B B ADDR_OF_A              waits until both hosts know each other
#   knows HOST PEER ADDR                            waits until this address of the peer is active
#   knows_former HOST PEER ADDR                     waits until this address of the peer is an alias
# In both cases:
#   taking_part                                     is it the case with agents?
#   later SECONDS                                   waits so long

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

# has_in HOST PEER ADDR SET: Waits until the address of the peer is in this set.
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
