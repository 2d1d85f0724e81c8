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
	! taking_part || must "c knows" slowwait 10 path_is c "$M" - "$NEW"
}

# newcomer FAMILY: d has m's former address, in place of its own.
newcomer() {
	address d eth0 "$1" "$M" "$D" && ipn c neigh flush dev eth0 && ipn m neigh flush dev eth0 || return
	must "the newcomer is there" slowwait 10 quiet in_ns d ping -qnc 1 -W 1 "$C"
}

# apart: the address is active for a host that is not at m's new address.
apart() {
	host_is c "$M" "all(.addr[]; .address != \"$NEW\" or .set != \"active\") and any(.addr[]; .address == \"$M\" and .set == \"active\")"
}

# client_left FAMILY plain|agent [cookies]: m has a connection and a UDP flow to c and moves; d comes to its address, and speaks to c from the
# same port and from others.
client_left() {
	local M C D NEW family=$1 port

	stage "$family" && agents m c && { [ "$2" = plain ] || agents d; } || return
	[ "${3:-}" != cookies ] || sysctl_in c net.ipv4.tcp_syncookies=2
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
	[ "$2" = plain ] || must "c knows the newcomer" slowwait 10 apart
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
	[ "$2" = plain ] || must "c knows the newcomer" slowwait 10 apart
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
	[ "$2" = 0 ] || POLL_MS=1000 slowwait 60 passed "$(now_ms)" $(($2 * 1000))
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
	POLL_MS=1000 slowwait 90 passed "$(now_ms)" 60000
	address d eth0 "$family" "$C" "$D" && ipn m neigh flush dev eth0 || return
	must "d is there" slowwait 10 quiet in_ns d ping -qnc 1 -W 1 "$M" || return
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
	says c ok back tcp && ask c back connect "$M" 5000 && says c m back hear && says c 5 back talk 5 || return
	! taking_part || { agent_stop c && in_ns c ihmpd --flush || return; }
	[ "$2" = same ] || rm -rf "$TMP/state.c"
	agents c && first_and_second c "$M" || return
	says m "$M 5" v visits "$C" 5000 5
	# With another key it is another host. It has a part only in those connections that it speaks on.
	says c 5 back talk 5
	[ "$2" = other ] || says m 5 old talk 5
}

# unknown FAMILY: the table of c is emptied, and m leaves before c's agent is started again; d, which takes no part, has m's address, and a
# connection from there. When m makes itself known c remembers by its key where it was. That connection is not m's.
unknown() {
	local M C D NEW family=$1

	stage "$family" && agents m c || return
	says m ok old tcp && ask m old connect "$C" 5000 && says m "$M" old hear && acquainted m "$C" c "$M" && says m 5 old talk 5 || return
	! taking_part || { agent_stop c && in_ns c ihmpd --flush || return; }
	# Nothing of m is on the way, not even a delayed acknowledgement: d would reset what c repeats.
	later 1
	address m eth0 "$family" "$NEW" "$M" && newcomer "$family" || return
	says d ok l tcp && ask d l connect "$C" 5000 && says d "$M" l hear && says d 5 l talk 5 || return
	! taking_part || { agent_start c && must "c knows m" slowwait 90 host_is c "$NEW" 'any(.addr[]; .set == "active")' || return; }
	! taking_part || must "and where it was" host_is c "$NEW" "any(.addr[]; .address == \"$M\" and .set == \"alias\" and .unvalidated)" || return
	says d 5 l talk 5
	says d "$M 5" v visits "$C" 5000 5
	says d 5 l talk 5
	! taking_part || says m 5 old talk 5 || return
	says c "d 5" v visits "$M" 5000 5
	says d 5 l talk 5
}

