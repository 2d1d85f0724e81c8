#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests silence: connections that are older than the agents and have been idle since, and addresses that programs have learned. They go on
# after a move, whichever end sends first. Without agents, as a control, nobody moves.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# stage FAMILY: m is at its first network; both ends have servers that greet. SPEAKS is the family of the sockets, if it is another one.
stage() {
	FAMILIES=$1 topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$1]} C=${ADDR[c.eth0.$1]} N=${ADDR[m.wifi0.$1]}
	speaker m "${SPEAKS:-$1}" && speaker c "${SPEAKS:-$1}" || return
	server c t tcp "$C" 5000 here && server c u udp "$C" 5000 here && server m mt tcp "$M" 5000 there
}

# flagged HOST NAME: Does the socket have IP_TRANSPARENT? The module grants it to sockets that may have to send from a lost address.
flagged() {
	ask "$1" "$2" flag && [ "$ANSWER" = 1 ]
}

# moves FAMILY soft|hard|pulled|renumbered: With agents, m goes to its second network, or gets another address in the first one.
moves() {
	taking_part || return 0
	case $2 in
	soft) FAMILIES=$1 join m wifi0 200 && knows c "$M" "$N" && FAMILIES=$1 leave m eth0 ;;
	hard) FAMILIES=$1 leave m eth0 && FAMILIES=$1 join m wifi0 ;;
	# c is told at once, and the address goes only after a while.
	pulled)
		FAMILIES=$1 join m wifi0 200 && knows c "$M" "$N" && ipn r1 link set lan down && knows_former c "$N" "$M" && nap 5 &&
			FAMILIES=$1 leave m eth0 && nap 2
		;;
	renumbered) N=${M%10}77 && address m eth0 "$1" "$N" "$M" ;;
	esac && knows c "$M" "$N"
}

# older FAMILY soft|hard|pulled|renumbered: These connections have been idle since before the agents started, and m sends first.
older() {
	local M C N

	stage "$1" && opened m a tcp "$C" 5000 here && opened c b tcp "$M" 5000 there && opened m v udp "$C" 5000 here || return
	agents m c && opened m old tcp "$C" 5000 here && acquainted m "$C" c "$M" && moves "$1" "$2" || return
	[ "$1$AGENTS" != 41 ] || must "the sockets may send" slowwait 5 flagged m v || return
	says m 5 v talk 5
	says m 5 a talk 5
	says c 5 b talk 5
	says m 5 old talk 5
}

# accepted FAMILY: m has accepted the connection, and sends first.
accepted() {
	local M C N

	stage "$1" && says m ok l tcp && says m 5001 l bind "$M" 5001 && says m ok l listen || return
	says c ok b tcp && ask c b connect "$M" 5001 && says m ok l accept a || return
	says c ok b write hello && says m hello a hear || return
	agents m c && opened m old tcp "$C" 5000 here && acquainted m "$C" c "$M" && moves "$1" hard || return
	says m ok a write first && says c first b hear && says c ok b write second && says m second a hear
}

# waiting FAMILY: m writes while it has no network. Checks that the data goes out as soon as there is one, without waiting for a time-out.
waiting() {
	local M C N

	stage "$1" && opened m a tcp "$C" 5000 here || return
	agents m c && opened m old tcp "$C" 5000 here && acquainted m "$C" c "$M" || return
	! taking_part || { FAMILIES=$1 leave m eth0 && nap 1; } || return
	says m ok a write hello || return
	! taking_part || { nap 30 && FAMILIES=$1 join m wifi0 && knows c "$M" "$N"; } || return
	says m hello a hear
	says m 5 a talk 5
}

# ports FAMILY: m has two connections from the same port to two servers of c, and one of them is older than the agents.
ports() {
	local M C N

	stage "$1" && server c t1 tcp "$C" 5001 other && says m ok a tcp && says m ok a share && says m 7000 a bind "$M" 7000 || return
	says m 7000 a connect "$C" 5000 && says m here a hear || return
	agents m c && says m ok b tcp && says m ok b share && says m 7000 b bind "$M" 7000 || return
	says m 7000 b connect "$C" 5001 && says m other b hear && acquainted m "$C" c "$M" && moves "$1" hard || return
	says m 5 a talk 5
	says m 5 b talk 5
}

# strangers FAMILY: Checks that the module leaves alone connections to other hosts, and programs that choose a foreign source themselves.
strangers() {
	local M C N

	stage "$1" && opened m old tcp "$C" 5000 here && server c t1 tcp "$C" 5001 other && says m ok free tcp && says m ok free freebind || return
	ask m free bind "$M" && ask m free connect "$C" 5001 && says m other free hear || return
	ipn c addr add 10.99.0.1/24 dev eth0 && ipn m route add 10.99.0.1 via "${GATE[m.eth0.$1]}" && ipn r1 route add 10.99.0.1 via "$C" || return
	server c far tcp 10.99.0.1 5000 far && opened m x tcp 10.99.0.1 5000 far || return
	agents m c && opened m young tcp "$C" 5000 here && acquainted m "$C" c "$M" && moves "$1" hard || return
	says m 5 old talk 5 || return
	[ "$AGENTS" = 0 ] || equal "flags" "0 0 1" "$(for name in free x old; do ask m "$name" flag && echo "$ANSWER"; done | xargs)"
}

# silent FAMILY SECONDS c|m: A phone at m has registered at c, and both use unconnected sockets. Nothing is sent for so long. After a move,
# the given end sends first.
silent() {
	local M C N

	stage "$1" && agents m c && opened m old tcp "$C" 5000 here && acquainted m "$C" c "$M" || return
	says c ok r udp && says c 5060 r bind "$(any "$1")" 5060 && says m ok s udp && says m 5060 s bind "$(any "$1")" 5060 || return
	says m ok s say "$C" 5060 register && says c "register $M 5060" r hear || return
	says c ok r say "$M" 5060 okay && says m "okay $C 5060" s hear || return
	nap "$2" && moves "$1" hard || return
	# c's credit for m has expired. Without credit nothing is sent to an address that is not validated.
	! taking_part || must "m has shown where it is" slowwait 5 host_is c "$M" 'all(.addr[]; .unvalidated | not)' || return
	case $3 in
	c) says c ok r say "$M" 5060 call && says m "call $C 5060" s hear ;;
	m) says m ok s say "$C" 5060 call && says c "call $M 5060" r hear && says c ok r say "$M" 5060 yes && says m "yes $C 5060" s hear ;;
	esac
	says m 5 old talk 5
}

for family in 4 6; do
	for how in soft hard pulled renumbered; do
		paired "IPv$family: what is older than the agents, and was silent since, goes on after a move, $how" older $family $how
	done
	paired "IPv$family: who has accepted such a connection speaks first" accepted $family
	paired "IPv$family: what such a connection has to say when there is no network goes out when there is one" waiting $family
	paired "IPv$family: such a connection beside one from the same port" ports $family
	for first in c m; do
		paired "IPv$family: learned endpoints, silent for 250 s before a move, $first speaks first" silent $family 250 $first
	done
	paired "IPv$family: learned endpoints, silent for an hour before a move" silent $family 3600 c
done
paired "IPv4: the sockets of others, and those that a program lets send from elsewhere, are left alone" strangers 4
SPEAKS=6
paired "IPv4 by IPv6 sockets: what is older than the agents, and was silent since, goes on after a move" older 4 hard
suite_end
