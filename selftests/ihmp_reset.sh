#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests resets after a move: those that end a connection are sent and accepted as without agents. This holds as well in a network that
# filters IHMP messages, and behind a NAT without an agent.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# stage FAMILY: c has a server that greets. m and c have one socket each that listens, and accepts when it is told to.
stage() {
	local family=$1

	FAMILIES=$family topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	speaker m "$family" && speaker c "$family" && server c t tcp "$C" 5000 here || return
	# A closed socket does not wait long for the other end to close; a packet after that is answered by a reset.
	sysctl_in m net.ipv4.tcp_fin_timeout=5
	for host in m c; do
		says "$host" ok l tcp && says "$host" 5001 l bind "$(any "$family")" 5001 && says "$host" ok l listen || return
	done
}

meet() {
	agents m c && says m ok old tcp && ask m old connect "$C" 5000 && says m here old hear && acquainted m "$C" c "$M"
}

# between HOST PEER ADDR: Opens a connection, x at HOST and a at the peer, on which both have sent.
between() {
	says "$1" ok x tcp && ask "$1" x connect "$3" 5001 && says "$2" ok l accept a || return
	says "$1" ok x write hello && says "$2" hello a hear && says "$2" ok a write yes && says "$1" yes x hear
}

goes() {
	FAMILIES=$1 leave m eth0 && FAMILIES=$1 join m wifi0 && knows c "$M" "$N" && acknowledged
}

acknowledged() {
	must "m is acknowledged" slowwait 10 path_is m "$C" "$N" "$C"
}

# aborted FAMILY hard|soft|other SECONDS: c has unread data on a connection that was idle for so long. m moves, or long after a move loses
# another address. c closes the connection at once, and m has to get the reset.
aborted() {
	local M C N family=$1

	stage "$family" && meet && between m c "$C" || return
	if [ "$2" = other ] && taking_part; then
		goes "$family" && says m ok x write ping && says c ping a hear && address m wifi0 "$family" "${N%10}99" || return
	fi
	says m ok x write unread && later "$3" || return
	if taking_part; then
		case $2 in
		hard) goes "$family" || return ;;
		soft)
			FAMILIES=$family join m wifi0 50 && knows c "$M" "$N" && later 5 && FAMILIES=$family leave m eth0 &&
				knows_former c "$N" "$M" && acknowledged || return
			;;
		other) ipn m addr del "${N%10}99/${WIDTH[$family]}" dev wifi0 || return ;;
		esac
	fi
	later 1
	says c ok a close
	says m ECONNRESET x hear 30
}

# told HOST NAME: The other end was closed long ago. Checks that HOST gets an error when it writes.
told() {
	says "$1" ok "$2" write one && later 3
	ask "$1" "$2" write two
	[[ $ANSWER = EPIPE || $ANSWER = ECONNRESET ]] || fail "$1: a write long after the other end has gone: $ANSWER"
}

# unheard FAMILY filtered|gone: Nobody acknowledges m's new address. c connects to that address, and m closes the connection.
unheard() {
	local M C N family=$1

	stage "$family" && meet || return
	case $2 in
	filtered) in_ns r2 nft 'table inet mute { chain f { type filter hook forward priority 0; udp dport 61453 drop; }; }' || return ;;
	gone) ! taking_part || { agent_stop c && in_ns c ihmpd --flush && ctl c off; } || return ;;
	esac
	FAMILIES=$family leave m eth0 && FAMILIES=$family join m wifi0 && later 10 && between c m "$N" || return
	later 3
	says m ok a close && says c end x hear && later 20 && told c x
}

# behind FAMILY: m moves behind a NAT and connects to c from there.
behind() {
	local M C N family=$1

	stage "$family" && masquerade r2 || return
	sysctl_in r2 net.netfilter.nf_conntrack_tcp_timeout_close_wait=1000 net.netfilter.nf_conntrack_tcp_timeout_fin_wait=1000 || return
	meet && FAMILIES=$family leave m eth0 && FAMILIES=$family join m wifi0 && later 5 && between m c "$C" || return
	later 3
	says m ok x close && says c end a hear && later 20 && told c a
}

for family in 4 6; do
	for how in hard soft other; do
		for seconds in 3 130; do
			paired "IPv$family: c aborts a connection that was idle for $seconds s, $how" aborted $family $how $seconds
		done
	done
	for how in filtered gone; do
		paired "IPv$family: a connection to an address that nobody acknowledges is gone, $how" unheard $family $how
	done
	paired "IPv$family: a connection from behind a NAT is gone" behind $family
done
suite_end
