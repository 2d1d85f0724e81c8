#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests tunnels of the kernel between hosts that move. A tunnel's packet belongs to the tunnel's own socket, or to none, and not to the
# socket whose packet is inside, which may be bound to the tunnel's device.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# Addresses inside the tunnel.
declare -A INNER=([m.4]=10.9.0.1 [c.4]=10.9.0.2 [m.6]=fd00:9::1 [c.6]=fd00:9::2)

# The host that moves goes to this address.
declare -A FRESH=([4]=192.0.2.77 [6]=2001:db8:1::77)

# tunnel KIND FAMILY: Makes a device t0 at m and c, for a tunnel between M and C with the same port at both ends.
tunnel() {
	"$1" m "$2" "$C" c && "$1" c "$2" "$M" m || return
	batch m <<<"link set t0 up mtu 1300" && batch c <<<"link set t0 up mtu 1300" || return
	batch m <<<$'addr add 10.9.0.1/24 dev t0\naddr add fd00:9::1/64 dev t0 nodad' || return
	batch c <<<$'addr add 10.9.0.2/24 dev t0\naddr add fd00:9::2/64 dev t0 nodad'
}

# wireguard NAME FAMILY REMOTE PEER: Makes one end of the tunnel, as the functions below do.
wireguard() {
	local host

	for host in m c; do
		[ -e "$TMP/key.$host" ] || (umask 077 && wg genkey >"$TMP/key.$host") || return
	done
	ipn "$1" link add t0 type wireguard || return
	in_ns "$1" wg set t0 listen-port 51820 private-key "$TMP/key.$1" peer "$(wg pubkey <"$TMP/key.$4")" \
		endpoint "$(bracket "$3"):51820" allowed-ips 0.0.0.0/0,::/0
}

# fou: GRE inside UDP, which the kernel sends without a socket. The outer datagram has a checksum that covers the inner packet.
fou() {
	# Asking for the port does not load the module that answers.
	modprobe -qa fou 2>/dev/null
	ipn "$1" fou add port 7777 ipproto 47 || return
	ipn "$1" link add t0 type gre remote "$3" encap fou encap-sport 7777 encap-dport 7777 encap-csum ||
		{ skip "no FOU in the tunnels of this kernel" && return 1; }
}

# gue: The same with a header of its own (GUE).
gue() {
	modprobe -qa fou 2>/dev/null
	ipn "$1" fou add port 7777 gue || return
	ipn "$1" link add t0 type gre remote "$3" encap gue encap-sport 7777 encap-dport 7777 encap-csum ||
		{ skip "no GUE in the tunnels of this kernel" && return 1; }
}

# vxlan: Ethernet inside UDP, from a port of the namespace's range; the outer datagram has a checksum.
vxlan() {
	ipn "$1" link add t0 type vxlan id 7 remote "$3" dstport 4789 udpcsum
}

# stage KIND FAMILY: m and c know each other without agents. The tunnel is up, and has carried a packet in each direction.
stage() {
	local family=$2

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	introduce m "$M" c "$C" && tunnel "$1" "$family" || return
	must "the tunnel works" inside m c 4 && must "the other way" inside c m 6
}

# inside FROM TO FAMILY: Checks that an echo request from a socket that is bound to the tunnel's device is answered.
inside() {
	in_ns "$1" ping "-$3" -I t0 -qnc 1 -W 2 "${INNER[$2.$3]}" >/dev/null
}

# move NAME PEER FAMILY: NAME gets another address and loses the old one.
move() {
	local new=${FRESH[$3]}

	address "$1" eth0 "$3" "$new" "${ADDR[$1.eth0.$3]}" && moved "$1" "$2" "$new"
}

# keep_up: Starts datagrams and a stream inside the tunnel, from sockets that are bound to its device.
keep_up() {
	serve c 4 udpc:5001 tcp:5000 || return
	traffic m 4 "${INNER[c.4]}" udpc:5001,dev=t0,size=1000 tcp:5000,dev=t0,rate=50000
}

