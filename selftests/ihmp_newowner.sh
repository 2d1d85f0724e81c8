#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A new host takes over the address that another host left, or another socket takes the port of a UDP server whose address is gone. Tests
# that each packet reaches the right owner. Each case runs without agents first; then no connection would survive the move.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# stage FAMILY: Starts servers at c that print the addresses of their clients, and speakers on all hosts.
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

# newcomer FAMILY: d takes the former address of m in place of its own.
newcomer() {
	address d eth0 "$1" "$M" "$D" && ipn c neigh flush dev eth0 && ipn m neigh flush dev eth0 || return
	must "the newcomer is there" slowwait 10 quiet in_ns d ping -qnc 1 -W 1 "$C"
}

# apart: Does c have the former address as active for a host that is not m?
apart() {
	host_is c "$M" "all(.addr[]; .address != \"$NEW\" or .set != \"active\") and any(.addr[]; .address == \"$M\" and .set == \"active\")"
}

# client_left FAMILY plain|agent [cookies]: m has a connection and a UDP flow to c, and moves. d takes its address, and connects to c from
# the same port and from others. With "agent", d runs an agent.
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

# server_left FAMILY plain|agent: c has connections to m, which moves. d takes its address and serves there.
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
	# The newcomer is a client as well, from the port that m's server has.
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

# --- a UDP server whose address is gone, and another socket on its port

# begins FAMILY: m has a UDP server "one", whose port others may share; c has a connected client and an unconnected one. Then m moves.
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

# sharing NAME FAMILY: Makes a server whose port other sockets may share.
sharing() {
	says m ok "$1" udp && says m ok "$1" share && says m 5001 "$1" bind "$(any "$2")" 5001 && says m ok "$1" greet "$1" plain
}

served_by() {
	says c ok k write hello && says c "$1 hello $M 5001" k hear
	says c 33 k talk 33
	says c ok f say "$M" 5001 hello && says c "$1 hello $M 5001" f hear
}


# chosen FAMILY: The server chooses its source address by IP_PKTINFO: the address that was asked, which is gone.
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

# restarted FAMILY SECONDS: The server ends, and so much later another one begins.
restarted() {
	local M C NEW PORT

	begins "$1" && says m ok one close || return
	[ "$2" = 0 ] || POLL_MS=1000 slowwait 60 passed "$(now_ms)" $(($2 * 1000))
	sharing two "$1" && served_by two
}

# succeeded FAMILY: The second server begins before the first one ends.
succeeded() {
	local M C NEW PORT

	begins "$1" && sharing two "$1" && says m ok one close && served_by two
}

# sibling FAMILY: One socket receives, and other sockets on the same port answer.
sibling() {
	local M C NEW PORT

	begins "$1" && says m ok two udp && says m ok two share && says m 5001 two bind "$(any "$1")" 5001 || return
	says m ok three udp && says m ok three share && says m 5001 three bind "$(any "$1")" 5001 || return
	for _ in 1 2 3 4 5; do
		says m ok two say "$C" "$PORT" sibling && says c "sibling $M 5001" k hear
		says m ok three say "$C" "$PORT" sibling && says c "sibling $M 5001" k hear
	done
}

# unsaid FAMILY m|c: c leaves without announcing it, and d, which has an agent, takes its address. m or c had opened a connection to the
# other one before.
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

# first_and_second HOST ADDR: Checks that the first connection that HOST opens works, and another one, at once and later.
first_and_second() {
	local name

	for name in a b; do
		says "$1" ok "$name" tcp && ask "$1" "$name" connect "$2" 5000 && says "$1" m "$name" hear && says "$1" 5 "$name" talk 5
	done
	acquainted m "${ADDR[c.eth0.$family]}" "$1" "$2"
	says "$1" 5 a talk 5 && says "$1" 5 b talk 5
}

# installed FAMILY same|other: c has lost all that it knew of other hosts, like a machine after a new installation. It has the same key or
# another one.
installed() {
	local M C D NEW family=$1

	stage "$family" && agents m c || return
	says m ok old tcp && ask m old connect "$C" 5000 && says m "$M" old hear && acquainted m "$C" c "$M" || return
	says c ok back tcp && ask c back connect "$M" 5000 && says c m back hear && says c 5 back talk 5 || return
	! taking_part || { agent_stop c && in_ns c ihmpd --flush || return; }
	[ "$2" = same ] || rm -rf "$TMP/state.c"
	agents c && first_and_second c "$M" || return
	says m "$M 5" v visits "$C" 5000 5
	# With another key c is another host to m. Only the connections on which c sends belong to that host.
	says c 5 back talk 5
	[ "$2" = other ] || says m 5 old talk 5
}

