#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests whose addresses packets may come from. A socket that has outlived its address goes on sending, for which the module grants it
# IP_TRANSPARENT, with which it could use any source. Checks that nothing that an unprivileged program does with such a socket sends a
# packet from a foreign address.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"

# No host has these addresses.
X4=192.0.2.66 X6=2001:db8:1::66

# unprivileged NAME FAMILY: Starts a speaker without privileges.
unprivileged() {
	speaker "$1" "$2" setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all
}

# tell NAME VERB [WORD]...: Has m's speaker do this; its answer is in ANSWER.
tell() {
	ask m "$@"
}

# expect ANSWER COMMAND...: The same, and the case fails unless it is that answer.
expect() {
	tell "${@:2}" && equal "${*:2}" "$1" "$ANSWER"
}

# barred COMMAND...: Sends from an address that m does not have. The program may get an error of the kernel. If it gets none, the module has
# to drop the packet, and BARRED counts such packets.
barred() {
	tell "$@" || return
	case $ANSWER in
	ok | EINPROGRESS) BARRED=$((BARRED + 1)) ;;
	ENETUNREACH | EINVAL) ;;
	*) fail "$*: $ANSWER" ;;
	esac
}

# sink NAME: The host sends no UDP errors for what is sent to it.
sink() {
	in_ns "$1" nft -f - <<-END
		table inet sink {
			chain in {
				type filter hook input priority 0
				udp dport 5000-5010 drop
			}
		}
	END
}

# stage [FAMILY]: m, c and d are on a link, and m and c know each other over IPv4. An unprivileged speaker is at m. c and d capture packets
# from X4 and X6.
stage() {
	FAMILIES='4 6' topo_trio || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]} D=${ADDR[d.eth0.4]} C6=${ADDR[c.eth0.6]} NEW=192.0.2.10
	introduce m "$M" c "$C" && sink c && sink d && listen || return
	BARRED=0
	unprivileged m "${1:-4}" && equal "who speaks" "uid 65534" "$ANSWER"
}

# listen: Captures packets from X4 and X6 at c and d.
listen() {
	capture c eth0 -Q in "src host $X4 or src host $X6" && capture d eth0 -Q in "src host $X4 or src host $X6"
}

# silence [PING OPTION...]: Checks that the module dropped all barred packets because of their source, and that c and d received none from
# X4 or X6. A ping that is sent later has arrived, so no such packet is still in flight.
silence() {
	local host

	equal "packets that were dropped" "$BARRED" "$(reason m foreign-source)"
	for host in c d; do
		in_ns m ping "$@" -qnc 1 -W 2 "${ADDR[$host.eth0.4]}" >/dev/null 2>&1 ||
			fail "$host cannot be reached"
		capture_end "$host" eth0
		equal "packets from nobody's address at $host" 0 "$(captured "$host" eth0 .)"
	done
}

# marked NAME KIND [DEVICE]: Opens a socket with a flow to c, so that the module has granted it IP_TRANSPARENT.
marked() {
	expect ok "$@" && expect ok "$1" say "$C" 5001 && expect 1 "$1" flag
}

no_flows() {
	slowwait 200 figure_is m flows 0
}

# Checks the harness: what it would see, and that the speaker cannot do any of this without a grant.
control() {
	stage || return
	expect ok u udp && expect ENETUNREACH u say-from "$X4" "$D" 5001 && expect 0 u flag || return
	expect EPERM r raw || return
	expect ok b udp && expect EADDRNOTAVAIL b bind "$X4" || return
	equal "refused by us" 0 "$(reason m foreign-source)"
	# A program that has the privilege itself goes on using any source, also when its socket has a flow.
	speaker m 4 || return
	marked p udp && expect ok p say-from "$X4" "$D" 5001 || return
	must "d hears it" slowwait 5 has_line "$TMP/cap.d.eth0" "$X4" || return
	equal "refused by us" 0 "$(reason m foreign-source)"
}

# Checks that the socket goes on from the lost address, by its flow.
gone_address() {
	local port

	stage || return
	capture m eth0 -Q out "udp port 5001" || return
	expect ok u udp && tell u connect "$C" 5001 && port=$ANSWER && expect ok u write || return
	address m eth0 4 "$NEW" "$M" && moved m c "$NEW" || return
	expect ok u write || return
	must "it leaves" slowwait 5 has_line "$TMP/cap.m.eth0" "$NEW\.$port > $C\.5001" || return
	silence
}