# taken FAMILY plain|agent: m has moved, and d, which has its former address, connects from the very port of m's connection; and sends
# segments of that connection whose sequence number is right, and what they acknowledge is not.
taken() {
	local M C D NEW family=$1 port next

	stage "$family" && agents m c && { [ "$2" = plain ] || agents d; } || return
	says m ok old tcp && ask m old connect "$C" 5000 && port=$ANSWER && says m "$M" old hear && acquainted m "$C" c "$M" && later 3 || return
	capture c eth0 -S -Q in "tcp and dst port 5000 and src port $port" || return
	says m 3 old talk 3 && later 1
	capture_end c eth0
	next=$(grep -oE 'seq [0-9]+:[0-9]+' "$TMP/cap.c.eth0" | tail -n 1)
	! taking_part || { leaves "$family" && says m 3 old talk 3; } || return
	newcomer "$family" || return
	# Without agents the connection would not outlive the move.
	taking_part || { says d "$M 5" v visits "$C" 5000 5 && return; }
	says d "silence 1" v visits "$C" 5000 1 "sport=$port"
	says m 3 old talk 3
	says d "$M 5" v visits "$C" 5000 5
	[ "$2" = plain ] || must "c knows the newcomer" slowwait 10 apart
	ipn d neigh replace "$C" lladdr "${HARDWARE[c.eth0]}" dev eth0
	for offset in 100 20000; do
		in_ns d "$SELFTESTS/inject.py" eth0 tcp "$M" "$C" --sport "$port" --dport 5000 --seq $(((${next##*:} + offset) % 4294967296)) --ack 12345 \
			--mac "${HARDWARE[c.eth0]}" || return
	done
	later 1
	says m 3 old talk 3
	# The port is free when the connection is over.
	says m ok old close && later 5
	says d "$M 1" v visits "$C" 5000 1 "sport=$port"
}

# --- hosts that go where others were

# id_at ADDR: the number of the host that has the address for c. went ID ADDR: that host has this address now.
id_at() {
	ctl c -j host show "$1" | jq -r '.[0] | select(any(.addr[]; .address == $at and .set == "active")).id' --arg at "$1"
}

went() {
	[ "$(id_at "$2")" = "$1" ]
}

# muted: nothing of the signalling of m and d gets through; c sends on a connection to each, and it comes to the other one. That is not
# answered by a reset: c may have meant another machine, and has.
muted() {
	local host

	capture c eth0 -Q in tcp || return
	for host in m d; do
		echo "to$host talk 3" >&"${SPEAKER_IN[c@$host]}"
	done
	later 1
	capture_end c eth0
	equal "resets to c" 0 "$(captured c eth0 'Flags \[R')"
	at_least "resets that m kept" 1 "$(reason m unvalidated-reset)"
	for host in m d; do
		in_ns "$host" nft delete table inet mute || return
	done
}

# goes_both_ways: all four connections, two of each of m and d with c, carry data.
goes_both_ways() {
	says m 3 old talk 3
	says d 3 old talk 3
	says c 3 tom talk 3
	says c 3 tod talk 3
}

# exchanged FAMILY SECONDS|mute: m and d get each other's address, one step after the other; or at once, and it takes a while until c is told.
exchanged() {
	local M C D NEW of_m of_d family=$1 host step=$2

	[ "$step" != mute ] || step=0
	stage "$family" && agents m c d || return
	for host in m d; do
		says "$host" ok old tcp && ask "$host" old connect "$C" 5000 && says "$host" "$([ "$host" = m ] && echo "$M" || echo "$D")" old hear || return
	done
	acquainted m "$C" c "$M" && acquainted d "$C" c "$D" || return
	says c ok tom tcp && ask c tom connect "$M" 5000 && says c m tom hear && says c ok tod tcp && ask c tod connect "$D" 5000 && says c d tod hear || return
	goes_both_ways
	! taking_part || { of_m=$(id_at "$M") && of_d=$(id_at "$D"); } || return
	# What began just before a move may be another's.
	later 2 && dad "$family"
	if [ "$2" = mute ]; then
		for host in m d; do
			in_ns "$host" nft 'table inet mute { chain out { type filter hook output priority 0; udp dport 61453 drop; }; }' || return
			speaker "c@$host" "$family" && says "c@$host" ok "to$host" tcp || return
			ask "c@$host" "to$host" connect "$([ "$host" = m ] && echo "$M" || echo "$D")" 5000 && says "c@$host" "$host" "to$host" hear && says "c@$host" 3 "to$host" talk 3 || return
		done
		later 2
	fi
	ipn m addr del "$M/${WIDTH[$family]}" dev eth0 && later "$step" && ipn d addr del "$D/${WIDTH[$family]}" dev eth0 && later "$step" || return
	batch m <<<"addr add $D/${WIDTH[$family]} dev eth0 $DAD" && later "$step" && batch d <<<"addr add $M/${WIDTH[$family]} dev eth0 $DAD" || return
	ipn c neigh flush dev eth0
	if [ "$2" = mute ]; then
		muted || return
	fi
	! taking_part || { must "c knows m" slowwait 30 went "$of_m" "$D" && must "c knows d" slowwait 30 went "$of_d" "$M"; } || return
	says c "d 5" v visits "$M" 5000 5
	says c "m 5" v visits "$D" 5000 5
	taking_part || return 0
	goes_both_ways
	[ "$2" = mute ] || return 0
	for host in m d; do
		read -rt 60 -u "${SPEAKER_OUT[c@$host]}" ANSWER
		equal "c, on the connection to $host" 3 "$ANSWER"
	done
}

# inherited FAMILY SECONDS: d sleeps for so long, and m gets its address.
inherited() {
	local M C D NEW of_m family=$1

	stage "$family" && agents m c d || return
	says m ok old tcp && ask m old connect "$C" 5000 && says m "$M" old hear && says d ok old tcp && ask d old connect "$C" 5000 && says d "$D" old hear || return
	acquainted m "$C" c "$M" && acquainted d "$C" c "$D" || return
	says c ok tom tcp && ask c tom connect "$M" 5000 && says c m tom hear && says c 3 tom talk 3 && says m 3 old talk 3 || return
	! taking_part || of_m=$(id_at "$M") || return
	ipn d link set eth0 down && later "$2" && dad "$family" || return
	ipn m addr del "$M/${WIDTH[$family]}" dev eth0 && batch m <<<"addr add $D/${WIDTH[$family]} dev eth0 $DAD" && ipn c neigh flush dev eth0 || return
	! taking_part || must "c knows m" slowwait 30 went "$of_m" "$D" || return
	says m "$D 5" v visits "$C" 5000 5
	says c "m 5" v visits "$D" 5000 5
	taking_part || return 0
	says c 3 tom talk 3
	says m 3 old talk 3
}

# One control is enough.
declare -A HOW=([plain]=paired [agent]=run_case)
for family in 4 6; do
	for newcomer in plain agent; do
		"${HOW[$newcomer]}" "IPv$family: a client's former address has a new owner, $newcomer" client_left $family $newcomer
		"${HOW[$newcomer]}" "IPv$family: a server's former address has a new owner, $newcomer" server_left $family $newcomer
	done
	paired "IPv$family: a client's former address has a new owner, c answers with SYN cookies" client_left $family plain cookies
	for who in m c; do
		paired "IPv$family: a newcomer at the address of a host that left without a word, $who had called" unsaid $family $who
	done
	for key in same other; do
		paired "IPv$family: a host that is installed anew, with the $key key" installed $family $key
	done
	for newcomer in plain agent; do
		"${HOW[$newcomer]}" "IPv$family: a newcomer from the port of a connection that has moved, $newcomer" taken $family $newcomer
	done
	paired "IPv$family: a newcomer at the address of a host that is no more in the table" unknown $family
	for seconds in 0 1; do
		paired "IPv$family: two hosts exchange their addresses, $seconds s a step" exchanged $family $seconds
	done
	run_case "IPv$family: two hosts exchange their addresses, and nobody hears of it for a while" exchanged $family mute
	for seconds in 2 40; do
		paired "IPv$family: a host gets the address of one that sleeps, $seconds s later" inherited $family $seconds
	done
	paired "IPv$family: a UDP server answers from the address that was asked" chosen $family
	for seconds in 0 10; do
		paired "IPv$family: a UDP server is started again, $seconds s later" restarted $family $seconds
	done
	paired "IPv$family: a UDP server hands over to a successor" succeeded $family
	paired "IPv$family: a sibling of a UDP server answers" sibling $family
done
suite_end
