#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests that ihmp respects what programs and administrators configure while nobody moves: the device of a socket, its source address, a
# VPN beside the network, and a source address that is not the machine's. Each case runs without agents first.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# acquaintances FAMILY: m and c get to know each other by a connection, which then is idle. c has servers for all that is sent.
acquaintances() {
	local port

	speaker m "$1" && speaker c "$1" || return
	for port in "${PORTS[@]}"; do
		server c "t$port" tcp "$(any "$1")" "$port" here && server c "u$port" udp "$(any "$1")" "$port" here || return
	done
	agents m c && says m ok old tcp && ask m old connect "$C" "${PORTS[0]}" && says m 5 old talk 5 && acquainted m "$C" c "$M"
}

# --- the device

# two_networks FAMILY: m has two networks, the second one with a worse route, and a rule that routes packets with its address there.
two_networks() {
	local family=$1

	FAMILIES=$family topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	acquaintances "$family" && FAMILIES=$family join m wifi0 200 && ipn m "-$family" rule add from "$N" lookup 100 &&
		ipn m "-$family" route add default via "${GATE[m.wifi0.$family]}" dev wifi0 table 100 && knows c "$M" "$N"
}

# The following functions ask for wifi0 in different ways, with sockets that send to a port at c. Each leaves the socket s.
tcp_device() {
	says m ok s tcp wifi0 && ask m s connect "$C" "$1"
}

tcp_bind() {
	says m ok s tcp && ask m s bind "$N" && ask m s connect "$C" "$1"
}

udp_device() {
	says m ok s udp wifi0 && ask m s connect "$C" "$1"
}

udp_bind() {
	says m ok s udp && ask m s bind "$N" && ask m s connect "$C" "$1"
}

udp_unicast_if() {
	says m ok s udp && says m ok s unicast-if wifi0 && says m ok s say "$C" "$1"
}

udp_pktinfo_device() {
	says m ok s udp && says m ok s say-by wifi0 "$C" "$1"
}

udp_pktinfo_source() {
	says m ok s udp && says m ok s say-from "$N" "$C" "$1"
}

# device_of FAMILY WAY: Checks that a socket that asks for wifi0 uses it, with its address, and that no packet takes eth0.
device_of() {
	local M C N PORTS=(5000 6000)

	two_networks "$1" || return
	capture m eth0 -Q out "port 6000" && capture m wifi0 "port 6000" || return
	"$2" 6000 || return
	case $2 in
	*_unicast_if | *_pktinfo_*) says m "here speaker $C 6000" s hear ;;
	*) says m 10 s talk 10 ;;
	esac
	capture_end m eth0 && capture_end m wifi0
	equal "packets by eth0" 0 "$(captured m eth0 .)"
	at_least "packets by wifi0 from its address" 1 "$(captured m wifi0 "IP6? $N\.[0-9]+ > $C\.6000")"
	equal "packets by wifi0 between other addresses" 0 "$(captured_else m wifi0 "$N\.[0-9]+ > $C\.6000|$C\.6000 > $N\.[0-9]+")"
	says m 5 old talk 5
}

# device_of_ping FAMILY -I WHAT: Checks the same for ping.
device_of_ping() {
	local M C N PORTS=(5000) by=wifi0

	two_networks "$1" || return
	[ "$2" = device ] || by=$N
	capture m eth0 -Q out "icmp or icmp6[0] == 128" && capture m wifi0 -Q out "icmp or icmp6[0] == 128" || return
	check "ping" quiet in_ns m ping -qnc 5 -i 0.02 -W 1 -I "$by" "$C"
	capture_end m eth0 && capture_end m wifi0
	equal "packets by eth0" 0 "$(captured m eth0 .)"
	equal "packets by wifi0 from its address" 5 "$(captured m wifi0 "$N > $C")"
}

# dead_device FAMILY: Checks that a program that asks for the second network gets an error when that network loses all packets, and that
# the first network works.
dead_device() {
	local M C N PORTS=(5000 6000)

	two_networks "$1" || return
	netem r2 wan loss 100% && netem s p2 loss 100% || return
	says m "silence 2" v visits "$C" 6000 2 dev=wifi0
	says m "silence 2" v visits "$C" 6000 2 "bind=$N"
	udp_device 6000 && says m "0 silence" s talk 1
	udp_unicast_if 6000 && says m nothing s hear
	udp_pktinfo_device 6000 && says m nothing s hear
	udp_pktinfo_source 6000 && says m nothing s hear
	check "ping by the device fails" not quiet in_ns m ping -qnc 5 -i 0.02 -W 1 -I wifi0 "$C"
	check "ping from the address fails" not quiet in_ns m ping -qnc 5 -i 0.02 -W 1 -I "$N" "$C"
	check "ping by the other device works" quiet in_ns m ping -qnc 5 -i 0.02 -W 1 -I eth0 "$C"
	says m "here 5" v visits "$C" 6000 5
	says m 5 old talk 5
}

