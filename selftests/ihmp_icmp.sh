#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests ICMP: errors reach the socket that they are about, with the addresses that it knows, in both directions; echo works both ways.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"

# stage FAMILY [FLOW...]: Makes a translated flow of m, with a move by hand.
stage() {
	local family=$1
	shift

	FAMILIES=$family topo_testbed || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	introduce m "$M" c "$C" || return
	serve c "$family" tcp:5000 udpc:5001 udpu:5002 && traffic m "$family" "$C" "$@" || return
	must "flows" slowwait 5 figure_at_least m flows $# || return
	join m wifi0 50 && leave m eth0 && moved m c "$NEW" || return
	local first=${1%%[:,]*}
	must "goes on after the move" slowwait 15 beyond m "$first" $(($(progress m "$first") + 5))
}

# beyond NAME FLOW UNITS: Has the flow received at least so many units?
beyond() {
	[ "$(progress "$1" "$2")" -ge "$3" ]
}

# errors NAME ERRNO: Prints how often sockets of this client reported the error. The next call reports it, whether it sends or receives.
errors() {
	jq --arg name "$2" '[.flows[].errors | to_entries[] | select(.key | endswith(" " + $name)) | .value] | add // 0' \
		"$TMP/run.$1.json"
}

# Checks that the client's socket gets an error when the server's socket is closed and its host sends port unreachable.
port_unreachable() {
	local M C NEW

	stage "$1" udpc:5001 || return
	stop_process "${SERVER[c]}" KILL
	must "m translates the error" slowwait 5 figure_at_least m icmp-in 1 || return
	# The row goes with the socket. Without it the packet was not translated, so the error need not be either.
	[ "$(figure c flows)" = 0 ] || at_least "errors that c translated" 1 "$(figure c icmp-out)"
	nap 0.1
	traffic_end m
	at_least "ECONNREFUSED" 1 "$(errors m ECONNREFUSED)"
}

# The other direction: a socket is closed on the host that moved, and the peer's socket gets the error.
port_unreachable_at_mover() {
	local M C NEW family=$1

	FAMILIES=$family topo_testbed || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	introduce m "$M" c "$C" && serve m "$family" udpc:5001 && traffic c "$family" "$M" udpc:5001 || return
	must "flow" slowwait 5 figure_at_least c flows 1 || return
	join m wifi0 50 && leave m eth0 && moved m c "$NEW" || return
	must "goes on after the move" goes_on c || return
	capture c eth0 "icmp or icmp6" || return
	stop_process "${SERVER[m]}" KILL
	must "c translates the error" slowwait 5 figure_at_least c icmp-in 1 || return
	nap 0.1
	traffic_end c
	capture_end c eth0
	at_least "ECONNREFUSED" 1 "$(errors c ECONNREFUSED)"
	equal "errors that show the old address on the wire" 0 "$(captured c eth0 "${M}[ :,]")"
}

# A router on the path sends time exceeded; it quotes locators.
time_exceeded() {
	local M C NEW family=$1

	# The second flow has a TTL of 1, so it ends at the first router.
	stage "$family" udpc:5001 "udpc:5001,ttl=1,recverr=1,name=short,wait=0" || return
	must "m translates the error" slowwait 5 figure_at_least m icmp-in 1 || return
	traffic_end m
	at_least "errors" 1 "$(jq '[.flows[] | select(.name == "short") | .errors[]] | add // 0' "$TMP/run.m.json")"
	equal "errors of the other flow" 0 "$(jq '[.flows[] | select(.name == "udpc") | .errors[]] | add // 0' "$TMP/run.m.json")"
}

# Checks that an error that quotes a packet of no flow is counted and passed.
no_flow() {
	local M C NEW family=$1 sport

	stage "$family" udpc:5001 || return
	in_ns r2 ping -qc 1 -W 1 "$NEW" >/dev/null
	in_ns r2 "$SELFTESTS/inject.py" lan unreachable "${ADDR[r2.lan.$family]}" "$NEW" \
		--quote "$NEW" "$C" 9 9 17 --count 3 || return
	must "counted" slowwait 5 reason_at_least m icmp-no-flow 3 || return
	must "goes on" goes_on m || return
	traffic_end m
	equal "errors" 0 "$(jq '[.flows[].errors[]] | add // 0' "$TMP/run.m.json")"
	return 0
}

