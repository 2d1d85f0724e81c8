#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests a service address that goes from a dead machine to its standby, as by VRRP. Clients must reach the standby, also those that know the
# dead machine by another address. Each case runs without agents first.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# stage FAMILY FIRST STANDBY: m has its own address and the service address S. FIRST is which of them c knows first, own or service. STANDBY
# is whether the standby d has an agent, agent or plain.
stage() {
	local family=$1 host

	FAMILIES=$family topo_trio delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]} S=${M%1}50
	single
	[ "$2" = own ] || ipn m addr add "$S/$SINGLE" dev eth0 "${DAD[@]}" || return
	for host in m c d; do
		speaker "$host" "$family" || return
	done
	for host in m d; do
		server "$host" t tcp "$(any "$family")" 80 "$host" && server "$host" u udp "$(any "$family")" 53 "$host" || return
	done
	agents m c && { [ "$3" = plain ] || agents d; } || return
	says c ok old tcp || return
	case $2 in
	own)
		ask c old connect "$M" 80 && says c 5 old talk 5 && acquainted m "$C" c "$M" || return
		ipn m addr add "$S/$SINGLE" dev eth0 "${DAD[@]}" && knows c "$M" "$S"
		;;
	service)
		ask c old connect "$S" 80 && says c 5 old talk 5 && acquainted m "$C" c "$S" || return
		says c ok own tcp && ask c own connect "$M" 80 && says c 5 own talk 5 && acquainted m "$C" c "$M" && knows c "$M" "$S"
		;;
	esac || return
	says c "m 5" v visits "$S" 80 5
	says c "m 5" v visits "$M" 80 5
	# c uses d as well.
	says c "d 5" v visits "$D" 80 5
}

# single: Sets the prefix length and ip's options for the service address, which has no subnet.
single() {
	case $family in
	4) SINGLE=32 DAD=() ;;
	6) SINGLE=128 DAD=(nodad) ;;
	esac
}

# dies: Cuts m's link, so nothing is heard of m any more.
dies() {
	ipn s link set m0 down && ipn s link set m1 down
}

# takes_over: d gets the service address, and c looks up its link address again.
takes_over() {
	ipn d addr add "$S/$SINGLE" dev eth0 "${DAD[@]}" && ipn c neigh flush dev eth0
}

# reached: Checks that all new flows of c to the service address reach d.
reached() {
	says c "d 20" v visits "$S" 80 20
	says c ok u udp && says c ok u say "$S" 53 hello && says c "d hello $S 53" u hear
	says c ok w udp && ask c w connect "$S" 53 && says c 5 w talk 5
	must "an echo is answered" quiet in_ns c ping -qnc 3 -i 0.02 -W 1 "$S"
}

# moves FAMILY FIRST STANDBY: m dies, and d takes over.
moves() {
	local M C D S SINGLE DAD family=$1

	stage "$@" || return
	dies && takes_over && reached || return
	says c ok n tcp && ask c n connect "$S" 80 && says c d n hear && says c 20 n talk 20
	POLL_MS=1000 slowwait 60 passed "$(now_ms)" 30000
	says c 20 n talk 20
	reached
}

# hands_over FAMILY FIRST STANDBY: m lives on without the service address, as after a change of VRRP's priority.
hands_over() {
	local M C D S SINGLE DAD family=$1

	stage "$@" || return
	ipn m addr del "$S/$SINGLE" dev eth0 && takes_over && reached || return
	says c ok n tcp && ask c n connect "$S" 80 && says c d n hear && says c 20 n talk 20
	says c "m 5" v visits "$M" 80 5
	POLL_MS=1000 slowwait 60 passed "$(now_ms)" 10000
	says c 20 n talk 20
	reached
	# The service address goes back to m.
	ipn d addr del "$S/$SINGLE" dev eth0 && ipn m addr add "$S/$SINGLE" dev eth0 "${DAD[@]}" && ipn c neigh flush dev eth0 || return
	says c "m 20" v visits "$S" 80 20
	says c "d 5" v visits "$D" 80 5
}

# comes_back FAMILY FIRST STANDBY: m comes back without the service address. Checks that c's flows with d go on.
comes_back() {
	local M C D S SINGLE DAD family=$1

	stage "$@" || return
	! taking_part || agent_stop m KILL
	dies && takes_over || return
	says c ok n tcp && ask c n connect "$S" 80 && says c d n hear && says c 5 n talk 5
	says c ok w udp && ask c w connect "$S" 53 && says c 5 w talk 5
	ipn m addr del "$S/$SINGLE" dev eth0 && ipn s link set m0 up && ipn s link set m1 up && settled && agents_of m || return
	must "m is there" slowwait 10 quiet in_ns c ping -qnc 1 -W 1 "$M" || return
	says c "m 5" v visits "$M" 80 5
	! taking_part || must "c knows that m has no longer the address" slowwait 20 not host_is c "$M" \
		"any(.addr[]; .address == \"$S\" and .set == \"active\")"
	says c 20 n talk 20
	says c 20 w talk 20
	reached
	POLL_MS=1000 slowwait 60 passed "$(now_ms)" 10000
	says c 20 n talk 20
	says c 20 w talk 20
}

# agents_of HOST...: Starts agents again on hosts that had one before.
agents_of() {
	! taking_part || agent_start "$@"
}

# The control is the same with and without an agent on the standby, so it runs once.
declare -A HOW=([plain]=paired [agent]=run_case)
for family in 4 6; do
	for first in own service; do
		for standby in plain agent; do
			what="IPv$family, the $first address known first, $standby at the standby"
			"${HOW[$standby]}" "$what: its machine dies" moves $family $first $standby
			"${HOW[$standby]}" "$what: it is handed over" hands_over $family $first $standby
			"${HOW[$standby]}" "$what: the dead machine returns" comes_back $family $first $standby
		done
	done
done
suite_end
