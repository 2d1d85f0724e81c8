#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests programs with unconnected UDP sockets that choose the source address of an answer themselves, or have learned the address of a
# peer. They go on with the addresses that they know after a move.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

declare -A FRESH=([4]=192.0.2.77 [6]=2001:db8:1::77)

# stage FAMILY: Builds two hosts, and sets M, C and NEW. At m there will be a server that answers from the address at which it was asked,
# and at c a connected and an unconnected client.
stage() {
	FAMILIES=$1 topo_pair || return
	M=${ADDR[m.eth0.$1]} C=${ADDR[c.eth0.$1]} NEW=${FRESH[$1]}
}

clients() {
	serve m "$1" udpi:5001 udpi:5002 && traffic c "$1" "$M" udpc:5001 udpu:5002
}

# content: Checks that neither end had an error, and that all answers came from the address that was asked.
content() {
	traffic_end c && serve_end m || return
	equal "errors of the server" '[]' "$(jq -c '[.flows[].errors | select(. != {})]' "$TMP/serve.m.json")"
	equal "errors of the clients" '[]' "$(jq -c '[.flows[].errors | select(. != {})]' "$TMP/run.c.json")"
	equal "answers came from" "$M 5001 $M 5002" "$(jq -r '[.flows[] | .sources | keys[]] | sort | join(" ")' "$TMP/run.c.json")"
}

# without FAMILY: Checks the same programs without host entries, as a control.
without() {
	local M C NEW

	stage "$1" && clients "$1" && must "goes on" goes_on c 20 && content
}

# Checks that the clients go on when the server's host moves and the address at which they ask is gone.
server_moves() {
	local M C NEW

	stage "$1" && introduce m "$M" c "$C" && clients "$1" || return
	must "flows" slowwait 5 figure_at_least m flows 2 || return
	address m eth0 "$1" "$NEW" "$M" && moved m c "$NEW" || return
	must "goes on after the move" goes_on c 20 || return
	at_least "translated" 20 "$(figure m out-translated)"
	content
}

# Checks that a server that is started after the move can take over. It has sent nothing yet, so its socket has no grant.
server_again() {
	local M C NEW

	stage "$1" && introduce m "$M" c "$C" && clients "$1" || return
	must "flows" slowwait 5 figure_at_least m flows 2 || return
	address m eth0 "$1" "$NEW" "$M" && moved m c "$NEW" || return
	must "goes on after the move" goes_on c 5 || return
	serve_end m && serve m "$1" udpi:5001 udpi:5002 || return
	must "goes on with the new server" goes_on c 20 || return
	traffic_end c && serve_end m || return
	equal "errors of the new server" '[]' "$(jq -c '[.flows[].errors | select(. != {})]' "$TMP/serve.m.json")"
	equal "answers came from" "$M 5001 $M 5002" "$(jq -r '[.flows[] | .sources | keys[]] | sort | join(" ")' "$TMP/run.c.json")"
}

# caller FAMILY: Starts a program at c. For each line on its input it sends a datagram to m from one unconnected socket, and prints the
# address from which the answer came.
caller() {
	rm -f "$TMP/calls"
	mkfifo "$TMP/calls" || return
	exec {CALLS}<>"$TMP/calls"
	start c python3 -uc '
import socket, sys
family, here, there = sys.argv[1:]
sock = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((here, 5060))
sock.settimeout(2)
for line in sys.stdin:
    sock.sendto(bytes.fromhex("49484d50") + bytes(20), (there, 5060))
    try:
        print("answer from", sock.recvfrom(4096)[1][0])
    except OSError as problem:
        print("none:", problem)
' "$1" "$C" "$M" <"$TMP/calls" >"$TMP/caller"
	defer hang_up "$CALLS"
}

hang_up() {
	local fd=$1

	exec {fd}>&-
}

# call N: Makes the Nth call, and checks that its answer comes from the address that was called.
call() {
	echo >&"$CALLS"
	must "call $1 is answered" slowwait 5 lines_are "$TMP/caller" "$1" || return
	equal "call $1" "answer from $M" "$(tail -n 1 "$TMP/caller")"
}

lines_are() {
	[ "$(wc -l <"$1")" = "$2" ]
}

# quiet_for FAMILY: Builds hosts with udp-timeout 1, and makes one call, by which c has learned the address of m.
quiet_for() {
	stage "$1" && introduce m "$M" c "$C" && serve m "$1" udpi:5060 || return
	ctl m param set udp-timeout 1 && ctl c param set udp-timeout 1 || return
	caller "$1" && call 1
}

# Checks that a flow is forgotten if nobody has moved and there is no room; the next call works.
learned_control() {
	local M C NEW CALLS

	quiet_for "$1" || return
	nap 30
	equal "flows at c and m" "1 1" "$(figure c flows) $(figure m flows)"
	ctl m param set max-flows 8 && ctl c param set max-flows 8 || return
	must "the flow goes" slowwait 60 figure_is c flows 0 && must "at m, too" slowwait 60 figure_is m flows 0 || return
	call 2
}

# The same, but m moves after so long a silence that the flow would be gone if there were no room.
learned_early() {
	local M C NEW CALLS

	quiet_for "$1" || return
	nap 30
	address m eth0 "$1" "$NEW" "$M" && moved m c "$NEW" && call 2 || return
	at_least "translated" 1 "$(figure c out-translated)"
}

# m moves. Then nothing is sent for longer than udp-timeout, and the flow must be there still.
learned() {
	local M C NEW CALLS before

	quiet_for "$1" || return
	address m eth0 "$1" "$NEW" "$M" && moved m c "$NEW" && call 2 || return
	before=$(now_ms)
	slowwait 60 passed "$before" 30000
	equal "flows at c and m" "1 1" "$(figure c flows) $(figure m flows)"
	call 3 || return
	at_least "translated" 2 "$(figure c out-translated)"
	# A silent flow goes when the table is half full, and every flow goes with its socket.
	if [ "$2" = full ]; then
		ctl c param set max-flows 2
	else
		stop_process "$BG" KILL
	fi
	must "the flow goes" slowwait 60 figure_is c flows 0
}

for family in 4 6; do
	run_case "IPv$family: a server that names its source, without hosts" without $family
	run_case "IPv$family: a server that names its source moves" server_moves $family
	run_case "IPv$family: it is started again after the move" server_again $family
	run_case "IPv$family: where to call was learned; nobody moves, and the flow is forgotten where an eighth of the table is full" learned_control $family
	run_case "IPv$family: where to call was learned long before a move" learned_early $family
	run_case "IPv$family: where to call was learned before a move, and is right after a long silence" learned $family closed
	run_case "IPv$family: the same while the table is half full" learned $family full
done
suite_end