# Checks that it may not send to other hosts even from its lost address.
gone_address_to_others() {
	stage || return
	expect ok u udp && expect ok u say "$C" 5001 || return
	address m eth0 4 "$NEW" "$M" && moved m c "$NEW" || return
	capture m eth0 -Q out "src host $M" || return
	barred u say-from "$M" "$D" 5001 && silence || return
	equal "dropped" 1 "$BARRED"
	capture_end m eth0
	equal "packets from the old address" 0 "$(captured m eth0 .)"
}

pktinfo() {
	stage && marked u "$1" || return
	barred u say-from "$X4" "$C" 5001 && barred u say-from "$X4" "$D" 5001 || return
	barred u say-from "$X4" "$M" 5001 && silence || return
	equal "dropped" 3 "$BARRED"
}

# pktinfo_later KIND: The flow is gone, and the socket still exists.
pktinfo_later() {
	stage && marked u "$1" && ctl m param set udp-timeout 1 max-flows 8 || return
	must "the flow goes" no_flows || return
	barred u say-from "$X4" "$D" 5001 && silence
}

# rebound KIND at-once|later: The socket gives its address up and binds to a foreign one.
rebound() {
	stage && serve c 4 tcp:5000 && expect ok u "$1" || return
	tell u connect "$C" 5000
	[ "$1" = tcp ] || expect ok u write || return
	must "a flow" slowwait 5 figure_at_least m flows 1 || return
	expect 1 u flag && expect ok u disconnect || return
	[ "$2" = at-once ] || must "the flow goes" no_flows || return
	tell u bind "$X4"
	case $1 in
	tcp) barred u begin "$D" 5000 ;;
	*) barred u say "$D" 5000 ;;
	esac || return
	silence
}

# Several sockets share a port, so a look-up may find another socket than that of the flow that ends. Checks that none of them can use
# a foreign address afterwards.
twin() {
	local n

	stage && ctl m param set udp-timeout 1 max-flows 8 || return
	for n in 1 2 3 4 5 6; do
		expect ok "u$n" udp && expect ok "u$n" share && expect 4000 "u$n" bind 0.0.0.0 4000 || return
		expect ok "u$n" say "$C" "500$n" || return
	done
	must "the flows go" no_flows || return
	for n in 1 2 3 4 5 6; do
		barred "u$n" say-from "$X4" "$D" 5001 || return
	done
	silence
}

# accepted FAMILY plain|cookie|fast: A listening socket may have had a flow before. Checks that a socket that it accepts cannot be bound to
# a foreign address, neither while there are hooks nor after they are gone.
accepted() {
	local nobody=$X4

	stage "$1" && serve c 4 tcp:5000 && expect ok l tcp && tell l connect "$C" 5000 && expect 1 l flag || return
	expect ok l disconnect && expect 4001 l bind "$M" 4001 || return
	sysctl_in m net.ipv4.tcp_fastopen=519
	[ "$2" != cookie ] || sysctl_in m net.ipv4.tcp_syncookies=2
	[ "$2" != fast ] || expect ok l fast || return
	expect ok l listen && expect ok k tcp && expect ok n tcp || return
	if [ "$2" = fast ]; then
		expect ok k begin-fast "$M" 4001 && expect ok n begin-fast "$M" 4001
	else
		tell k connect "$M" 4001 && tell n connect "$M" 4001
	fi || return
	expect ok l accept u && expect ok l accept v || return
	[ "$1" = 4 ] || nobody=$X6
	expect 0 u flag && expect ok u disconnect && expect EADDRNOTAVAIL u bind "$nobody" || return
	ctl m host flush && ctl c host flush || return
	must "no hooks" slowwait 5 no_hooks m || return
	expect 0 v flag && expect ok v disconnect && expect EADDRNOTAVAIL v bind "$nobody" && silence
}