# Checks that a forged error about the flow reaches the socket, and that one with a wrong checksum does not.
about_the_flow() {
	local M C NEW family=$1 sport before

	stage "$family" udpc:5001 || return
	sport=$(ctl m -j flow show | jq '.[0]."local-port"')
	in_ns r2 ping -qc 1 -W 1 "$NEW" >/dev/null
	before=$(csum_errors m)
	in_ns r2 "$SELFTESTS/inject.py" lan unreachable "${ADDR[r2.lan.$family]}" "$NEW" \
		--quote "$NEW" "$C" "$sport" 5001 17 --wrong-checksum || return
	must "refused by its checksum" slowwait 5 more_errors m "$before" || return
	must "goes on" goes_on m || return
	in_ns r2 "$SELFTESTS/inject.py" lan unreachable "${ADDR[r2.lan.$family]}" "$NEW" \
		--quote "$NEW" "$C" "$sport" 5001 17 || return
	must "translated" slowwait 5 figure_at_least m icmp-in 1 || return
	must "goes on after the error" goes_on m || return
	traffic_end m
	equal "ECONNREFUSED" 1 "$(errors m ECONNREFUSED)"
}

more_errors() {
	[ "$(csum_errors "$1")" -gt "$2" ]
}

# Checks that a ping from a socket that is older than the move goes on.
ping_after_move() {
	local M C NEW family=$1

	stage "$family" ping || return
	must "goes on" goes_on m 20 || return
	traffic_end m
	equal "answers came from" "$C" "$(jq -r '.flows[0].sources | keys[]' "$TMP/run.m.json")"
	# In real time requests may be sent between the commands that make the move.
	at_most "times that requests were lost" $((!TRAVEL)) "$(jq '.flows[0].lost_runs | length' "$TMP/run.m.json")"
}

# router_has_no_way FAMILY KNOWN: A router without a route to c sends an error. A socket that heard c just before does not get the error if
# c is a known host (KNOWN 1), because c may be moving. All other sockets get it, and this one does after 10 s of silence.
router_has_no_way() {
	local family=$1 known=$2 M C error=EHOSTUNREACH

	[ "$family" = 4 ] || error=ENETUNREACH
	FAMILIES=$family topo_testbed || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	[ "$known" = 0 ] || introduce m "$M" c "$C" || return
	speaker m "$family" && speaker c "$family" && server c u udp "$(any "$family")" 5001 c || return
	says m ok old udp && says m ok old errors && ask m old connect "$C" 5001 && says m 3 old talk 3 || return
	sysctl_in r1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
	ipn r1 "-$family" route add unreachable "$C" || return
	says m ok old write && heard_of_it "$known" || return
	says m "$error 1" v visits "$C" 5000 1 || return
	says m ok new udp && says m ok new errors && ask m new connect "$C" 5001 && says m ok new write && says m "$error" new hear || return
	[ "$known" = 0 ] || slowwait 30 passed "$(now_ms)" 10100
	says m ok old write && says m "$error" old hear || return
	equal "errors that were kept from a socket" "$known" "$(reason m path-unreachable)" || return
	ipn r1 "-$family" route del unreachable "$C" && says m 3 old talk 3
}

heard_of_it() {
	if [ "$1" = 0 ]; then
		says m "$error" old hear
	else
		must "counted" slowwait 5 reason_at_least m path-unreachable 1 && says m nothing old hear 1
	fi
}

for family in 4 6; do
	run_case "control without hosts, IPv$family: a router has no way to the peer, and says so" router_has_no_way $family 0
	run_case "IPv$family: a router has no way to the peer, and whoever did not hear it just before is told" router_has_no_way $family 1
	run_case "IPv$family: port unreachable from the peer reaches the socket that moved" port_unreachable $family
	run_case "IPv$family: port unreachable from the host that moved reaches the peer" port_unreachable_at_mover $family
	run_case "IPv$family: time exceeded from a router reaches its socket only" time_exceeded $family
	run_case "IPv$family: an error about no flow is counted and harms nothing" no_flow $family
	run_case "IPv$family: an error about a flow counts only with a right checksum" about_the_flow $family
	run_case "IPv$family: echo requests go on after the move" ping_after_move $family
done
suite_end
