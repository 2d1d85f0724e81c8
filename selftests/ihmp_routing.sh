#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests routing after translation: a device, a mark, a VRF or a rule that applied to a socket applies to it still.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

TRACING=/sys/kernel/tracing

# stage FAMILY FLOW: m has eth0 and wifi0 on one link. A flow with host entries, changed by hand, is moved to a second address of m on eth0,
# while the main table prefers wifi0.
stage() {
	local family=$1 net
	shift

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.eth0.$family]}0
	net=$([ "$family" = 4 ] && echo 192.0.2.0/24 || echo 2001:db8:1::/64)
	join m wifi0 || return
	if [ "$family" = 4 ]; then
		ipn m route add "$net" dev eth0 metric 500 && ipn m route del "$net" dev eth0 proto kernel
	else
		ipn m route add "$net" dev wifi0 metric 5
	fi || return
	address m eth0 "$family" "$NEW" || return
	introduce m "$M" c "$C" && serve c "$family" tcp:5000 udpc:5001 || return
}

# leaves DEVICE PORT: Checks that after the move packets to that port leave by that device and by no other.
leaves() {
	local other=wifi0

	[ "$1" = eth0 ] || other=eth0
	capture m eth0 -Q out "port $2" && capture m wifi0 -Q out "port $2" || return
	must "goes on after the move" goes_on m 20 || return
	traffic_end m
	capture_end m eth0 && capture_end m wifi0
	at_least "packets by $1" 10 "$(captured m "$1" "$NEW")"
	equal "packets by $other" 0 "$(captured m "$other" "($NEW|$M)\.")"
	equal "old address on the wire" 0 "$(captured m "$1" " ${M}\.")"
}

# A flow that has left its address leaves by the device with the new address, whichever device the main table prefers.
by_address() {
	local M C NEW

	stage "$1" && traffic m "$1" "$C" "$2,bind=$M" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	moved m c "$NEW" && leaves eth0 "$3"
}

bound_to_device() {
	local M C NEW

	stage "$1" && traffic m "$1" "$C" "$2,bind=$M,dev=eth0" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	moved m c "$NEW" && leaves eth0 "$3"
}

marked() {
	local M C NEW

	stage "$1" || return
	ipn m "-$1" rule add fwmark 7 lookup 100 && ipn m "-$1" route add "$C" dev eth0 table 100 || return
	traffic m "$1" "$C" "$2,bind=$M,mark=7" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	moved m c "$NEW" && leaves eth0 "$3"
}

# In IPv4 these routes are looked up as for root: a rule for the user of the flow that fills the cache applies to nobody.
by_user() {
	local M C NEW

	stage "$1" || return
	ipn m "-$1" rule add from "$NEW" uidrange 1000-1000 lookup 102 && ipn m "-$1" route add unreachable default table 102 || return
	traffic m "$1" "$C" "$2,bind=$M,uid=1000" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	moved m c "$NEW" && leaves eth0 "$3"
}

# watch_lookups FAMILY: Has the kernel trace its route look-ups from now on.
watch_lookups() {
	EVENT=fib/fib_table_lookup
	[ "$1" = 4 ] || EVENT=fib6/fib6_table_lookup
	[ -d "$TRACING/events" ] || mount -t tracefs none "$TRACING" 2>/dev/null
	[ -d "$TRACING/events/$EVENT" ] || return
	echo 0 >"$TRACING/events/enable" && echo >"$TRACING/trace" && defer watch_no_lookups && echo 1 >"$TRACING/events/$EVENT/enable"
}

watch_no_lookups() {
	echo 0 >"$TRACING/events/$EVENT/enable"
}

# cached FAMILY TOS MOST|LEAST: Checks that one route serves all packets of a translated flow with this type of service (most), or that
# each packet has a look-up of its own (least).
cached() {
	local M C NEW packets lookups family=$1

	stage "$family" && traffic m "$family" "$C" "udpc:5001,bind=$M,tos=$2" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	moved m c "$NEW" && must "goes on after the move" goes_on m || return
	watch_lookups "$family" || { skip "no trace events" && return; }
	packets=$(figure m out-translated)
	must "packets" slowwait 20 figure_at_least m out-translated $((packets + 200)) || return
	watch_no_lookups
	packets=$(($(figure m out-translated) - packets)) lookups=$(grep -cE "oif [1-9].* $NEW/[0-9]+ -> $C/" "$TRACING/trace")
	traffic_end m
	case $3 in
	most) at_most "look-ups for 100 of $packets packets" 5 $((lookups * 100 / packets)) ;;
	least) at_least "look-ups for 100 of $packets packets" 95 $((lookups * 100 / packets)) ;;
	esac
}

# A rule names the locator. Routing uses the addresses that are on the wire.
by_source() {
	local M C NEW

	stage "$1" || return
	ipn m "-$1" rule add from "$NEW" lookup 101 && ipn m "-$1" route add "$C" dev eth0 table 101 || return
	traffic m "$1" "$C" "$2,bind=$M" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	moved m c "$NEW" && leaves eth0 "$3"
}