# lent_once with|without: Checks that the module holds one reference to a socket that is lent the flag and loses it by listening, again
# and again. /proc/net/tcp shows the references; without hosts only the program has one.
lent_once() {
	local round flag=1 references=2

	stage && serve c 4 tcp:5000 && expect ok l tcp && expect 4001 l bind "$M" 4001 || return
	[ "$1" = with ] || { flag=0 references=1 && ctl m host flush && must "no hooks" slowwait 5 no_hooks m; } || return
	for round in {1..8}; do
		expect 4001 l connect "$C" 5000 && expect "$flag" l flag || return
		must "round $round: $references references" slowwait 5 has_references 4001 5000 "$references" || return
		expect ok l disconnect && expect ok l listen && expect ok k tcp && tell k connect "$M" 4001 && expect ok l accept u || return
		expect 0 l flag && expect 0 u flag && expect ok k close && expect ok u close && expect ok l disconnect || return
	done
	silence
}

# has_references LPORT RPORT COUNT: Has the connected socket of m between these ports so many references?
has_references() {
	local ports

	printf -v ports '%04X %04X' "$1" "$2"
	# shellcheck disable=SC2016 # awk's
	[ "$(in_ns m awk -v ports="$ports" '$4 == "01" && substr($2, 10) " " substr($3, 10) == ports { print $11 }' /proc/net/tcp)" = "$3" ]
}

# The listening socket still has the row of its old flow, and the new connection comes from the other end of that flow.
accepted_over_row() {
	stage 4 && serve c 4 tcp:5000 && expect ok l tcp && expect 4001 l bind "$M" 4001 || return
	expect 4001 l connect "$C" 5000 && expect 1 l flag && serve_end c && expect ok l disconnect && expect ok l listen || return
	speaker c 4 && says c ok k tcp && says c 5000 k bind "$C" 5000 && says c 5000 k connect "$M" 4001 || return
	equal "rows" 1 "$(figure m flows)"
	expect ok l accept u && expect 0 u flag || return
	expect ok u disconnect && expect EADDRNOTAVAIL u bind "$X4" && silence
}

# With a port of its own choice a program can bind a socket anew after a flow, and IPv6 checks the address only then. Checks that the
# socket cannot use a foreign address after the hooks are gone, and that it can still use the machine's addresses.
rebound_without_hooks() {
	stage 6 && expect ok u udp && tell u connect "$C" 5001 && expect ok u write && expect 1 u flag && expect ok u disconnect || return
	expect ok o udp && tell o connect "$C" 5001 && expect ok o write && expect 1 o flag && expect ok o disconnect || return
	tell u bind "$X6" && tell o bind "${ADDR[m.eth0.6]}" || return
	ctl m host flush && ctl c host flush || return
	must "no hooks" slowwait 5 no_hooks m || return
	expect 0 u flag && expect 0 o flag || return
	expect ENETUNREACH u say "$C6" 5001
	# Sending without a connection gives up both the device and the address.
	expect ok u disconnect && expect ok u say "$C6" 5001 || return
	capture m eth0 -Q out "udp and src host ${ADDR[m.eth0.6]}" || return
	expect ok o say "$C6" 5001 || return
	must "its own address is used" slowwait 5 has_line "$TMP/cap.m.eth0" "${ADDR[m.eth0.6]}" || return
	silence
}

# Checks that an IPv6 socket that sends IPv4 may not use a foreign IPv6 address either.
dual_stack() {
	stage 6 && marked u udp || return
	barred u say-from "$X6" "$C6" 5001 && silence
}

# Checks that an IPv6 socket with a flow over IPv6 may use its lost address for it, but no foreign one.
six() {
	FAMILIES='4 6' topo_trio || return
	M=${ADDR[m.eth0.6]} C=${ADDR[c.eth0.6]} D=${ADDR[d.eth0.6]} NEW=2001:db8:1::10
	introduce m "$M" c "$C" && listen || return
	BARRED=0
	unprivileged m 6 && marked u udp || return
	barred u say-from "$X6" "$C" 5001 && barred u say-from "$X6" "$D" 5001 || return
	expect ok u say-from "$M" "$D" 5001 || return
	address m eth0 6 "$NEW" "$M" && moved m c "$NEW" || return
	capture m eth0 -Q out "udp and (src host $M or src host $NEW)" || return
	expect ok u say-from "$M" "$C" 5001 || return
	must "it leaves" slowwait 5 has_line "$TMP/cap.m.eth0" "$NEW\.[0-9]* > $C\.5001" || return
	barred u say-from "$M" "$D" 5001 && silence || return
	equal "dropped" 3 "$BARRED"
}