# --- a VPN

# vpn FAMILY: Makes a WireGuard tunnel from m to r2, which forwards packets from the tunnel; c has a route back. The agents ignore the
# tunnel.
vpn() {
	local family=$1 keys=$TMP/keys.$1 ends

	FAMILIES=$family topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} GATEWAY=${ADDR[r2.wan.$family]}
	case $family in
	4) V=10.9.0.2 W=10.9.0.1 ends=10.9.0.0/24 ;;
	6) V=fd09::2 W=fd09::1 ends=fd09::/64 ;;
	esac
	mkdir -p "$keys" && (umask 077 && wg genkey >"$keys/m" && wg genkey >"$keys/r2") || return
	ipn m link add wg0 type wireguard || { skip "no WireGuard in this kernel" && return; }
	ipn r2 link add wg0 type wireguard || return
	in_ns m wg set wg0 private-key "$keys/m" peer "$(wg pubkey <"$keys/r2")" allowed-ips 0.0.0.0/0,::/0 \
		endpoint "$(bracket "$GATEWAY"):51820" || return
	in_ns r2 wg set wg0 private-key "$keys/r2" listen-port 51820 peer "$(wg pubkey <"$keys/m")" allowed-ips 0.0.0.0/0,::/0 || return
	dad "$family"
	batch m <<<"addr add $V/${WIDTH[$family]} dev wg0 $DAD"$'\nlink set wg0 up\n' &&
		batch r2 <<<"addr add $W/${WIDTH[$family]} dev wg0 $DAD"$'\nlink set wg0 up\n' || return
	ipn c "-$family" route add "$ends" via "$GATEWAY" && ipn r2 "-$family" route add "$M" via "${ADDR[r1.wan.$family]}" &&
		acquaintances "$family"
}

# by_vpn FAMILY WHAT: A route leads to c by the tunnel, or a rule does for packets with the tunnel's address. Checks that new flows stay in
# the tunnel, with its address, and that no packet of theirs is seen outside of it.
by_vpn() {
	local M C V W GATEWAY PORTS=(5000 6000) from=()

	vpn "$1" || return
	[ -z "$CASE_STATUS" ] || return 0
	case $2 in
	route) ipn m "-$1" route add "$C" dev wg0 ;;
	rule)
		ipn m "-$1" route add default dev wg0 table 101 && ipn m "-$1" rule add from "$V" lookup 101 || return
		from=("bind=$V")
		;;
	esac || return
	# The route applies to the old connection as well.
	capture r2 wg0 -Q in "not port 61453 and not port 5000" && capture m eth0 "port 6000 or icmp[0] == 8 or icmp6[0] == 128" || return
	says m "here 5" v visits "$C" 6000 5 "${from[@]}"
	says m ok u udp && { [ "$2" = route ] || ask m u bind "$V"; } && ask m u connect "$C" 6000 && says m 10 u talk 10
	if [ "$2" = route ]; then
		check "ping" quiet in_ns m ping -qnc 5 -i 0.02 -W 1 "$C"
	else
		check "ping" quiet in_ns m ping -qnc 5 -i 0.02 -W 1 -I "$V" "$C"
		says m 5 old talk 5
	fi
	capture_end r2 wg0 && capture_end m eth0
	equal "packets beside the tunnel" 0 "$(captured m eth0 .)"
	at_least "packets in the tunnel" 30 "$(captured r2 wg0 "IP6? ${V}[.0-9]* > $C")"
	equal "packets in the tunnel from elsewhere" 0 "$(captured_else r2 wg0 "IP6? ${V}[.0-9]* >")"
}

# --- sources that are not the machine's, on purpose

# strangers_address FAMILY: Packets for X, an address of no host, are routed to m, which accepts them as its own.
strangers_address() {
	local family=$1

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} X=${M%1}66
	ipn m "-$family" route add local "$X" dev lo || return
	ipn c neigh replace "$X" lladdr "${HARDWARE[m.eth0]}" dev eth0 nud permanent && acquaintances "$family"
}

