#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests that a flow stays on its own addresses until it has to leave them. Nobody has moved, and the hosts know each other. The address that
# a program dials, and the source and the device that it asks for, are used. Each case runs without agents first.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# pair FAMILY: m has a second address, N. A server is on each of the two addresses, and each of two ports has a server on one address only.
# SPEAKS is the family of the sockets, if it is another one.
pair() {
	local family=$1

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	N=${M%1}200
	address m eth0 "$family" "$N" || return
	speaker m "${SPEAKS:-$family}" && speaker c "${SPEAKS:-$family}" || return
	server m first tcp "$M" 5000 first && server m second tcp "$N" 5000 second || return
	server m only tcp "$N" 5001 only && server m other tcp "$M" 5002 other || return
	server m ufirst udp "$M" 5000 first && server m usecond udp "$N" 5000 second || return
}

# told FAMILY: m's second address is removed and added again, so that m announces it and proves it to c. Before, it was only a claim.
told() {
	ipn m addr del "$N/${WIDTH[$1]}" dev eth0 && address m eth0 "$1" "$N" && knows c "$M" "$N"
}

# --- the address that was dialled

# second_address FAMILY claimed|told: c has a connection to one address of m and opens others to the second one.
second_address() {
	local M C N

	pair "$1" && agents m c && opened c old tcp "$M" 5000 first || return
	acquainted m "$C" c "$M" || return
	[ "$2" = claimed ] || told "$1" || return
	says c "second 20" v visits "$N" 5000 20
	says c "only 20" v visits "$N" 5001 20
	says c "ECONNREFUSED 20" v visits "$N" 5002 20
	opened c u udp "$N" 5000 second && says c 20 u talk 20
	opened c u1 udp "$M" 5000 first && says c 20 u1 talk 20
	says c 5 old talk 5
	# In the other direction, m chooses its source address.
	server c back tcp "$C" 5003 - || return
	says m "$N 20" v visits "$C" 5003 20 "bind=$N"
	says m "$M 20" v visits "$C" 5003 20 "bind=$M"
}

# cookies FAMILY: Checks the same where m answers SYNs with SYN cookies, without a socket.
cookies() {
	local M C N

	pair "$1" && sysctl_in m net.ipv4.tcp_syncookies=2 && agents m c && opened c old tcp "$M" 5000 first || return
	acquainted m "$C" c "$M" && told "$1" || return
	says c "second 20" v visits "$N" 5000 20
	says c "first 20" v visits "$M" 5000 20
	says c "ECONNREFUSED 20" v visits "$N" 5002 20
	says c 5 old talk 5
}

# young FAMILY ROUNDS: c opens a connection to each address while the hosts are getting to know each other, the second one ROUNDS round
# trips after the first.
young() {
	local M C N

	pair "$1" && agents m c && opened c a tcp "$M" 5000 first && says c "$2" a talk "$2" || return
	opened c b tcp "$N" 5000 second
	for _ in {1..20}; do
		says c 1 a talk 1 && says c 1 b talk 1 || return
	done
	acquainted m "$C" c "$M" && acquainted m "$C" c "$N" || return
	says c 5 a talk 5
	says c 5 b talk 5
}

# asunder FAMILY: c has connections to both addresses of m when the agents start, so at first c takes m for two hosts. Meanwhile c goes on
# to open connections.
asunder() {
	local M C N

	pair "$1" && opened c a tcp "$M" 5000 first && opened c b tcp "$N" 5000 second || return
	agents m c || return
	for _ in {1..30}; do
		says c 1 a talk 1 && says c 1 b talk 1 || return
		says c "second 1" v visits "$N" 5000 1 && says c "first 1" v visits "$M" 5000 1 || return
		says c "only 1" v visits "$N" 5001 1 && says c "other 1" v visits "$M" 5002 1 || return
	done
	acquainted m "$C" c "$M"
}