# six_vrf: Checks that an address that is local in a VRF counts as local.
six_vrf() {
	FAMILIES=6 topo_trio || return
	M=${ADDR[m.eth0.6]} C=${ADDR[c.eth0.6]} D=${ADDR[d.eth0.6]}
	# An IPv6 address is removed when its device gets a master.
	batch m <<-END || { skip "no VRF in this kernel" && return; }
		link add red type vrf table 10
		link set red up
		link set eth0 master red
		addr add $(own m eth0 6) dev eth0 nodad
	END
	introduce m "$M" c "$C" && unprivileged m 6 && marked u udp red || return
	capture d eth0 -Q in "udp dst port 5001" || return
	expect ok u say-from "$M" "$D" 5001 && expect ok u say "$D" 5001 || return
	must "both arrive" slowwait 5 lines_are "$TMP/cap.d.eth0" 2 || return
	equal "refused by us" 0 "$(reason m foreign-source)"
}

# leaked_from_vrf FAMILY KNOWN: A route leads from one VRF into another, and the source address stays that of the first. With KNOWN 1, c
# is a host.
leaked_from_vrf() {
	local family=$1 known=$2 own=fd55::1

	[ "$family" = 6 ] || own=10.55.0.1
	FAMILIES=$family topo_trio || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	dad "$family"
	# Packets from one VRF into another are forwarded.
	sysctl_in m net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	batch m <<-END || { skip "no VRF in this kernel" && return; }
		link add red type vrf table 10
		link add blue type vrf table 11
		link set red up
		link set blue up
		link set eth0 master red
		link add local0 type dummy
		link set local0 master blue
		link set local0 up
		addr add $own/${WIDTH[$family]} dev local0 $DAD
	END
	[ "$family" = 4 ] || batch m <<<"addr add $(own m eth0 6) dev eth0 nodad" || return
	ipn m "-$family" route add vrf blue "$C" dev red && ipn m "-$family" route add vrf red "$own" dev blue &&
		ipn c "-$family" route add "$own" via "$M" || return
	[ "$known" = 0 ] || introduce m "$own" c "$C" || return
	speaker m "$family" && speaker c "$family" && server c u udp "$(any "$family")" 5001 c || return
	says m ok s udp blue && ask m s connect "$C" 5001 && says m 3 s talk 3 || return
	# These packets have no socket: an echo reply, and a reset.
	check "echo replies" quiet in_ns c ping -qnc 2 -i 0.1 -W 1 "$own"
	says c ok t tcp && says c ECONNREFUSED t connect "$own" 5999
	equal "dropped" 0 "$(reason m local-gone)"
}

dual_stack_rebound() {
	stage 6 && expect ok u udp && tell u connect "$C" 5001 && expect ok u write && expect 1 u flag && expect ok u disconnect || return
	tell u bind "$X6"
	barred u say "$C6" 5001 && silence
}

# Checks that the machine's own addresses of either family stay usable.
dual_stack_own() {
	stage 6 && marked u udp || return
	capture m eth0 -Q out "udp dst port 5007" || return
	expect ok u say-from "${ADDR[m.eth0.6]}" "$C6" 5007 && expect ok u say "$C6" 5007 && expect ok u say "$D" 5007 || return
	must "all three leave" slowwait 5 lines_are "$TMP/cap.m.eth0" 3 || return
	silence
}

lines_are() {
	[ "$(wc -l <"$1")" = "$2" ]
}

in_vrf() {
	FAMILIES=4 topo_trio || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]} D=${ADDR[d.eth0.4]}
	batch m <<-END || { skip "no VRF in this kernel" && return; }
		link add red type vrf table 10
		link set red up
		link set eth0 master red
	END
	introduce m "$M" c "$C" && sink c && sink d && listen && unprivileged m 4 || return
	BARRED=0
	marked u "$1" red || return
	barred u say-from "$X4" "$C" 5001 && barred u say-from "$X4" "$D" 5001 && silence -I red || return
	equal "dropped" 2 "$BARRED"
}

# Checks that the grants end with the hooks, after the last host. From then on the kernel checks the sources itself.
without_hooks() {
	stage && marked u udp && marked p ping || return
	# The socket h is bound to a foreign address, and its route is cached already.
	expect ok h udp && tell h connect "$C" 5001 && expect ok h write && expect 1 h flag && expect ok h disconnect || return
	tell h bind "$X4" && tell h connect "$D" 5001
	ctl m host flush && ctl c host flush || return
	must "no hooks" slowwait 5 no_hooks m || return
	expect 0 u flag && expect 0 p flag && expect 0 h flag || return
	expect ENETUNREACH u say-from "$X4" "$D" 5001 && expect ENETUNREACH p say-from "$X4" "$D" 5001 || return
	expect ENETUNREACH h write || return
	expect ok u say "$D" 5001
	silence
}