# transparent FAMILY OPTION: Checks that a proxy can use its client's address, by IP_TRANSPARENT or IP_FREEBIND.
transparent() {
	local M C X PORTS=(5000 6000)

	strangers_address "$1" && server c seen tcp "$(any "$1")" 6001 - && server c useen udp "$(any "$1")" 6001 - || return
	says m ok s tcp && says m ok s "$2" && ask m s bind "$X" && ask m s connect "$C" 6001 || return
	says m "$X" s hear && says m 5 s talk 5
	says m ok u udp && says m ok u "$2" && ask m u bind "$X" && ask m u connect "$C" 6001 || return
	says m ok u write hello && says m "$X hello $C 6001" u hear && says m 5 u talk 5
	# m has a flow of its own with the same port.
	ask m own udp && ask m own bind "$M" 7000 && ask m own connect "$C" 6001 && says m 5 own talk 5
	says m ok t udp && says m ok t "$2" && says m 7000 t bind "$X" 7000 && says m ok t say "$C" 6001 hello &&
		says m "$X hello $C 6001" t hear
	says m 5 old talk 5
}

# forged FAMILY: Checks that a program that makes the IP header itself keeps the source that it has put there.
forged() {
	local M C X N PORTS=(5000 6000)

	strangers_address "$1" || return
	N=${M%1}200
	address m eth0 "$1" "$N" && capture c eth0 -Q in "port 6002 or icmp[0] == 8 or icmp6[0] == 128" || return
	ask m own udp && ask m own bind "$M" 6002 && says m ok own say "$C" 6002
	says m ok r header || return
	for source in "$X" "$N"; do
		says m ok r forge "$source" "$C" udp 6002 && says m ok r forge "$source" "$C" echo 6002 || return
	done
	slowwait 5 lines_at_least "$TMP/cap.c.eth0" 5
	capture_end c eth0
	equal "datagrams from where they say" 2 "$(captured c eth0 "($X|$N)\.6002 > $C\.6002")"
	equal "echo requests from where they say" 2 "$(captured c eth0 "($X|$N) > $C: ICMP")"
	equal "others" 1 "$(captured c eth0 "$M\.6002 >")"
}

lines_at_least() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}

# direct FAMILY: Checks direct server return: a real server behind a balancer (d) has the service address on its loopback, and answers
# clients itself.
direct() {
	local family=$1 M C V PORTS=(5000 6000)

	FAMILIES=$family topo_trio delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} V=${M%1}99
	ipn m addr add "$V/$([ "$family" = 4 ] && echo 32 || echo 128)" dev lo || return
	sysctl_in d net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
	ipn d "-$family" route add "$V" via "$M" && ipn c "-$family" route add "$V" via "${ADDR[d.eth0.$family]}" || return
	sysctl_in c net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.eth0.accept_redirects=0 net.ipv6.conf.eth0.accept_redirects=0
	acquaintances "$family" || return
	server m web tcp "$(any "$family")" 80 web && server m uweb udp "$(any "$family")" 80 web || return
	capture m eth0 -Q out "port 80" || return
	says c "web 10" v visits "$V" 80 10
	says c ok u udp && ask c u connect "$V" 80 && says c 10 u talk 10
	says c ok t tcp && ask c t connect "$V" 80 && says c 10 t talk 10
	capture_end m eth0
	equal "answers from elsewhere" 0 "$(captured_else m eth0 "IP6? $V\.80 >")"
	says c "web 5" v visits "$M" 80 5
	says m 5 old talk 5
}

for family in 4 6; do
	for way in tcp_device tcp_bind udp_device udp_bind udp_unicast_if udp_pktinfo_device udp_pktinfo_source; do
		paired "IPv$family: a socket that asks for another device has it: ${way//_/ }" device_of $family $way
	done
	for way in device source; do
		paired "IPv$family: a socket that asks for another device has it: ping -I $way" device_of_ping $family $way
	done
	paired "IPv$family: a dead network is not reported alive" dead_device $family
	for way in route rule; do
		paired "IPv$family: a VPN keeps what a $way gives it" by_vpn $family $way
	done
	for way in transparent freebind; do
		paired "IPv$family: the source of a proxy's socket, $way" transparent $family $way
	done
	paired "IPv$family: the source in a header that the program made" forged $family
	paired "IPv$family: direct server return" direct $family
done
suite_end