# many_addresses FAMILY COUNT each|together: Checks that a connection to each of m's addresses works, used one after the other or all at
# once, and that all of them go on.
many_addresses() {
	local family=$1 count=$2 M C i address lines='' bad=0

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	dad "$family"
	for ((i = 2; i <= count; i++)); do
		lines+="addr add ${M%1}2$((10 + i))/${WIDTH[$family]} dev eth0 $DAD"$'\n'
	done
	batch m <<<"$lines" && speaker m "$family" && speaker c "$family" || return
	server m all tcp "$(any "$family")" 5000 here && agents m c || return
	for ((i = 1; i <= count; i++)); do
		address=$M
		[ "$i" = 1 ] || address=${M%1}2$((10 + i))
		says c ok "k$i" tcp && ask c "k$i" connect "$address" 5000 || return
		[ "$3" = each ] || continue
		ask c "k$i" talk 1 && [ "$ANSWER" = 1 ] || bad=$((bad + 1))
	done
	for ((i = 1; i <= count; i++)); do
		[ "$3" = together ] || break
		ask c "k$i" talk 1 && [ "$ANSWER" = 1 ] || bad=$((bad + 1))
	done
	equal "connections that fail at once" 0 "$bad"
	bad=0
	POLL_MS=1000 slowwait 20 passed "$(now_ms)" 5000
	for ((i = 1; i <= count; i++)); do
		ask c "k$i" talk 2 && [ "$ANSWER" = 2 ] || bad=$((bad + 1))
	done
	equal "connections that fail afterwards" 0 "$bad"
	acquainted m "$C" c "$M"
}

