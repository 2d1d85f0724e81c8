#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Others come where something was: a newcomer gets the address that a host left, and another socket the port of a UDP server whose
# address is gone. Each case is shown to be so without agents first: then nobody's connection outlives the move.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# stage FAMILY: servers at c that tell whom they see, and speakers everywhere.
stage() {
	local family=$1 host

	FAMILIES=$family topo_trio delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]} NEW=${M}0
	for host in m c d; do
		speaker "$host" "$family" || return
		server "$host" t tcp "$(any "$family")" 5000 "$([ "$host" = c ] && echo - || echo "$host")" || return
		server "$host" u udp "$(any "$family")" 5001 "$([ "$host" = c ] && echo - || echo "$host")" plain || return
	done
}

# leaves FAMILY: m goes to another address of its network.
leaves() {
	address m eth0 "$1" "$NEW" "$M" || return
	! taking_part || must "c knows" busywait 10 path_is c "$M" - "$NEW"
}

# newcomer FAMILY: d has m's former address, in place of its own.
newcomer() {
	address d eth0 "$1" "$M" "$D" && ipn c neigh flush dev eth0 && ipn m neigh flush dev eth0 || return
	must "the newcomer is there" busywait 10 quiet in_ns d ping -qnc 1 -W 1 "$C"
}

# apart: the address is active for a host that is not at m's new address.
apart() {
	host_is c "$M" "all(.addr[]; .address != \"$NEW\" or .set != \"active\") and any(.addr[]; .address == \"$M\" and .set == \"active\")"
}

# client_left FAMILY DPLAIN|DAGENT: m has a connection and a UDP flow to c and moves; d comes to its address, and speaks to c from the
# same port and from others.
client_left() {
	local M C D NEW family=$1 port

	stage "$family" && agents m c && { [ "$2" = plain ] || agents d; } || return
	says m ok old tcp && ask m old connect "$C" 5000 && port=$ANSWER && says m "$M" old hear && says m 5 old talk 5 || return
	says m ok mu udp && says m 7000 mu bind "$M" 7000 && says m 7000 mu connect "$C" 5001 && says m 5 mu talk 5 || return
	acquainted m "$C" c "$M" || return
	leaves "$family" || return
	! taking_part || { says m 5 old talk 5 && says m 5 mu talk 5; } || return
	newcomer "$family" || return
	capture m eth0 -Q in "src host $C and (tcp or udp) and not port 61453" || return
	says d ok v udp && says d 7000 v bind "$M" 7000 && says d 7000 v connect "$C" 5001 || return
	says d ok v write newcomer && says d "$M newcomer $C 5001" v hear
	says d 10 v talk 10
	says d ok w udp && says d 7002 w bind "$M" 7002 && says d 7002 w connect "$C" 5001 && says d 10 w talk 10
	says d "$M 20" v visits "$C" 5000 20
	says d "$M 1" v visits "$C" 5000 1 sport=$((port ^ 1))
	says d ok l tcp && ask d l connect "$C" 5000 && says d "$M" l hear && says d 10 l talk 10
	check "the newcomer's ping" quiet in_ns d ping -qnc 3 -i 0.02 -W 1 "$C"
	capture_end m eth0
	equal "packets at m that are the newcomer's" 0 "$(captured m eth0 .)"
	taking_part || return 0
	[ "$2" = plain ] || must "c knows the newcomer" busywait 10 apart
	says m 20 old talk 20
	says m 10 mu talk 10
	says d 10 v talk 10
	says m 10 mu talk 10
	says d 10 l talk 10
	says d "$M 5" v visits "$C" 5000 5
	says m 5 old talk 5
}

# server_left FAMILY PLAIN|AGENT: c has connections to m, which moves; d comes to its address and serves there.
server_left() {
	local M C D NEW family=$1

	stage "$family" && agents m c && { [ "$2" = plain ] || agents d; } || return
	says c ok old tcp && ask c old connect "$M" 5000 && says c m old hear && says c 5 old talk 5 || return
	says c ok cu udp && says c 7000 cu bind "$C" 7000 && says c 7000 cu connect "$M" 5001 && says c 5 cu talk 5 || return
	acquainted m "$C" c "$M" || return
	leaves "$family" || return
	! taking_part || { says c 5 old talk 5 && says c 5 cu talk 5; } || return
	newcomer "$family" || return
	says c "d 20" v visits "$M" 5000 20
	says c ok w udp && ask c w connect "$M" 5001 && says c ok w write hello && says c "d hello $M 5001" w hear && says c 10 w talk 10
	says c ok l tcp && ask c l connect "$M" 5000 && says c d l hear && says c 10 l talk 10
	check "c's ping to the newcomer" quiet in_ns c ping -qnc 3 -i 0.02 -W 1 "$M"
	# The newcomer is a client, too: of the port that m's server has.
	says d ok v udp && says d 5002 v bind "$M" 5002 && says d 5002 v connect "$C" 5001 && says d 10 v talk 10
	says d "$M 5" v visits "$C" 5000 5
	taking_part || return 0
	[ "$2" = plain ] || must "c knows the newcomer" busywait 10 apart
	says c 20 old talk 20
	says c ok cu write hello && says c "m hello $M 5001" cu hear
	says c 10 l talk 10
	says c 10 w talk 10
	says c "m 5" v visits "$NEW" 5000 5
}

# --- a UDP server whose address is gone, and another socket at its port