# still_there: Checks that the tunnel's packets do not go into the tunnel again, and that nothing is lost.
still_there() {
	local errors

	errors=$(($(csum_errors m) + $(csum_errors c)))
	must "an echo from m" slowwait 10 inside m c 4 && must "an echo from c" inside c m 6 || return
	must "goes on inside" goes_on m 20 || return
	traffic_end m && serve_end c || return
	equal "checksum errors" "$errors" "$(($(csum_errors m) + $(csum_errors c)))"
	at_least "translated at m" 10 "$(figure m out-translated)"
	# If packets went into the tunnel again, its device would refuse them when they have grown beyond its MTU.
	at_most "packets that the tunnel's device refused" 0 "$(ipn m -s -j link show t0 | jq '.[0].stats64.tx.errors')"
}

# A control of the set-up: the tunnel works without hosts, and nobody moves.
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

# The host itself moves and keeps its former address beside the new one, because a tunnel may name it.
we_move() {
	local M C

	stage "$1" "$2" && keep_up || return
	address m eth0 "$2" "${FRESH[$2]}" && moved m c "${FRESH[$2]}" && still_there
}

# set_offloads BITS: Sets one of eight combinations: whether the tunnel's device accepts large packets, and whether it and the link make
# checksums. If the link makes none, the receiver checks that of the outer datagram.
set_offloads() {
	local host state=(off on)

	for host in m c; do
		in_ns "$host" ethtool -K t0 tx "${state[$1 & 1]}" tso "${state[$1 >> 1 & 1]}" gso "${state[$1 >> 1 & 1]}"
		in_ns "$host" ethtool -K eth0 tx "${state[$1 >> 2 & 1]}"
	done >/dev/null 2>&1
	# The kernel takes back combinations that are impossible.
	return 0
}

# outer KIND FAMILY [without]: Checks that the checksums of outer datagrams are right, whichever device makes the inner ones.
outer() {
	local M C ways errors

	if [ "${3:-}" = without ]; then
		FAMILIES=$2 topo_pair || return
		M=${ADDR[m.eth0.$2]} C=${ADDR[c.eth0.$2]}
		tunnel "$1" "$2" || return
	else
		stage "$1" "$2" || return
	fi
	serve c 4 tcp:5000 udpc:5001 udpu:5004 || return
	traffic m 4 "${INNER[c.4]}" tcp:5000,dev=t0,burst=1 udpc:5001,dev=t0,burst=1,size=1000 \
		udpu:5004,dev=t0,name=segments,burst=1,size=1000,segment=10 || return
	# Only packets from the port of the tunnel's socket are of a flow. With this range VXLAN sends from no other port.
	sysctl_in m net.ipv4.ip_local_port_range='4789 4789' && sysctl_in c net.ipv4.ip_local_port_range='4789 4789' || return
	must "goes on inside" burst m 5000 || return
	[ "${3:-}" = without ] || move c m "$2" || return
	capture c eth0 -vv "dst host ${FRESH[$2]} and udp" || return
	for ways in {0..7}; do
		errors=$(($(csum_errors m) + $(csum_errors c)))
		set_offloads "$ways" && must "streams are intact, offloads $ways" burst m 40000 30 || return
		equal "checksum errors, offloads $ways" "$errors" "$(($(csum_errors m) + $(csum_errors c)))"
	done
	capture_end c eth0
	[ "${3:-}" = without ] || at_least "translated at m" 100 "$(figure m out-translated)"
	equal "datagrams without a checksum" 0 "$(captured c eth0 'no cksum')"
	traffic_end m && serve_end c || return
	equal "what is wrong" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {} or (.lost // 0) != 0) | tojson' "$TMP/run.m.json")"
}

# FOU and GUE let the device make the checksum even if it makes none, also without ihmp, so they are not tested here.
for tunnel in 'vxlan 4' 'vxlan 6'; do
	read -r kind family <<<"$tunnel"
	run_case "IPv$family, $kind: outer checksums, without ihmp" outer "$kind" "$family" without
	run_case "IPv$family, $kind: outer checksums, the peer has moved" outer "$kind" "$family"
done
for tunnel in 'wireguard 4' 'wireguard 6' 'fou 4' 'gue 4'; do
	read -r kind family <<<"$tunnel"
	run_case "IPv$family, $kind: the tunnel by itself" control "$kind" "$family"
	run_case "IPv$family, $kind: the peer moves" peer_moves "$kind" "$family"
	run_case "IPv$family, $kind: the host moves" we_move "$kind" "$family"
done
suite_end