# unknown FAMILY: The table of c is emptied, and m leaves before c's agent is started again. d, which has no agent, has taken m's address
# and has a connection from there. When m makes itself known, c recognises its key and remembers its former address. Checks that c does not
# take d's connection for one of m.
unknown() {
	local M C D NEW family=$1

	stage "$family" && agents m c || return
	says m ok old tcp && ask m old connect "$C" 5000 && says m "$M" old hear && acquainted m "$C" c "$M" && says m 5 old talk 5 || return
	! taking_part || { agent_stop c && in_ns c ihmpd --flush || return; }
	# No packet of m may be in flight, not even a delayed acknowledgement: d would reset what c retransmits.
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

# taken FAMILY plain|agent: m has moved, and d has its former address and connects from the very port of m's connection. d also sends
# segments of that connection whose sequence number is right, but whose acknowledgement number is not.
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
	# Without agents the connection would not survive the move.
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

# claimed FAMILY tcp|udp none|another: c has a flow with m, which moves and lists its former address as unreachable. d has that address as
# an active one for c, and sends to c from there, and from its other one, so that c has noted that d left it; then, with `none` the control,
# from the addresses and ports of m's flow. That is no packet of m's, and says nothing of where m is.
claimed() {
	local M C D NEW family=$1 port mac from to

	FAMILIES=$family topo_trio delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]} NEW=${M}0 mac=${HARDWARE[c.eth0]}
	introduce m "$M" c "$C" && speaker m "$family" && speaker c "$family" || return
	server m t tcp "$(any "$family")" 5000 m && server m u udp "$(any "$family")" 5001 m plain && server c u udp "$(any "$family")" 5001 c || return
	says c ok old tcp && ask c old connect "$M" 5000 && port=$ANSWER && says c m old hear && says c 3 old talk 3 || return
	says c ok cu udp && says c 7000 cu bind "$C" 7000 && says c 7000 cu connect "$M" 5001 && says c 3 cu talk 3 || return
	address m eth0 "$family" "$NEW" "$M" && moved m c "$NEW" && ctl c host set "${HID[c]}" remote "$NEW" unreachable "$M" || return
	says c 3 old talk 3 && says c 3 cu talk 3 || return
	quiet ctl c host add remote "$M" remote "$D" local "$C" || return
	for from in "$M" "$D"; do
		in_ns d "$SELFTESTS/inject.py" eth0 udp "$from" "$C" --sport 20000 --dport 5001 --mac "$mac" || return
	done
	must "c hears d at both" slowwait 5 host_is c "$D" '."rx-packets" == 2 and .flows == 1' || return
	# The last acknowledgement of this is not delayed any more: without it m would say again where it is.
	says c 3 old talk 3 && says c 3 cu talk 3 && later 1 || return
	if [ "$3" = another ]; then
		case $2 in
		tcp) to="--sport 5000 --dport $port --seq 1 --ack 1" ;;
		udp) to="--sport 5001 --dport 7000" ;;
		esac
		# shellcheck disable=SC2086 # words
		in_ns d "$SELFTESTS/inject.py" eth0 "$2" "$M" "$C" $to --mac "$mac" && later 1 || return
		[ "$2" = tcp ] || says c "ihmp $M 5001" cu hear
	fi
	says c 3 old talk 3
	says c 3 cu talk 3
}

# --- hosts that take each other's addresses

# id_at ADDR: Prints the number of the host for which the address is active at c. went ID ADDR: Is that the host with this number?
id_at() {
	ctl c -j host show "$1" | jq -r '.[0] | select(any(.addr[]; .address == $at and .set == "active")).id' --arg at "$1"
}

went() {
	[ "$(id_at "$2")" = "$1" ]
}

# muted: No message of m and d gets through. c sends on its connections to them, and each packet reaches the other host. Checks that this
# host does not answer with a reset, because c can mean the host that had the address before.
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

# goes_both_ways: Checks that all four connections between c and m and d carry data.
goes_both_ways() {
	says m 3 old talk 3
	says d 3 old talk 3
	says c 3 tom talk 3
	says c 3 tod talk 3
}

# exchanged FAMILY SECONDS|mute: m and d take each other's address, with so many seconds between the steps. With "mute" they do it at once,
# and c is told only after a while.
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
	# A connection that began just before a move may be taken for that of the other host, so some time passes.
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

# inherited FAMILY SECONDS: d is disconnected for so long, and then m takes its address.
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

# The control is the same with both kinds of newcomer, so it runs once.
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
	run_case "IPv$family: two hosts list an address, and what one sends is not the other's" claimed $family tcp none
	for what in tcp udp; do
		run_case "IPv$family: nor is what it sends by the ports of the other's flow, $what" claimed $family $what another
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