# begins FAMILY: m serves UDP by a socket of that name, which can have company; c has a connected client and one that is not.
begins() {
	local family=$1

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	speaker m "$family" && speaker c "$family" && sharing one "$family" || return
	agents m c && says c ok k udp && ask c k connect "$M" 5001 && PORT=$ANSWER && says c 5 k talk 5 || return
	says c ok f udp && says c ok f say "$M" 5001 hello && says c "one hello $M 5001" f hear || return
	acquainted m "$C" c "$M" || return
	# Without agents the address stays.
	! taking_part || { leaves "$family" && says c 5 k talk 5 && says c ok f say "$M" 5001 hello && says c "one hello $M 5001" f hear; }
}

# sharing NAME FAMILY: a socket that others may share the port with.
sharing() {
	says m ok "$1" udp && says m ok "$1" share && says m 5001 "$1" bind "$(any "$2")" 5001 && says m ok "$1" greet "$1" plain
}

served_by() {
	says c ok k write hello && says c "$1 hello $M 5001" k hear
	says c 33 k talk 33
	says c ok f say "$M" 5001 hello && says c "$1 hello $M 5001" f hear
}


# chosen FAMILY: the server says by IP_PKTINFO from where it answers: from the address that was asked, which is gone.
chosen() {
	local M C NEW PORT family=$1

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	speaker m "$family" && speaker c "$family" && server m one udp "$(any "$family")" 5001 one && agents m c || return
	says c ok k udp && ask c k connect "$M" 5001 && says c 5 k talk 5 || return
	says c ok f udp && says c ok f say "$M" 5001 hello && says c "one hello $M 5001" f hear || return
	acquainted m "$C" c "$M" || return
	! taking_part || leaves "$family" || return
	says c 60 k talk 60
	says c ok f say "$M" 5001 hello && says c "one hello $M 5001" f hear
}

# restarted FAMILY SECONDS: the server ends and another begins, that much later.
restarted() {
	local M C NEW PORT

	begins "$1" && says m ok one close || return
	[ "$2" = 0 ] || POLL_MS=1000 busywait 60 passed "$(now_ms)" $(($2 * 1000))
	sharing two "$1" && served_by two
}

# succeeded FAMILY: the successor is there before the server ends.
succeeded() {
	local M C NEW PORT

	begins "$1" && sharing two "$1" && says m ok one close && served_by two
}

# sibling FAMILY: one socket hears, and another one of the same port answers.
sibling() {
	local M C NEW PORT

	begins "$1" && says m ok two udp && says m ok two share && says m 5001 two bind "$(any "$1")" 5001 || return
	says m ok three udp && says m ok three share && says m 5001 three bind "$(any "$1")" 5001 || return
	for _ in 1 2 3 4 5; do
		says m ok two say "$C" "$PORT" sibling && says c "sibling $M 5001" k hear
		says m ok three say "$C" "$PORT" sibling && says c "sibling $M 5001" k hear
	done
}

# unsaid FAMILY m|c: c goes without a word, and d, which takes part, gets its address. One of the two had called the other before.
unsaid() {
	local M C D NEW family=$1

	stage "$family" && agents m c d || return
	case $2 in
	m) says m ok old tcp && ask m old connect "$C" 5000 && says m "$M" old hear || return ;;
	c) says c ok old tcp && ask c old connect "$M" 5000 && says c m old hear || return ;;
	esac
	acquainted m "$C" c "$M" && ipn c link set eth0 down || return
	POLL_MS=1000 busywait 90 passed "$(now_ms)" 60000
	address d eth0 "$family" "$C" "$D" && ipn m neigh flush dev eth0 || return
	must "d is there" busywait 10 quiet in_ns d ping -qnc 1 -W 1 "$M" || return
	first_and_second d "$M"
}

# first_and_second HOST ADDR: the connection that it opens first, and another one, work, then and later.
first_and_second() {
	local name

	for name in a b; do
		says "$1" ok "$name" tcp && ask "$1" "$name" connect "$2" 5000 && says "$1" m "$name" hear && says "$1" 5 "$name" talk 5
	done
	acquainted m "${ADDR[c.eth0.$family]}" "$1" "$2"
	says "$1" 5 a talk 5 && says "$1" 5 b talk 5
}

# installed FAMILY same|other: c has lost all that it knew of others, as a machine that is installed anew; its key is the same or another.
installed() {
	local M C D NEW family=$1

	stage "$family" && agents m c || return
	says m ok old tcp && ask m old connect "$C" 5000 && says m "$M" old hear && acquainted m "$C" c "$M" || return
	! taking_part || { agent_stop c && in_ns c ihmpd --flush || return; }
	[ "$2" = same ] || rm -rf "$TMP/state.c"
	agents c && first_and_second c "$M" || return
	says m "$M 5" v visits "$C" 5000 5
	# With another key it is another host, which has no part in older connections.
	[ "$2" = other ] || says m 5 old talk 5
}

# One control is enough.
declare -A HOW=([plain]=paired [agent]=run_case)
for family in 4 6; do
	for newcomer in plain agent; do
		"${HOW[$newcomer]}" "IPv$family: a client's former address has a new owner, $newcomer" client_left $family $newcomer
		"${HOW[$newcomer]}" "IPv$family: a server's former address has a new owner, $newcomer" server_left $family $newcomer
	done
	for who in m c; do
		paired "IPv$family: a newcomer at the address of a host that left without a word, $who had called" unsaid $family $who
	done
	for key in same other; do
		paired "IPv$family: a host that is installed anew, with the $key key" installed $family $key
	done
	paired "IPv$family: a UDP server answers from the address that was asked" chosen $family
	for seconds in 0 10; do
		paired "IPv$family: a UDP server is started again, $seconds s later" restarted $family $seconds
	done
	paired "IPv$family: a UDP server hands over to a successor" succeeded $family
	paired "IPv$family: a sibling of a UDP server answers" sibling $family
done
suite_end
