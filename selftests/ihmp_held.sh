#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests packets that the module holds because a move was announced: which wait, how long, how many, and where they go on. Announcements
# reach the module unsigned. A forged one must not delay packets of other hosts, nor keep a real one from taking effect.
#
# m and c of the pair know each other without agents. d is a third host on the link, from which everything is forged. The server of c has
# an unconnected socket. It answers with the address from which it was asked.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"

# stage FAMILY: m has a flow f from port 7000 to c's server at port 5002. N is the next address of m.
stage() {
	local family=$1

	FAMILIES=$family topo_trio || return
	M=${ADDR[m.eth0.$family]} N=${ADDR[m.wifi0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]}
	speaker c "$family" && speaker m "$family" && speaker d "$family" || return
	server c u udp "$(any "$family")" 5002 - && server c t tcp "$(any "$family")" 5000 here || return
	# This socket has the agent's port, and nobody reads from it.
	says c ok agent udp && says c 61453 agent bind "$(any "$family")" 61453 || return
	introduce m "$M" c "$C" && says m ok f udp && says m 7000 f bind "$M" 7000 || return
	asks m f first "$M" && must "c has the flow" slowwait 5 figure_at_least c flows 1
}

# asks HOST NAME TEXT SEEN: Sends a datagram to c's server, and checks that the server sees it come from SEEN.
asks() {
	says "$1" ok "$2" say "$C" 5002 "$3" && says "$1" "$4 $3 $C 5002" "$2" hear
}

# announce HOST SOURCE [OPTION...]: Sends an announcement to c: the host that has the address HOST is at SOURCE now.
announce() {
	in_ns d "$SELFTESTS/announcer.py" eth0 "$1" "$C" "$2" "${HARDWARE[c.eth0]}" "${@:3}"
}

# inject KIND SOURCE [OPTION...]: Sends packets to c.
inject() {
	in_ns d "$SELFTESTS/inject.py" eth0 "$1" "$2" "$C" --mac "${HARDWARE[c.eth0]}" "${@:3}"
}

# goes FAMILY: m moves to its next address, and c is not told.
goes() {
	FAMILIES=$1 leave m eth0 && FAMILIES=$1 join m wifi0 && ctl m host set "${HID[m]}" local "$N"
}

# comes FAMILY: m moves back; c is told first.
comes() {
	ctl c host set "${HID[c]}" remote "$M" && FAMILIES=$1 leave m wifi0 && FAMILIES=$1 join m eth0 &&
		ctl m host set "${HID[m]}" local "$M"
}

# waits TEXT TIMES: Checks that a datagram of m from its next address waits until c is told. TIMES packets have waited then.
waits() {
	says m ok f say "$C" 5002 "$1" && must "it waits" slowwait 5 reason_at_least c held "$2" || return
	ctl c host set "${HID[c]}" remote "$N" && says m "$M $1 $C 5002" f hear && equal "packets that waited" "$2" "$(reason c held)"
}

# rounds TIMES WHAT...: Makes TIMES exchanges of d with c, each after running WHAT. TOOK is how many milliseconds they took.
rounds() {
	local i start

	TOOK=0
	for ((i = 0; i < $1; i++)); do
		"${@:2}" || return
		start=${EPOCHREALTIME/./}
		says d 1 x talk 1 || return
		TOOK=$((TOOK + (${EPOCHREALTIME/./} - start) / 1000))
	done
}

# third PORT: Opens a socket of d from this port, connected to c's server.
third() {
	says d ok x udp && says d "$1" x bind "$D" "$1" && says d "$1" x connect "$C" 5002
}

# Checks that announcements that d sends in the name of m delay no datagram of d.
others() {
	local M N C D TOOK

	stage "$1" && third 7001 && rounds 8 true || return
	at_most "milliseconds of 8 exchanges without announcements" $((SLACK_MS * 2)) "$TOOK"
	rounds 8 announce "$M" "$D" || return
	at_most "milliseconds of 8 exchanges with announcements" $((SLACK_MS * 2)) "$TOOK"
	rounds 8 announce "$M" "$D" --nat || return
	at_most "milliseconds of 8 exchanges with those of a NAT" $((SLACK_MS * 2)) "$TOOK"
	equal "packets that waited" 0 "$(reason c held)"
	says d ok t tcp && ask d t connect "$C" 5000 && says d here t hear
}

# A datagram of d with the ports of m's flow waits once. Checks that no other waits until seconds have passed.
same_ports() {
	local M N C D TOOK

	stage "$1" && third 7000 && rounds 8 true || return
	at_most "milliseconds of 8 exchanges without announcements" $((SLACK_MS * 2)) "$TOOK"
	rounds 8 announce "$M" "$D" || return
	at_most "milliseconds of 8 exchanges with announcements" $((250 + SLACK_MS * 2)) "$TOOK"
	equal "packets that waited" 1 "$(reason c held)"
	later 5
	rounds 8 announce "$M" "$D" || return
	equal "packets that waited later" 2 "$(reason c held)"
}

