#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests that commands and packets go on, and nothing is done by halves, when any allocation fails or a socket is locked by its program. This
# needs a kernel that can make allocations fail (failslab), such as that of the debug guest.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# refusable: Can this kernel make allocations fail?
refusable() {
	[ -d /sys/kernel/debug/failslab ] || mount -t debugfs none /sys/kernel/debug 2>/dev/null
	[ -d /sys/kernel/debug/failslab ] || { skip "this kernel has no failslab" && return 1; }
}

# short NAME ARGUMENT...: Runs shortage.py in a namespace; SAID is its output.
short() {
	SAID=$(in_ns "$1" "$SELFTESTS/shortage.py" "${@:2}" 2>&1) || fail "$SAID"
}

# short_command NAME: Checks one command while each of its allocations fails once.
short_command() {
	refusable || return 0
	FAMILIES=4 topo_pair && short m command "$1" || return
	note "$1: $SAID"
	at_least "allocations" 1 "${SAID%% *}"
}

# Checks loading the module while namespaces exist, which it has to initialise.
load() {
	refusable || return 0
	FAMILIES=4 topo_trio || return
	module_unload
	short m load "${IHMP_KO:?}" || return
	note "load: $SAID"
	must "it is there" module_loaded
	at_least "failures" 1 "$(sed -E 's/.* ([0-9]+) failures.*/\1/' <<<"$SAID")"
}

# packets FAMILY: Checks packets whose rows cannot be allocated: they are sent untranslated, and counted.
packets() {
	local family=$1 M C

	refusable || return 0
	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	introduce m "$M" c "$C" && capture c eth0 -Q in "udp dst port 5001" || return
	# The neighbour is resolved before, because packets that wait for that may be dropped.
	must "c is there" in_ns m ping -qnc 1 -W 2 "$C" >/dev/null || return
	short m send "$C" 5001 30 || return
	at_least "datagrams that were sent" 10 "$SAID"
	must "all arrive" slowwait 5 arrived "$SAID" || return
	at_least "rows without memory" 1 "$(reason m no-memory)"
	ctl m host flush && ctl c host flush || return
	equal "what is left" "0 0" "$(figure m hosts) $(figure m flows)"
}

arrived() {
	[ "$(captured c eth0 'UDP, length 5')" = "$1" ]
}

# sleeper FAMILY: A program sleeps with its socket locked, and its host is given up. Checks that nothing waits for that program.
sleeper() {
	local family=$1 M C since stuck

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	ctl m param set path-timeout 2 && introduce m "$M" c "$C" && serve c "$family" tcp:5000 || return
	start m "$SELFTESTS/shortage.py" stuck "$C" 5000 >"$TMP/stuck" 2>&1
	stuck=$BG
	must "it sleeps" slowwait 10 has_line "$TMP/stuck" . || return
	if has_line "$TMP/stuck" userfaultfd; then
		skip "$(cat "$TMP/stuck")" && return 0
	fi
	traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "flows" slowwait 5 figure_at_least m flows 2 || return
	ctl m host set "${HID[m]}" clear local || return
	must "who is awake is told" slowwait 20 figure_at_least m unreachable 1 || return
	# The module looks at its hosts once a second, so commands run during several of these looks.
	since=$(now_ms)
	while [ $(($(now_ms) - since)) -lt 5000 ]; do
		must "commands go on" ctl m host set "${HID[m]}" name again || return
		nap 0.5
	done
	equal "told" 1 "$(figure m unreachable)"
	must "the namespace goes on" ctl m host flush || return
	stop_process "$stuck" KILL
	traffic_end m
}

for name in host-new host-set "host-set with addresses that another host had" addr-new addr-del nat-new "nat-new in the place of others" \
	policy-new param-set host-flush; do
	run_case "$name: each allocation fails once" short_command "$name"
done
run_case "loading: each allocation fails once" load
for family in 4 6; do
	run_case "IPv$family: packets for whose rows there is no memory" packets "$family"
	run_case "IPv$family: nobody waits for a program that sleeps with its socket locked" sleeper "$family"
done
suite_end
