#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests a soft move in detail: another network becomes the preferred one while the old one stays up. Which flows move to it, which do not,
# and when?

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/paired.sh"

DELAY_MS=10

# stage FAMILY [FLOW...]: m is at eth0 and knows c; the old flows are open.
stage() {
	local family=$1
	shift

	[ $# -gt 0 ] || set -- tcp:5000,rate=50000 udpc:5001
	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	agents m c && serve c "$family" tcp:5000 udpu:5001 tcp:5002 udpu:5003 || return
	traffic m "$family" "$C" "$@" || return
	acquainted m "$C" c "$M" && must "traffic goes on" goes_on m || return
	! taking_part || must "all flows are known" slowwait 10 figure_at_least m flows $#
}

# watch: Captures what m sends by either device, and the IHMP messages there.
watch() {
	capture m eth0 -Q out "tcp or udp" && capture m wifi0 "tcp or udp"
}

# by INTERFACE FROM PORT: Prints how many packets m has sent from this address to this port by the interface.
by() {
	captured m "$1" "IP6? $2\.[0-9]+ > $C\.$3:"
}

# leaves FAMILY: Checks that the old flows move.
leaves() {
	local M C NEW port

	stage "$1" && watch && join m wifi0 50 || return
	must "c hears m from the new address" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	must "traffic goes on" goes_on m 50 || return
	capture_end m eth0 && capture_end m wifi0 && watch && goes_on m 30 || return
	capture_end m eth0 && capture_end m wifi0
	for port in 5000 5001; do
		at_least "packets to $port by wifi0 from its address" 20 "$(by wifi0 "$NEW" "$port")"
		equal "packets to $port by eth0" 0 "$(by eth0 '.*' "$port")"
	done
	equal "packets of eth0 with wifi0's address" 0 "$(captured m eth0 "IP6? $NEW\.")"
	traffic_end m && serve_end c && lossless m c
}

# bound FAMILY: Checks that a socket that is bound to a device uses no other device.
bound() {
	local M C NEW port

	stage "$1" tcp:5002,rate=50000,dev=eth0 udpc:5003,dev=eth0 && watch && join m wifi0 50 || return
	knows c "$M" "$NEW" || return
	must "traffic goes on" goes_on m 50 || return
	capture_end m eth0 && capture_end m wifi0
	for port in 5002 5003; do
		at_least "packets to $port by eth0" 20 "$(by eth0 "$M" "$port")"
		equal "packets to $port by wifi0" 0 "$(by wifi0 '.*' "$port")"
	done
	equal "packets of eth0 with wifi0's address" 0 "$(captured m eth0 "IP6? $NEW\.")"
	traffic_end m && serve_end c && lossless m c
}

# lossless CLIENT SERVER: Checks that no data was lost, doubled or corrupt, and that streams are whole.
lossless() {
	equal "what is wrong with flows of $1" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {} or .cut or (.lost // 0) != 0 or
		(.duplicates // 0) != 0) | tojson' "$TMP/run.$1.json")"
	equal "what is wrong at $2" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {} or .cut) | tojson' "$TMP/serve.$2.json")"
	equal "answers from elsewhere" '' "$(jq -r '.flows[].sources // empty | keys[] | split(" ")[0]' "$TMP/run.$1.json" | grep -vxF "$C")"
}

# younger FAMILY: Checks that a flow that is bound to the old address after the move stays there, and that an unbound one begins at the new
# address.
younger() {
	local M C NEW

	stage "$1" && join m wifi0 50 && knows c "$M" "$NEW" || return
	must "traffic goes on" goes_on m 20 || return
	serve c@young "$1" tcp:6000 udpu:6001 tcp:6002 && traffic m@young "$1" "$C" "tcp:6000,rate=50000,bind=$M" "udpc:6001,bind=$M" \
		tcp:6002,rate=50000,name=tcp-free || return
	watch && must "the young ones go on" goes_on m@young 50 || return
	must "and the old ones" goes_on m 20 || return
	capture_end m eth0 && capture_end m wifi0
	# The routes decide by which device these packets leave, so the address alone is checked.
	equal "packets to 6000 from elsewhere" 0 "$(($(by eth0 '.*' 6000) + $(by wifi0 '.*' 6000) - $(by eth0 "$M" 6000) - $(by wifi0 "$M" 6000)))"
	at_least "packets to 6000" 20 "$(($(by eth0 "$M" 6000) + $(by wifi0 "$M" 6000)))"
	equal "packets to 6001 from elsewhere" 0 "$(($(by eth0 '.*' 6001) + $(by wifi0 '.*' 6001) - $(by eth0 "$M" 6001) - $(by wifi0 "$M" 6001)))"
	at_least "packets to 6001" 20 "$(($(by eth0 "$M" 6001) + $(by wifi0 "$M" 6001)))"
	equal "packets to 6002 from elsewhere" 0 "$(($(by eth0 '.*' 6002) + $(by wifi0 '.*' 6002) - $(by wifi0 "$NEW" 6002)))"
	traffic_end m@young && traffic_end m && serve_end c && serve_end c@young && lossless m c && lossless m@young c@young
}

# acknowledged FAMILY: Checks that nothing is sent from the new address before c has acknowledged it, because the old path works.
acknowledged() {
	local M C NEW ack data

	stage "$1" && watch && join m wifi0 50 || return
	must "c hears m from the new address" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	must "traffic goes on" goes_on m 20 || return
	capture_end m eth0 && capture_end m wifi0
	ack=$(grep -nE "IP6? $C\.61453 > $NEW\.61453" "$TMP/cap.m.wifi0" | head -n 1 | cut -d: -f1)
	data=$(grep -nE "IP6? $NEW\.[0-9]+ > $C\.500" "$TMP/cap.m.wifi0" | head -n 1 | cut -d: -f1)
	at_least "the line of the acknowledgement" 2 "$ack"
	at_least "the line of the first data" "${ack:-0}" "$data"
	traffic_end m && serve_end c && lossless m c
}

# captive FAMILY NODE:DEVICE...: The new network does not work, because packets that should leave by these devices of its routers are lost.
# Checks that the flows stay, and that none of their packets is lost.
captive() {
	local family=$1 M C NEW at
	shift

	stage "$family" || return
	for at in "$@"; do
		# shellcheck disable=SC2086 # two words
		netem ${at/:/ } loss 100% || return
	done
	watch && join m wifi0 50 || return
	must "traffic goes on" goes_on m 50 || return
	POLL_MS=1000 slowwait 60 passed "$(now_ms)" 20000
	must "traffic goes on later" goes_on m 50 || return
	capture_end m eth0 && capture_end m wifi0
	equal "data by the network that does not answer" 0 "$(captured m wifi0 " > $C\.500[0-3]:")"
	# The network works at last, and is used.
	for at in "$@"; do
		# shellcheck disable=SC2086 # two words
		netem ${at/:/ } delay "${DELAY_MS}ms" || return
	done
	must "the flows leave when it works" slowwait 120 path_is c "$M" "$C" "$NEW" || return
	must "traffic goes on there" goes_on m 20 || return
	traffic_end m && serve_end c && lossless m c
}

# same_device FAMILY: The device gets another address, which the routes prefer. Checks that this is no move.
same_device() {
	local family=$1 M C NEW

	FAMILIES=$family topo_pair delay "${DELAY_MS}ms" || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M%1}200
	agents m c && serve c "$family" tcp:5000 udpu:5001 && traffic m "$family" "$C" tcp:5000,rate=50000 udpc:5001 || return
	acquainted m "$C" c "$M" || return
	address m eth0 "$family" "$NEW" && ipn m "-$family" route add "$C" dev eth0 src "$NEW" && capture m eth0 -Q out "tcp or udp" || return
	knows c "$M" "$NEW" || return
	must "traffic goes on" goes_on m 100 || return
	serve c@young "$family" tcp:6000 && traffic m@young "$family" "$C" tcp:6000,rate=50000 && goes_on m@young 20 || return
	capture_end m eth0
	at_least "packets from the first address" 50 "$(captured m eth0 "IP6? $M\.[0-9]+ > $C\.500[01]:")"
	equal "packets from the second address" 0 "$(captured m eth0 "IP6? $NEW\.[0-9]+ > $C\.500[01]:")"
	at_least "packets of a new flow, from the second address" 10 "$(captured m eth0 "IP6? $NEW\.[0-9]+ > $C\.6000:")"
	equal "packets of it from the first" 0 "$(captured m eth0 "IP6? $M\.[0-9]+ > $C\.6000:")"
	traffic_end m@young && traffic_end m && serve_end c && serve_end c@young && lossless m c && lossless m@young c@young
}

# rotates: A temporary address (RFC 8981) is deprecated when another one replaces it. Checks that flows from it stay on it.
rotates() {
	local M C NEW

	FAMILIES=6 topo_pair delay "${DELAY_MS}ms" || return
	C=${ADDR[c.eth0.6]}
	sysctl_in m net.ipv6.conf.eth0.use_tempaddr=2 net.ipv6.conf.eth0.temp_prefered_lft=20 net.ipv6.conf.eth0.temp_valid_lft=600 \
		net.ipv6.conf.eth0.max_desync_factor=0 net.ipv6.conf.eth0.dad_transmits=0
	ipn m addr add "${ADDR[m.eth0.6]%1}5/64" dev eth0 mngtmpaddr nodad || return
	must "there is a temporary address" slowwait 10 temporary || return
	M=$TEMPORARY
	agents m c && serve c 6 tcp:5000 udpu:5001 && traffic m 6 "$C" tcp:5000,rate=50000 udpc:5001 || return
	acquainted m "$C" c "$M" || return
	capture m eth0 -Q out "tcp or udp" || return
	must "there is another one" slowwait 60 rotated "$M" || return
	NEW=$TEMPORARY
	! taking_part || must "it is announced" slowwait 10 host_is c "$M" "any(.addr[]; .address == \"$NEW\")" || return
	must "traffic goes on" goes_on m 50 || return
	capture_end m eth0
	at_least "packets from the first one" 100 "$(captured m eth0 "IP6 $M\.[0-9]+ > $C\.500[01]:")"
	equal "packets from elsewhere" 0 "$(captured_else m eth0 "IP6 $M\.[0-9]+ > |\.61453 > ")"
	traffic_end m && serve_end c && lossless m c
}

# temporary: Sets TEMPORARY to a temporary address of m that is preferred.
temporary() {
	TEMPORARY=$(ipn m -6 -j addr show dev eth0 |
		jq -r '[.[].addr_info[] | select(.temporary and (.deprecated | not) and (.tentative | not))][0].local // empty')
	[ -n "$TEMPORARY" ]
}

rotated() {
	temporary && [ "$TEMPORARY" != "$1" ]
}

# to_and_fro FAMILY: The preferred network changes and changes back. Checks that all flows are on their identifiers again.
to_and_fro() {
	local M C NEW

	stage "$1" && join m wifi0 50 || return
	must "c hears m from the new address" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	must "traffic goes on" goes_on m 20 || return
	leave m wifi0 || return
	must "c hears m from the first address" slowwait 10 path_is c "$M" "$C" "$M" || return
	must "traffic goes on" goes_on m 20 || return
	watch && ctl m stats flush && goes_on m 20 || return
	equal "packets that are translated" 0 "$(figure m out-translated)"
	capture_end m eth0 && capture_end m wifi0
	equal "packets from the other address" 0 "$(captured m eth0 "IP6? $NEW\.")"
	traffic_end m && serve_end c
}

for family in 4 6; do
	run_case "IPv$family: older flows leave" leaves $family
	paired "IPv$family: a flow that is bound to its device stays there" bound $family
	paired "IPv$family: younger flows stay where they began" younger $family
	run_case "IPv$family: nothing leaves before the peer has acknowledged" acknowledged $family
	run_case "IPv$family: a network that does not answer is not used" captive $family r2:wan r2:lan
	run_case "IPv$family: nor is one whose router answers and leads nowhere" captive $family r2:wan
	run_case "IPv$family: nor is one that carries what is sent, but nothing back" captive $family s:p2
	paired "IPv$family: another address of the same device is no move" same_device $family
	run_case "IPv$family: there and back again" to_and_fro $family
done
paired "IPv6: a temporary address that rotates is no move" rotates
suite_end
