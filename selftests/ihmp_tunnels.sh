#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tunnels of the kernel between hosts that move: what they send belongs to the tunnel's own socket, or to none, and not to the
# socket whose packet is inside, which may be bound to the tunnel's device.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# The addresses inside.
declare -A INNER=([m.4]=10.9.0.1 [c.4]=10.9.0.2 [m.6]=fd00:9::1 [c.6]=fd00:9::2)

# Where who moves goes.
declare -A FRESH=([4]=192.0.2.77 [6]=2001:db8:1::77)

# tunnel KIND FAMILY: device t0 at m and c, between M and C, by one port at both ends.
tunnel() {
	"$1" m "$2" "$C" c && "$1" c "$2" "$M" m || return
	batch m <<<"link set t0 up mtu 1300" && batch c <<<"link set t0 up mtu 1300" || return
	batch m <<<$'addr add 10.9.0.1/24 dev t0\naddr add fd00:9::1/64 dev t0 nodad' || return
	batch c <<<$'addr add 10.9.0.2/24 dev t0\naddr add fd00:9::2/64 dev t0 nodad'
}

# wireguard NAME FAMILY REMOTE PEER
wireguard() {
	local host

	for host in m c; do
		[ -e "$TMP/key.$host" ] || (umask 077 && wg genkey >"$TMP/key.$host") || return
	done
	ipn "$1" link add t0 type wireguard || return
	in_ns "$1" wg set t0 listen-port 51820 private-key "$TMP/key.$1" peer "$(wg pubkey <"$TMP/key.$4")" \
		endpoint "$(bracket "$3"):51820" allowed-ips 0.0.0.0/0,::/0
}

# GRE inside UDP, made without a socket; the outer datagram has a checksum, which covers the one inside.
fou() {
	# The request for a port does not load what answers it.
	modprobe -qa fou 2>/dev/null
	ipn "$1" fou add port 7777 ipproto 47 || return
	ipn "$1" link add t0 type gre remote "$3" encap fou encap-sport 7777 encap-dport 7777 encap-csum ||
		{ skip "no FOU in the tunnels of this kernel" && return 1; }
}

# stage KIND FAMILY: m and c know each other by hand; the tunnel is up, and has carried something each way.
stage() {
	local family=$2

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	introduce m "$M" c "$C" && tunnel "$1" "$family" || return
	must "the tunnel works" inside m c 4 && must "the other way" inside c m 6
}

# inside FROM TO FAMILY: an echo request of a socket that is bound to the tunnel's device is answered.
inside() {
	in_ns "$1" ping "-$3" -I t0 -qnc 1 -W 2 "${INNER[$2.$3]}" >/dev/null
}

# move NAME PEER FAMILY: NAME gets another address; the old one is gone.
move() {
	local new=${FRESH[$3]}

	address "$1" eth0 "$3" "$new" "${ADDR[$1.eth0.$3]}" && moved "$1" "$2" "$new"
}

# keep_up: datagrams and a stream inside the tunnel, of sockets that are bound to its device.
keep_up() {
	serve c 4 udpc:5001 tcp:5000 || return
	traffic m 4 "${INNER[c.4]}" udpc:5001,dev=t0,size=1000 tcp:5000,dev=t0,rate=50000
}

# still_there: nothing of it goes into the tunnel again, and none of it is lost.
still_there() {
	local errors

	errors=$(($(csum_errors m) + $(csum_errors c)))
	must "an echo from m" busywait 10 inside m c 4 && must "an echo from c" inside c m 6 || return
	must "goes on inside" goes_on m 20 || return
	traffic_end m && serve_end c || return
	equal "checksum errors" "$errors" "$(($(csum_errors m) + $(csum_errors c)))"
	at_least "translated at m" 10 "$(figure m out-translated)"
	# What went round would be as many packets of the tunnel as fit into its size.
	at_most "packets that the tunnel's device refused" 0 "$(ipn m -s -j link show t0 | jq '.[0].stats64.tx.errors')"
}

# The set-up: two tunnels' ends without hosts, and nobody moves.
control() {
	local M C

	FAMILIES=$2 topo_pair || return
	M=${ADDR[m.eth0.$2]} C=${ADDR[c.eth0.$2]}
	tunnel "$1" "$2" && must "an echo" inside m c 4 && must "the other way" inside c m 6 && keep_up || return
	must "goes on inside" goes_on m 20 && traffic_end m && serve_end c
}

peer_moves() {
	local M C

	stage "$1" "$2" && keep_up && move c m "$2" && still_there
}

# The host itself moves, and keeps its former address beside the new one: a tunnel may name it.
we_move() {
	local M C

	stage "$1" "$2" && keep_up || return
	address m eth0 "$2" "${FRESH[$2]}" && moved m c "${FRESH[$2]}" && still_there
}

for tunnel in 'wireguard 4' 'wireguard 6' 'fou 4'; do
	read -r kind family <<<"$tunnel"
	run_case "IPv$family, $kind: the tunnel by itself" control "$kind" "$family"
	run_case "IPv$family, $kind: the peer moves" peer_moves "$kind" "$family"
	run_case "IPv$family, $kind: the host moves" we_move "$kind" "$family"
done
suite_end