# Forty forged announcements in the name of m come, half of them before the real one, and three hundred in the name of another host with
# a flow. Checks that m's packet waits.
pushed() {
	local M N C D E=${2} family=$1

	stage "$family" && ctl c host add remote "$D" local "$C" >/dev/null && third 7001 && says d 1 x talk 1 || return
	must "c has both flows" slowwait 5 figure_at_least c flows 2 || return
	goes "$family" && announce "$M" "$E" --count 20 && announce "$M" "$N" || return
	announce "$D" "$E" --count 300 && announce "$M" "${E}00" --count 20 || return
	waits moved 1
}

# Checks that an announcement that was believed takes effect again when m has come back and moves once more.
again() {
	local M N C D

	stage "$1" && goes "$1" && announce "$M" "$N" && waits once 1 || return
	comes "$1" && asks m f home "$M" || return
	goes "$1" && announce "$M" "$N" && waits twice 2
}

# Checks how many packets of one host wait at most, that the others pass, and that all that waited are translated.
by_host() {
	local M N C D before

	stage "$1" && announce "$M" "$N" && inject udp "$N" --sport 7000 --dport 5002 --count 1100 || return
	equal "packets that wait" 1024 "$(reason c held)"
	equal "packets for which there was no room" 76 "$(reason c hold-overflow)"
	before=$(figure c in-translated)
	ctl c host set "${HID[c]}" remote "$N" || return
	equal "packets that were translated then" 1024 $(($(figure c in-translated) - before))
	equal "packets that wait now" 1024 "$(reason c held)"
	# There is room again after this.
	ctl c host set "${HID[c]}" remote "$M" && announce "$M" "$N" && inject udp "$N" --sport 7000 --dport 5002 --count 1000 || return
	equal "packets that wait the second time" 2024 "$(reason c held)"
	equal "packets for which there was no room" 76 "$(reason c hold-overflow)"
}

# big: Lets packets of 9,000 octets pass on the link.
big() {
	ipn d link set eth0 mtu 9000 && ipn s link set d0 mtu 9000 && ipn s link set c0 mtu 9000 && ipn s link set br0 mtu 9000 &&
		ipn c link set eth0 mtu 9000
}

# Checks the limit of memory for one host's packets: 4 MiB.
octets() {
	local M N C D payload held

	printf -v payload '%8000s' ''
	stage "$1" && big && announce "$M" "$N" && inject udp "$N" --sport 7000 --dport 5002 --count 600 --payload "$payload" || return
	held=$(reason c held)
	at_least "packets that wait" 100 "$held"
	at_most "packets that wait" $((4 * 1024 * 1024 / 8000)) "$held"
	equal "packets for which there was no room" $((600 - held)) "$(reason c hold-overflow)"
}

# many PACKETS [PAYLOAD]: Adds five other hosts; each announces a move and sends so many packets from its new address.
many() {
	local i base=${N%11}

	for i in 1 2 3 4 5; do
		ctl c host add remote "${base}21$i" local "$C" >/dev/null && inject udp "${base}21$i" --sport 7000 --dport 5002 || return
	done
	must "c has the flows" slowwait 5 figure_at_least c flows 6 || return
	for i in 1 2 3 4 5; do
		announce "${base}21$i" "${base}22$i" && inject udp "${base}22$i" --sport 7000 --dport 5002 --count "$1" --payload "${2:-x}" || return
	done
	WAIT=$(reason c held)
	equal "packets for which there was no room" $((5 * $1 - WAIT)) "$(reason c hold-overflow)"
}

# Checks the limits for packets of all hosts: 4096 packets, and 16 MiB. When their time is over, all of them pass.
by_net() {
	local M N C D WAIT payload

	[ "$TRAVEL" = 1 ] || { skip "they are to come while packets wait, where computing takes no time" && return; }
	stage "$1" && many 1000 || return
	equal "packets that wait" 4096 "$WAIT"
	later 5
	printf -v payload '%8000s' ''
	ctl c stats flush && big && many_again 500 "$payload" || return
	at_least "packets that wait, of 9,000 octets" 600 "$WAIT"
	at_most "packets that wait, of 9,000 octets" $((16 * 1024 * 1024 / 8000)) "$WAIT"
	later 5
	third 7001 && says d 1 x talk 1
}

# many_again PACKETS PAYLOAD: The same hosts announce moves once more.
many_again() {
	local i base=${N%11}

	for i in 1 2 3 4 5; do
		announce "${base}21$i" "${base}22$i" && inject udp "${base}22$i" --sport 7000 --dport 5002 --count "$1" --payload "$2" || return
	done
	WAIT=$(reason c held)
	equal "packets for which there was no room" $((5 * $1 - WAIT)) "$(reason c hold-overflow)"
}