no_hooks() {
	[ "$(figure "$1" hooks)" = 0 ]
}

# One connection goes from port 4000 to a server of c. Another one goes from port 4000 to an address that DNAT changes to that very server.
# NAT gives it another port on the wire, and changes port and address back in two steps. Between the steps its packets look like those of
# the first connection and are offered to that socket. With IP_TRANSPARENT, which the module grants, the kernel would not notice that.
behind_dnat() {
	FAMILIES=4 topo_trio || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]} VIRTUAL=198.51.100.77
	[ "$1" = without ] || introduce m "$M" c "$C" || return
	in_ns m sysctl -qw net.ipv4.ip_local_port_range='4000 4000'
	in_ns m ip route add "$VIRTUAL" via "$C" || return
	in_ns m nft -f - <<-END || return
		table ip moved {
			chain out {
				type nat hook output priority dstnat
				ip daddr $VIRTUAL tcp dport 443 dnat to $C:5001
			}
		}
	END
	start c socat -u TCP-LISTEN:5001,fork,reuseaddr "OPEN:$TMP/got,creat,append"
	must "a server" slowwait 5 listens c 5001 || return
	start m socat -u "EXEC:sleep 60" "TCP:$C:5001"
	must "the first connection" slowwait 5 connected m 5001 || return
	[ "$1" = without ] || must "it is a flow" slowwait 5 has_flow m || return
	echo second | in_ns m socat -u STDIN "TCP:$VIRTUAL:443,connect-timeout=5" || fail "the second connection was not opened"
	must "what was sent arrives" slowwait 5 has_line "$TMP/got" second
}

listens() {
	in_ns "$1" ss -Htln "sport = :$2" | grep -q .
}

connected() {
	in_ns "$1" ss -Htn state established "dport = :$2" | grep -q .
}

has_flow() {
	[ "$(figure "$1" flows)" -gt 0 ]
}

run_case "without a flow the kernel refuses; with privileges everything goes on" control
run_case "a socket goes on from its address that is gone" gone_address
run_case "the address that is gone serves its flow only" gone_address_to_others
for kind in udp ping; do
	run_case "$kind: another's address by IP_PKTINFO" pktinfo $kind
	run_case "$kind: the same when the flow has ended" pktinfo_later $kind
	run_case "$kind: the same in a VRF" in_vrf $kind
done
for kind in udp tcp; do
	run_case "$kind: bound to another's address after the flow" rebound $kind at-once
	run_case "$kind: the same when the flow has ended" rebound $kind later
done
run_case "sockets that share a port" twin
for family in 4 6; do
	for kind in plain cookie fast; do
		run_case "a socket accepted by one that had a flow, IPv$family socket, $kind" accepted $family $kind
	done
done
run_case "a socket accepted by one that has the row of a flow" accepted_over_row
run_case "without hosts: a socket that listens and connects by turns is not held" lent_once without
run_case "a socket that is lent the flag and gives it back by turns is held once" lent_once with
run_case "an IPv6 socket bound to another's address while it had a flow, when the hooks go" rebound_without_hooks
run_case "an IPv6 socket that speaks IPv4: another's IPv6 address by IPV6_PKTINFO" dual_stack
run_case "an IPv6 socket that speaks IPv4: bound to another's IPv6 address" dual_stack_rebound
run_case "an IPv6 socket that speaks IPv4: its own addresses stay usable" dual_stack_own
run_case "an IPv6 socket: its former address and another's by IPV6_PKTINFO" six
run_case "an IPv6 socket in a VRF: its own address stays usable" six_vrf
for family in 4 6; do
	run_case "control without hosts, IPv$family: a route leads out of the socket's VRF" leaked_from_vrf $family 0
	run_case "IPv$family: a route leads out of the socket's VRF" leaked_from_vrf $family 1
done
run_case "nothing is left to sockets when the hooks go" without_hooks
run_case "a connection by DNAT beside one from the same port, without hosts" behind_dnat without
run_case "the same with a host at its other end" behind_dnat with
suite_end