# withdrawn FAMILY [SETTING]: m has told c the address of its second network and has withdrawn it, because no route leads to c over that
# network. The address still exists, and programs use it. SETTING is a sysctl of m.
withdrawn() {
	local family=$1 M C N

	FAMILIES=$family topo_testbed delay 5ms && { [ $# -lt 2 ] || sysctl_in m "$2"; } || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	speaker m "$family" && speaker c "$family" && server m first tcp "$M" 5000 first || return
	agents m c && opened c old tcp "$M" 5000 first && acquainted m "$C" c "$M" || return
	FAMILIES=$family join m wifi0 200 && knows c "$M" "$N" && server m second tcp "$N" 5000 second && server m usecond udp "$N" 5000 second || return
	ipn m "-$family" route del default dev wifi0 && knows_former c "$M" "$N" || return
	server c back tcp "$C" 5003 - && server c uback udp "$C" 5003 - || return
	says m "$N 20" v visits "$C" 5003 20 "bind=$N"
	says m "$M 20" v visits "$C" 5003 20 "bind=$M"
	says m ok u udp && says m 7000 u bind "$N" 7000 && ask m u connect "$C" 5003 && says m ok u write hello || return
	says m "$N hello $C 5003" u hear && says m 20 u talk 20
	check "ping" quiet in_ns m ping -qnc 5 -i 0.02 -W 1 -I "$N" "$C"
	says c "second 20" v visits "$N" 5000 20
	opened c a tcp "$N" 5000 second && says c 20 a talk 20
	opened c ua udp "$N" 5000 second && says c 20 ua talk 20
	check "ping to it" quiet in_ns c ping -qnc 5 -i 0.02 -W 1 "$N"
	says c 5 old talk 5
}

# one_socket FAMILY: Checks that one UDP socket can talk to both addresses of m, and hears each answer from the address that it asked.
one_socket() {
	local M C N

	pair "$1" && agents m c && opened c old tcp "$M" 5000 first || return
	acquainted m "$C" c "$M" && told "$1" || return
	says c ok u udp || return
	for _ in {1..10}; do
		says c ok u say "$M" 5000 one && says c "first one $M 5000" u hear || return
		says c ok u say "$N" 5000 two && says c "second two $N 5000" u hear || return
	done
}

# same_ports FAMILY KIND WHEN [SETTING]: Checks two connections with the same ports to two addresses of m, begun before the agents or after
# them. SETTING is a sysctl of m.
same_ports() {
	local M C N name

	pair "$1" && { [ $# -lt 4 ] || sysctl_in m "$4"; } || return
	[ "$3" = before ] || { agents m c && opened c old tcp "$M" 5000 first && acquainted m "$C" c "$M" && told "$1"; } || return
	for name in a b; do
		says c ok "$name" "$2" && says c ok "$name" share && says c 7000 "$name" bind "$C" 7000 || return
	done
	says c 7000 a connect "$M" 5000 && says c 7000 b connect "$N" 5000 || return
	[ "$3" = after ] || agents m c || return
	for _ in {1..20}; do
		says c 1 a talk 1 && says c 1 b talk 1 || return
	done
	acquainted m "$C" c "$M"
	says c 5 a talk 5
	says c 5 b talk 5
}

# signed FAMILY: Checks connections with TCP's MD5 signature, which covers the addresses.
signed() {
	local M C N from

	pair "$1" && server c open tcp "$C" 5003 - || return
	says c ok strict tcp && says c 5004 strict bind "$C" 5004 && says c ok strict md5 "$N" && says c ok strict md5 "$M" &&
		says c ok strict greet strict || return
	agents m c && says m ok old tcp && ask m old bind "$M" && ask m old connect "$C" 5003 && says m "$M" old hear || return
	acquainted m "$C" c "$M" && told "$1" || return
	for from in "$N" "$M"; do
		says m ok s tcp && ask m s bind "$from" && says m ok s md5 "$C" && ask m s connect "$C" 5004 && says m 5 s talk 5
	done
	says m 5 old talk 5
}

# --- packet filters and NAT rules of the machine itself

# filtered FAMILY METRIC: m has two networks, the second one with this metric. c has a firewall that accepts only established connections
# and IHMP messages.
filtered() {
	local family=$1 M C N

	FAMILIES=$family topo_testbed delay 5ms && FAMILIES=$family join m wifi0 "$2" || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	in_ns c nft -f - <<-END || return
		table inet filter {
			chain input {
				type filter hook input priority filter; policy drop;
				ct state established,related accept
				udp dport 61453 accept
				icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
				counter
			}
		}
	END
	speaker m "$family" && speaker c "$family" || return
	server m all tcp "$(any "$family")" 5000 here && server m u udp "$N" 5001 there && agents m c || return
	opened c a tcp "$M" 5000 here && acquainted m "$C" c "$M" || return
	says c 5 a talk 5
	opened c b tcp "$N" 5000 here && says c 20 b talk 20
	opened c u udp "$N" 5001 there && says c 20 u talk 20
	says c "here 5" v visits "$N" 5000 5
	says c 5 a talk 5
	equal "packets that the firewall dropped" 0 "$(in_ns c nft -j list chain inet filter input |
		jq '[.nftables[].rule?.expr[]?.counter?.packets? // empty] | add')"
}

# redirected FAMILY: Rules of m redirect its own packets to one port. Then a better network comes, and the old one stays.
redirected() {
	local family=$1 M C

	FAMILIES=$family topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	in_ns m nft -f - <<-END || return
		table inet nat {
			chain output {
				type nat hook output priority -100;
				ip daddr $([ "$family" = 4 ] && echo "$C" || echo 203.0.113.10) tcp dport 80 dnat ip to 203.0.113.10:5000
				ip6 daddr $([ "$family" = 6 ] && echo "$C" || echo 2001:db8:3::10) tcp dport 80 dnat ip6 to [2001:db8:3::10]:5000
				tcp dport 81 redirect to :5001
			}
		}
	END
	speaker m "$family" && speaker m@near "$family" && speaker c "$family" || return
	server c far tcp "$C" 5000 far && server m@near near tcp "$(any "$family")" 5001 near || return
	agents m c && opened m old tcp "$C" 5000 far && acquainted m "$C" c "$M" || return
	opened m a tcp "$C" 80 far && opened m b tcp "$C" 81 near || return
	says m 10 a talk 10 && says m 10 b talk 10 || return
	join m wifi0 50 || return
	knows c "$M" "${ADDR[m.wifi0.$family]}" || return
	says m 50 a talk 50
	says m 50 b talk 50
	says m 10 old talk 10
	opened m a1 tcp "$C" 80 far && opened m b1 tcp "$C" 81 near
}

# masqueraded FAMILY: m is a NAT for a container, k, on its second network, and sends from the first network itself.
masqueraded() {
	local family=$1 M C N K host

	FAMILIES=$family topo_testbed delay 5ms && setup_ns k && cable m veth0 k eth0 || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	K=$([ "$family" = 4 ] && echo 10.8.0. || echo fd08::)
	dad "$family"
	sysctl_in m net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	batch m <<<"addr add ${K}1/${WIDTH[$family]} dev veth0 $DAD"$'\nlink set veth0 up\n'
	batch k <<<"addr add ${K}2/${WIDTH[$family]} dev eth0 $DAD"$'\nlink set eth0 up\n' &&
		ipn k "-$family" route add default via "${K}1" || return
	in_ns m nft 'table inet nat { chain postrouting { type nat hook postrouting priority srcnat; iifname "veth0" masquerade; }; }' || return
	for host in m c k; do
		speaker "$host" "$family" || return
	done
	server c t tcp "$(any "$family")" 5000 - && server c u udp "$(any "$family")" 5001 - && agents m c || return
	opened m old tcp "$C" 5000 "$M" && acquainted m "$C" c "$M" || return
	FAMILIES=$family join m wifi0 200 && ipn m "-$family" rule add iif veth0 lookup 100 && ipn m "-$family" rule add from "$N" lookup 100 &&
		ipn m "-$family" route add default via "${GATE[m.wifi0.$family]}" dev wifi0 table 100 &&
		ipn m "-$family" route add "${K}0/${WIDTH[$family]}" dev veth0 table 100 && knows c "$M" "$N" || return
	says k "$N 5" v visits "$C" 5000 5
	says k "$N 2" v visits "$C" 5000 2 size=60000
	says k "ECONNREFUSED 5" v visits "$C" 5002 5
	opened k a tcp "$C" 5000 "$N" && says k 20 a talk 20 && says m 5 old talk 5 && says k 5 a talk 5 2000
	says k ok w udp && ask k w connect "$C" 5001 && says k ok w write hello && says k "$N hello $C 5001" w hear && says k 20 w talk 20
	check "ping" quiet in_ns k ping -qnc 5 -i 0.02 -W 1 "$C"
	says m "$M 5" v visits "$C" 5000 5
	says m 5 old talk 5
}

# roamer FAMILY: Builds the testbed with m at its first network, and servers at both ends that greet.
roamer() {
	FAMILIES=$1 topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$1]} C=${ADDR[c.eth0.$1]} N=${ADDR[m.wifi0.$1]}
	speaker m "$1" && speaker c "$1" && server c t tcp "$C" 5000 far && server c u udp "$C" 5000 far &&
		server m mt tcp "$(any "$1")" 5000 near
}

# gagged FAMILY: m moves into a network that carries everything but IHMP messages. Checks that new connections there work as without
# agents, and that those to closed ports are refused as without agents.
gagged() {
	local M C N family=$1

	roamer "$family" && agents m c && opened m old tcp "$C" 5000 far && acquainted m "$C" c "$M" || return
	in_ns r2 nft 'table inet f { chain fo { type filter hook forward priority 0; udp dport 61453 drop; }; }' || return
	FAMILIES=$family leave m eth0 && FAMILIES=$family join m wifi0 || return
	opened m a tcp "$C" 5000 far && says m 10 a talk 10
	says m "far 5" v visits "$C" 5000 5
	says m "ECONNREFUSED 5" v visits "$C" 5002 5
	opened m w udp "$C" 5000 far && says m 10 w talk 10
	says m ok y udp && ask m y connect "$C" 5002 && says m ok y write hello && says m ECONNREFUSED y hear
	says c "near 5" v visits "$N" 5000 5
	says c "ECONNREFUSED 5" v visits "$N" 5002 5
}

# ruled FAMILY uid|port|source: A rule keeps a program at m's first network. A better network comes, which drops the program's packets.
ruled() {
	local M C N family=$1 rule

	roamer "$family" && server c s tcp "$C" 5001 far || return
	case $2 in
	uid) rule="uidrange 4242-4242" ;;
	port) rule="ipproto tcp dport 5001" ;;
	source) rule="from $M" ;;
	esac
	speaker m@ruled "$family" setpriv --reuid 4242 || return
	ipn m "-$family" route add default via "${GATE[m.eth0.$family]}" dev eth0 table 100 || return
	# shellcheck disable=SC2086 # some words
	ipn m "-$family" rule add $rule lookup 100 || return
	agents m c && opened m old tcp "$C" 5000 far && acquainted m "$C" c "$M" && opened m@ruled a tcp "$C" 5001 far || return
	says m@ruled 5 a talk 5
	in_ns r2 nft 'table inet f { chain fo { type filter hook forward priority 0; tcp dport 5001 drop; }; }' || return
	capture m wifi0 "tcp port 5001" && FAMILIES=$family join m wifi0 50 && knows c "$M" "$N" || return
	says m 20 old talk 20
	says m@ruled 20 a talk 20
	capture_end m wifi0
	equal "packets of the ruled program by the better network" 0 "$(captured m wifi0 .)"
}