# leaves FAMILY: Checks that packets which wait are dropped and counted when their device goes to another namespace.
leaves() {
	local M N C D

	stage "$1" && setup_ns e && announce "$M" "$N" && inject udp "$N" --sport 7000 --dport 5002 --count 3 || return
	equal "packets that wait" 3 "$(reason c held)"
	equal "packets that were dropped" 0 "$(reason c held-lost)"
	ipn c link set eth0 netns "${NS[e]}" && must "they are dropped" slowwait 5 reason_at_least c held-lost 3
}

# Behind a NAT the ports are others. Checks that a packet that no local socket would take waits, until the mapping of its port is known.
by_nat() {
	local M N C D

	stage "$1" && announce "$M" "$N" && inject tcp "$N" --sport 20001 --dport 5999 || return
	equal "packets that waited without a NAT" 0 "$(reason c held)"
	later 5
	announce "$M" "$N" --nat && inject tcp "$N" --sport 20001 --dport 5999 && inject udp "$N" --sport 20001 --dport 5002 || return
	equal "packets that wait" 1 "$(reason c held)"
	ctl c host set "${HID[c]}" remote "$N" nat || return
	equal "packets that were refused without a mapping" 0 "$(reason c nat-unmapped)"
	equal "packets that wait again" 2 "$(reason c held)"
	must "it is refused at last" slowwait 5 reason_at_least c nat-unmapped 1 || return
	# The host is at this address already, so the announcement is no move.
	announce "$M" "$N" --nat && inject tcp "$N" --sport 20001 --dport 5999 || return
	equal "packets that waited at the host's own address" 2 "$(reason c held)"
	equal "packets that were refused" 2 "$(reason c nat-unmapped)"
}

# ends FAMILY namespace|module: Checks that packets that wait are freed with their namespace, or with the module.
ends() {
	local M N C D

	defer module_load
	stage "$1" && ctl c param set hold-time 1000 && announce "$M" "$N" && inject udp "$N" --sport 7000 --dport 5002 --count 100 || return
	equal "packets that wait" 100 "$(reason c held)"
	case $2 in
	namespace) cleanup_ns "$c" && must "its end of the cable is gone" slowwait 10 not ipn s link show c0 ;;
	module) must "the module goes" module_unload || return ;;
	esac
}

# routed: Makes c a segment of d's route to another address (RFC 8986, End), whose packets netfilter sees at c.
routed() {
	sysctl_in c net.ipv6.conf.all.seg6_enabled=1 net.ipv6.conf.eth0.seg6_enabled=1 net.netfilter.nf_hooks_lwtunnel=1 || return
	batch c <<<'route add 2001:db8:f::1 encap seg6local action End count dev eth0' || return
	batch d <<-END
		route add 2001:db8:f::1 via $C dev eth0
		route add 2001:db8:e::1 encap seg6 mode encap segs 2001:db8:f::1,2001:db8:f::2 dev eth0
	END
}

# segments: Prints how many packets c has seen as a segment of their route.
segments() {
	ipn c -6 -s -j route show 2001:db8:f::1 | jq '[.. | .packets? // empty] | add'
}

# Checks that a packet that has waited continues on its own way, although meanwhile another packet has come by a segment route.
segment() {
	local M N C D

	stage 6 || return
	[ -e /proc/sys/net/netfilter/nf_hooks_lwtunnel ] || { skip "the kernel has no hooks for lightweight tunnels" && return; }
	quiet routed || { skip "the kernel or ip has no routes of segments" && return; }
	says d ok s udp && goes 6 && announce "$M" "$N" || return
	says m ok f say "$C" 5002 moved && must "it waits" slowwait 5 reason_at_least c held 1 || return
	says d ok s say 2001:db8:e::1 5002 by-segments && must "a packet comes by segments" slowwait 5 some_segments || return
	equal "packets that waited" 1 "$(reason c held)"
	ctl c host set "${HID[c]}" remote "$N" && says m "$M moved $C 5002" f hear || return
	equal "packets by segments" 1 "$(segments)"
}

some_segments() {
	[ "$(segments)" -gt 0 ]
}

for family in 4 6; do
	elsewhere=$([ $family = 4 ] && echo 10.1.0.1 || echo 2001:db8:a::1)
	run_case "IPv$family: forged announcements delay nobody else" others $family
	run_case "IPv$family: somebody else with the same ports waits once" same_ports $family
	run_case "IPv$family: a real announcement counts among forged ones" pushed $family "$elsewhere"
	run_case "IPv$family: the next move to the same address counts, too" again $family
	run_case "IPv$family: so many packets of a host wait" by_host $family
	run_case "IPv$family: so much memory of a host's packets waits" octets $family
	run_case "IPv$family: so many packets and so much memory wait in all" by_net $family
	run_case "IPv$family: behind a NAT what nobody takes waits" by_nat $family
	run_case "IPv$family: what waits is dropped when its device leaves" leaves $family
	run_case "IPv$family: what waits goes with its namespace" ends $family namespace
	run_case "IPv$family: what waits goes with the module" ends $family module
done
run_case "IPv6: a packet by a route of segments changes nothing for one that waits" segment
suite_end
