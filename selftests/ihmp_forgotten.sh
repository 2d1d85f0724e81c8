#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One side has lost what it knew of the other: the table of a server was emptied, or a host moved while no agent ran on it. Tests that
# connections from before go on after the move.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# stage FAMILY: Builds the testbed. m has a connection to c that is in use and an idle one, and c has a connection to m.
stage() {
	local family=$1

	FAMILIES=$family topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	speaker m "$family" && speaker c "$family" || return
	server c t tcp "$C" 5000 here && server m t tcp "$(any "$family")" 5000 there && agents m c || return
	for name in old idle; do
		says m ok "$name" tcp && ask m "$name" connect "$C" 5000 && says m here "$name" hear || return
	done
	acquainted m "$C" c "$M" || return
	says c ok back tcp && ask c back connect "$M" 5000 && says c there back hear && says c 5 back talk 5 && says m 5 old talk 5
}

# prepared FAMILY: Makes m's second network known to c, before a soft move.
prepared() {
	! taking_part || { FAMILIES=$1 join m wifi0 200 && knows c "$M" "$N"; }
}

move() {
	taking_part || return 0
	FAMILIES=$1 leave m eth0 || return
	[ "$2" = soft ] || FAMILIES=$1 join m wifi0
}

# emptied FAMILY silent|talking hard|soft: The table of c is emptied and its agent is started again. The agent has its key and the keys that
# it has learned. m is not told of that. With "talking", a connection is used before the move.
emptied() {
	local M C N family=$1

	stage "$family" || return
	[ "$3" = hard ] || prepared "$family" || return
	! taking_part || { agent_stop c && in_ns c ihmpd --flush && agent_start c; } || return
	[ "$2" = silent ] || says m 5 old talk 5 || return
	equal "hosts at c" 0 "$(figure c hosts)"
	move "$family" "$3" || return
	says m 5 old talk 5
	says m 5 idle talk 5
	says c 5 back talk 5
	says m "here 5" v visits "$C" 5000 5
	! taking_part || says c "there 5" v visits "$N" 5000 5
}

# absent FAMILY SECONDS [MORE]: The connections are idle for so long. Then the agent of m dies, m moves, and the agent is started again. c
# sends first, on the connection that it has opened. With so many MORE connections, sockets are woken only when the move
# is acknowledged.
absent() {
	local M C N family=$1 i

	stage "$family" || return
	for ((i = 0; i < ${3:-0}; i++)); do
		says c ok "more$i" tcp && ask c "more$i" connect "$M" 5000 && says c there "more$i" hear || return
	done
	later "$2" || return
	! taking_part || agent_stop m KILL || return
	move "$family" hard || return
	! taking_part || { agent_start m && knows c "$M" "$N" && must "m is acknowledged" slowwait 10 path_is m "$C" "$N" "$C"; } || return
	says c 5 back talk 5
	says m 5 old talk 5
	says m 5 idle talk 5
	for ((i = 0; i < ${3:-0}; i += 10)); do
		says c 5 "more$i" talk 5
	done
}

for family in 4 6; do
	for how in silent talking; do
		for kind in hard soft; do
			paired "IPv$family: a server's table is emptied, and a client moves, $how, $kind" emptied $family $how $kind
		done
	done
	for seconds in 2 200; do
		paired "IPv$family: idle for $seconds s, the agent of the mover is dead, the peer speaks first" absent $family $seconds
	done
	paired "IPv$family: the same with 40 connections" absent $family 200 40
done
suite_end