vrf() {
	local M C NEW DOWN UP family=$1

	FAMILIES=$family topo_testbed || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	leave m eth0
	dad "$family"
	batch m <<-END || { skip "no VRF in this kernel" && return; }
		link add red type vrf table 10
		link set red up
		link set eth0 master red
		link set wifi0 master red
		link set eth0 up
		addr add $(own m eth0 "$family") dev eth0 $DAD
		route add default via ${GATE[m.eth0.$family]} dev eth0 table 10 metric 100
	END
	introduce m "$M" c "$C" && serve c "$family" tcp:5000 udpc:5001 || return
	traffic m "$family" "$C" "$2,dev=red" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	DOWN=$EPOCHREALTIME
	batch m <<-END
		link set wifi0 up
		addr add $(own m wifi0 "$family") dev wifi0 $DAD
		route add default via ${GATE[m.wifi0.$family]} dev wifi0 table 10 metric 50
		addr flush dev eth0 scope global
	END
	moved m c "$NEW" || return
	UP=$EPOCHREALTIME
	must "goes on after the move" goes_on m 20 || return
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" $((1200 + SLACK_MS)) "$C"
}

# Checks that a change of routing invalidates the route that is cached for the path.
route_change() {
	local M C NEW

	stage "$1" && traffic m "$1" "$C" "$2,bind=$M" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	moved m c "$NEW" || return
	must "goes on after the move" goes_on m || return
	ipn m "-$1" route replace "$C" dev eth0 metric 1 || return
	leaves eth0 "$3"
}

# Without a route to the locator packets are dropped and counted, without an error, and go on when there is a route.
no_route() {
	local M C NEW family=$1

	FAMILIES=$family topo_testbed || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	introduce m "$M" c "$C" && serve c "$family" tcp:5000 udpc:5001 || return
	traffic m "$family" "$C" "$2" || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	ipn m "-$family" rule add from "$NEW" unreachable || return
	join m wifi0 50 && moved m c "$NEW" || return
	must "refused" slowwait 10 reason_at_least m no-route 3 || return
	ipn m "-$family" rule del from "$NEW" unreachable || return
	must "goes on when there is a route" goes_on m 5 || return
	traffic_end m
	equal "errors" 0 "$(jq '[.flows[].errors[]] | add // 0' "$TMP/run.m.json")"
}

# flap FAMILY WHEN: The default route is missing for a moment while the agent is stopped. Packets take the agent's last-resort route
# meanwhile. Checks that flows go on when the route is back. WHEN is "without" agents, or before or after a move.
flap() {
	local family=$1 M C dev=eth0

	FAMILIES=$family topo_testbed delay 10ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	[ "$2" = without ] || agent_start m c || return
	serve c "$family" tcp:5000 udpc:5001 && traffic m "$family" "$C" tcp:5000,rate=50000 udpc:5001 || return
	[ "$2" = without ] || must "both hosts know each other" hosts_up m "$C" c "$M" || return
	if [ "$2" = after ]; then
		dev=wifi0
		join m wifi0 50 && leave m eth0 || return
		must "c sends to the new address" slowwait 10 path_is c "$M" "$C" "${ADDR[m.wifi0.$family]}" || return
	fi
	must "goes on" goes_on m || return
	if [ "$2" != without ]; then
		kill -STOP "${AGENT[m]}"
		defer kill -CONT "${AGENT[m]}"
	fi
	ipn m "-$family" route del default dev "$dev" || return
	if [ "$2" = without ]; then
		must "traffic stands" slowwait 10 stands m udpc || return
	else
		must "packets take the last resort" slowwait 10 took_last_resort m || return
	fi
	ipn m "-$family" route add default via "${GATE[m.$dev.$family]}" dev "$dev" || return
	must "goes on when the route is back" goes_on m 20 || return
	kill -CONT "${AGENT[m]:-$$}"
	traffic_end m && serve_end c
}

took_last_resort() {
	[ "$(ipn "$1" -s -j link show ihmp0 | jq '.[0].stats64.tx.packets')" -ge 3 ]
}

for family in 4 6; do
	run_case "IPv$family: a default route goes and comes back, without agents" flap $family without
	run_case "IPv$family: the same while the agent stands still" flap $family before
	run_case "IPv$family: the same after a move" flap $family after
	for flow in "tcp:5000,rate=50000 5000" "udpc:5001 5001"; do
		read -r what port <<<"$flow"
		run_case "IPv$family, ${what%%:*}: free sockets leave by the device of the address" by_address $family "$what" "$port"
		run_case "IPv$family, ${what%%:*}: SO_BINDTODEVICE is kept" bound_to_device $family "$what" "$port"
		run_case "IPv$family, ${what%%:*}: a mark is kept" marked $family "$what" "$port"
		run_case "IPv$family, ${what%%:*}: a rule by source sees the locator" by_source $family "$what" "$port"
		run_case "IPv$family, ${what%%:*}: a VRF is kept" vrf $family "$what" "$port"
		run_case "IPv$family, ${what%%:*}: a changed route is followed" route_change $family "$what" "$port"
		run_case "IPv$family, ${what%%:*}: no route is refused with its reason" no_route $family "$what" "$port"
	done
done
run_case "IPv4, udpc: a rule by user decides for nobody" by_user 4 udpc:5001 5001
for family in 4 6; do
	for ecn in 0 1 2 3; do
		run_case "IPv$family: one route serves a path, with $ecn for ECN" cached $family $ecn most
	done
	run_case "IPv$family: a packet with a DSCP has its own route" cached $family 0x20 least
done
suite_end