for family in 4 6; do
	for what in claimed told; do
		paired "IPv$family: connections to another address of a host reach that address, $what" second_address $family $what
	done
	for rounds in 0 1 2 3; do
		paired "IPv$family: so they do while the hosts get to know each other, $rounds round trips later" young $family $rounds
	done
	paired "IPv$family: so they do with SYN cookies" cookies $family
	paired "IPv$family: so they do while one host is known as two" asunder $family
	for count in 2 30 40; do
		for opened in each together; do
			paired "IPv$family: a host with $count addresses, a connection to each, $opened" many_addresses $family "$count" "$opened"
		done
	done
	paired "IPv$family: a second address that is told no more, and is still there" withdrawn $family
	paired "IPv$family: such an address of a host that sends SYN cookies" withdrawn $family net.ipv4.tcp_syncookies=2
	paired "IPv$family: one UDP socket speaks to two addresses of a host" one_socket $family
	for kind in tcp udp; do
		for begun in before after; do
			paired "IPv$family, $kind: the same ports to two addresses of a host, begun $begun the agents" same_ports $family $kind $begun
		done
	done
	paired "IPv$family: the same ports to two addresses of a host that sends SYN cookies" same_ports $family tcp after net.ipv4.tcp_syncookies=2
	paired "IPv$family: a second address with TCP's MD5 signatures" signed $family
	for metric in 50 200; do
		paired "IPv$family: a firewall that lets in what is established, and a host with two networks, metric $metric" filtered $family $metric
	done
	paired "IPv$family: a container that is hidden behind another network than its host's own" masqueraded $family
	paired "IPv$family: a network that does not carry the signalling" gagged $family
	for rule in uid port source; do
		paired "IPv$family: a rule for a program by $rule, and a better network comes" ruled $family $rule
	done
	paired "IPv$family: what the machine itself redirects or translates goes on when a better network comes" redirected $family
done
SPEAKS=6
paired "IPv4 by IPv6 sockets: connections to another address of a host reach that address" second_address 4 told
paired "IPv4 by IPv6 sockets: so they do while one host is known as two" asunder 4
paired "IPv4 by IPv6 sockets: one UDP socket speaks to two addresses of a host" one_socket 4
suite_end
