#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests that connections survive moves: a matrix of families, transports, kinds of move, movers and times of opening, and other changes
# of addresses. The topologies are drawn in topo.sh; m is the host that moves.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

DELAY_MS=10 RTT_MS=20
LIMIT_MS=$((RTT_MS + SLACK_MS + 20)) # the datagrams come every 20 ms
FLOWS=("tcp:5000,rate=50000" udpc:5001 udpu:5002 ping)
SERVICES=(tcp:5000 udpc:5001 udpu:5002)

# begin FAMILY: Starts traffic and agents in the order that OPENED says, and waits until all flows are known at both ends.
begin() {
	if [ "$OPENED" = before ]; then
		module_unload
	else
		module_load && agent_start m c || return
	fi
	serve "$server" "$1" "${SERVICES[@]}" && traffic "$client" "$1" "$TARGET" "${FLOWS[@]}" || return
	if [ "$OPENED" = before ]; then
		module_load && agent_start m c || return
	fi
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "the client has all flows" slowwait 10 figure_at_least "$client" flows ${#FLOWS[@]} || return
	must "the server has them, but for echo requests" slowwait 10 figure_at_least "$server" flows ${#SERVICES[@]} || return
	must "traffic goes on" goes_on "$client"
}

finish() {
	traffic_end "$client" && serve_end "$server"
}

# soft and hard: m goes from eth0 to wifi0. They set DOWN and UP, the moments that the judgement needs.
soft() {
	join m wifi0 50 || return
	must "c hears m from the new address" slowwait 10 path_is c "$M" "$C" "${ADDR[m.wifi0.$1]}" || return
	must "traffic goes on after the first event" goes_on "$client" || return
	leave m eth0
	DOWN=$EPOCHREALTIME UP=$EPOCHREALTIME
	must "traffic goes on after the second event" goes_on "$client" || return
	must "the old address is not used any more" slowwait 10 path_is m "$C" "${ADDR[m.wifi0.$1]}" "$C"
}

hard() {
	DOWN=$EPOCHREALTIME
	leave m eth0
	must "traffic stands in the gap" slowwait 10 stands "$client" "${FIRST:-tcp}" || return
	join m wifi0 50 || return
	UP=$EPOCHREALTIME
	must "traffic goes on after the move" goes_on "$client" || return
	must "c sends to the new address" path_is c "$M" "$C" "${ADDR[m.wifi0.$1]}"
}

matrix() {
	local family=$1 mode=$2 who=$3 OPENED=$4 client server M C TARGET DOWN UP

	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" || return
	roles "$who" "$family"
	begin "$family" && $mode "$family" && finish || return
	judge_all "$client" "$server" "$mode" "$DOWN" "$UP" "$LIMIT_MS" "$TARGET"
	RESULTS[counters]=$(explained)
}

# explained: Prints "ok" if each packet that was refused has a reason that a move explains.
explained() {
	local odd

	odd=$({ reasons m; reasons c; } | grep -vE '^(no-path|local-gone|held|late|path-unreachable) ' | tr '\n' ' ')
	echo "${odd:-ok}"
}

for family in 4 6; do
	for mode in soft hard; do
		for who in client server; do
			for opened in after before; do
				run_cases "IPv$family, $mode, $who moves, opened $opened" 'tcp udpc udpu ping counters' \
					matrix $family $mode $who $opened
			done
		done
	done
done

# --- other changes of an address

# readdress FAMILY WHO MODE: The same interface gets another address of the same network.
readdress() {
	local family=$1 who=$2 mode=$3 OPENED=after client server M C TARGET DOWN UP new

	FAMILIES=$family topo_pair delay "${DELAY_MS}ms" || return
	roles "$who" "$family"
	new=${M}0
	begin "$family" || return
	if [ "$mode" = soft ]; then
		address m eth0 "$family" "$new" || return
		must "the second address is announced" slowwait 10 host_is c "$M" "any(.addr[]; .address == \"$new\")" || return
		must "traffic goes on" goes_on "$client" || return
		# The old address is deprecated before it goes, as when a router renumbers.
		ipn m addr change "$M/${WIDTH[$family]}" dev eth0 preferred_lft 0 valid_lft 600 || return
		must "c hears m from the new address" slowwait 10 path_is c "$M" - "$new" || return
		must "traffic goes on from the new address" goes_on "$client" || return
		DOWN=$EPOCHREALTIME
		ipn m addr del "$M/${WIDTH[$family]}" dev eth0 || return
		UP=$EPOCHREALTIME
	else
		DOWN=$EPOCHREALTIME
		ipn m addr del "$M/${WIDTH[$family]}" dev eth0 || return
		must "traffic stands in the gap" slowwait 10 stands "$client" "${FIRST:-tcp}" || return
		address m eth0 "$family" "$new" || return
		UP=$EPOCHREALTIME
	fi
	must "traffic goes on after the move" goes_on "$client" || return
	must "c sends to the new address" path_is c "$M" "$C" "$new" || return
	finish && judge_ok "$client" "$server" "$mode" "$DOWN" "$UP" "$LIMIT_MS" "$TARGET"
	equal "all reasons are explained" ok "$(explained)"
}

# two_homes FAMILY WHO WHAT: m has both networks from the start; WHAT happens to the one in use.
two_homes() {
	local family=$1 who=$2 OPENED=after client server M C TARGET DOWN UP

	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" && join m wifi0 200 || return
	roles "$who" "$family"
	begin "$family" || return
	DOWN=$EPOCHREALTIME
	"$3" "$family" || return
	UP=$EPOCHREALTIME
	must "traffic goes on after the event" goes_on "$client" || return
	must "m sends from the other address" path_is m "$C" "${ADDR[m.wifi0.$family]}" "$C" || return
	finish && judge_ok "$client" "$server" hard "$DOWN" "$UP" "$LIMIT_MS" "$TARGET"
	equal "all reasons are explained" ok "$(explained)"
}

address_deleted() {
	ipn m addr del "$(own m eth0 "$1")" dev eth0 || return
	# The route over the old network goes as well. The kernel removes IPv4's by itself.
	ipn m "-$1" route del default dev eth0 metric 100 2>/dev/null || true
}

link_down() {
	ipn m link set eth0 down
}

carrier_lost() {
	ipn r1 link set lan down
	# A network manager would see the carrier go and remove the route. The address stays.
	must "m sees it" slowwait 5 no_carrier || return
	ipn m "-$1" route del default dev eth0 metric 100
}

no_carrier() {
	ipn m link show eth0 | grep -q NO-CARRIER
}

# same_again FAMILY WHO AGENT: The link goes, and comes back with the same address after a long gap. Checks that the other end, whose next
# retransmission would be much later, hears of it, from the same agent or from a new one.
same_again() {
	local family=$1 who=$2 agent=$3 OPENED=after client server M C TARGET DOWN UP gone

	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" || return
	roles "$who" "$family"
	begin "$family" || return
	DOWN=$EPOCHREALTIME gone=$(now_ms)
	leave m eth0
	must "traffic stands in the gap" slowwait 10 stands "$client" "${FIRST:-tcp}" || return
	POLL_MS=1000 slowwait 30 passed "$gone" 20000 || return
	[ "$agent" = same ] || { agent_stop m KILL && agent_start m; } || return
	join m eth0 || return
	UP=$EPOCHREALTIME
	must "traffic goes on" goes_on "$client" || return
	finish && judge_ok "$client" "$server" hard "$DOWN" "$UP" "$LIMIT_MS" "$TARGET"
}

# on_testbed FAMILY WHO MODE [SETTING...]: Makes the move of the matrix under other settings.
on_testbed() {
	local family=$1 who=$2 mode=$3 OPENED=after client server M C TARGET DOWN UP

	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" || return
	shift 3
	[ $# = 0 ] || "$@" || return
	roles "$who" "$family"
	begin "$family" && $mode "$family" && finish || return
	judge_ok "$client" "$server" "$mode" "$DOWN" "$UP" "$LIMIT_MS" "$TARGET"
	equal "all reasons are explained" ok "$(explained)"
}

strict_source_check() {
	local host

	for host in m c; do
		sysctl_in "$host" net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 || return
	done
}

optimistic_addresses() {
	optimistic m wifi0
}

for family in 4 6; do
	for who in client server; do
		for mode in soft hard; do
			run_case "IPv$family, $who moves: same interface re-addressed, $mode" readdress $family $who $mode
		done
		for what in address_deleted link_down carrier_lost; do
			run_case "IPv$family, $who moves: ${what//_/ }, another network is there" two_homes $family $who $what
		done
		for agent in same other; do
			run_case "IPv$family, $who moves: link lost and found with the same address, $agent agent" same_again $family $who $agent
		done
	done
done
for mode in soft hard; do
	# The reverse path filter drops packets in flight to the old address when the route changes. In real time that takes longer.
	ALLOW=$((RTT_MS / 20 + 1 + (1 - TRAVEL) * 10)) run_case "IPv4, client moves: strict reverse path filter, $mode" \
		on_testbed 4 client $mode strict_source_check
	run_case "IPv6, client moves: optimistic duplicate address detection, $mode" \
		on_testbed 6 client $mode optimistic_addresses
	OPTIMISTIC=0
done

# --- SCTP; the supported kernels no longer have UDP-Lite

sctp() {
	local family=$1 mode=$2 LIMIT_MS=$((LIMIT_MS + 10000)) FLOWS=("sctp:5000,rate=50000") SERVICES=(sctp:5000) FIRST=sctp

	# SCTP has no half-closed state, and nothing wakes its retransmission timer after a move.
	python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)' 2>/dev/null ||
		{ skip "this kernel has no sctp" && return; }
	case $mode in
	soft | hard) on_testbed "$family" client "$mode" ;;
	*) two_homes "$family" client "$mode" ;;
	esac
}

for mode in soft hard; do
	run_case "IPv6, sctp, $mode" sctp 6 $mode
done
# Over IPv4, SCTP does not send from an address that is gone.
for family in 4 6; do
	run_case "IPv$family, sctp, link down, another network is there" sctp $family link_down
done

# --- long transfers, and several moves

# ten FAMILY WHO: m moves ten times to new addresses, soft and hard in turn, and back to the first, while 50 MB are carried.
ten() {
	local family=$1 who=$2 OPENED=after client server M C TARGET DOWN UP SERVICES=(tcp:5000) total=50000000
	# All moves have to be over before the transfer is. In a slow guest they take longer, so the rate is lower there.
	local rate=$((TRAVEL ? 2500000 : 1000000))
	local FLOWS=("tcp:5000,send=0,rate=$rate,bytes=$total") i at=eth0 to first new
	local -A base

	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" rate 100mbit limit 1000 || return
	roles "$who" "$family"
	first=$M
	for to in eth0 wifi0; do
		base[$to]=${ADDR[m.$to.$family]%10}
	done
	begin "$family" || return
	DOWN=$EPOCHREALTIME
	for ((i = 1; i <= 10; i++)); do
		to=$([ "$at" = eth0 ] && echo wifi0 || echo eth0)
		new=${base[$to]}$((20 + i))
		ADDR[m.$to.$family]=$new
		if [ $((i % 2)) = 1 ]; then
			join m "$to" $((100 - i)) || return
			must "move $i: c hears m from $new" slowwait 10 path_is c "$first" - "$new" || return
			leave m "$at"
		else
			leave m "$at"
			must "move $i: stands in the gap" slowwait 10 stands "$client" "${FIRST:-tcp}" || return
			join m "$to" $((100 - i)) || return
		fi
		must "move $i: goes on" goes_on "$client" 20 || return
		at=$to
	done
	leave m "$at"
	must "stands in the last gap" slowwait 10 stands "$client" "${FIRST:-tcp}" || return
	ADDR[m.$at.$family]=$first
	join m "$at" || return
	UP=$EPOCHREALTIME
	must "goes on at the first address" goes_on "$client" 20 || return
	must "c sends to the first address again" path_is c "$first" "$C" "$first" || return
	must "m sends from the first address again" path_is m "$C" "$first" "$C" || return
	at_most "octets when the last move is over" $((total - 1)) "$(received "$client")"
	traffic_wait "$client" 120 && serve_end "$server" || return
	equal "octets" "$total" "$(jq '.flows[0].received' "$TMP/run.$client.json")"
	equal "hash" "$(jq -r '.flows[0].sha256_sent' "$TMP/serve.$server.json")" \
		"$(jq -r '.flows[0].sha256_received' "$TMP/run.$client.json")"
	judge_ok "$client" "$server" hard "$DOWN" "$UP" "$LIMIT_MS" "$TARGET"
	at_least "packets that needed no translation any more" 100 "$(figure m out-unchanged)"
}

# received CLIENT: Prints how many octets the client's socket has received so far.
received() {
	in_ns "$1" ss -tniH | grep -o 'bytes_received:[0-9]*' | cut -d: -f2 | sort -n | tail -n 1
}

for family in 4 6; do
	for who in client server; do
		run_case "IPv$family, $who moves: ten moves and back to the first address, 50 MB" ten $family $who
	done
done

# both_move FAMILY: Both hosts move, one after the other.
both_move() {
	local family=$1 OPENED=after client server M C TARGET DOWN UP new

	FAMILIES=$family topo_pair delay "${DELAY_MS}ms" || return
	roles client "$family"
	begin "$family" || return
	DOWN=$EPOCHREALTIME
	address m eth0 "$family" "${M}0" "$M" || return
	must "traffic goes on after m moved" goes_on m || return
	must "c sends to the new address of m" path_is c "$M" "$C" "${M}0" || return
	new=${C%101}77
	address c eth0 "$family" "$new" "$C" || return
	UP=$EPOCHREALTIME
	must "traffic goes on after c moved" goes_on m || return
	must "m sends to the new address of c" path_is m "$C" "${M}0" "$new" || return
	finish && judge_ok m c hard "$DOWN" "$UP" "$LIMIT_MS" "$TARGET"
}

# dual_stack MODE: Two hosts with both families have connections of both.
dual_stack() {
	local mode=$1 DOWN UP family

	FAMILIES='4 6' topo_testbed delay "${DELAY_MS}ms" || return
	agent_start m c || return
	serve c 4 tcp:5000 udpc:5001 && serve c@6 6 tcp:6000 udpc:6001 || return
	traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=50000 udpc:5001 ping || return
	traffic m@6 6 "${ADDR[c.eth0.6]}" tcp:6000,rate=50000 udpc:6001 ping || return
	for family in 4 6; do
		M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
		must "IPv$family: both hosts know each other" hosts_up m "$C" c "$M" || return
	done
	must "all flows are known" slowwait 10 figure_at_least m flows 6 || return
	DOWN=$EPOCHREALTIME
	if [ "$mode" = soft ]; then
		join m wifi0 50 || return
		for family in 4 6; do
			must "IPv$family moves" slowwait 10 path_is c "${ADDR[m.eth0.$family]}" - "${ADDR[m.wifi0.$family]}" || return
		done
		DOWN=$EPOCHREALTIME
		leave m eth0
	else
		leave m eth0
		must "IPv4 stands" slowwait 10 stands m tcp || return
		join m wifi0 50 || return
	fi
	UP=$EPOCHREALTIME
	must "IPv4 goes on" goes_on m || return
	must "IPv6 goes on" goes_on m@6 || return
	traffic_end m && traffic_end m@6 && serve_end c && serve_end c@6 || return
	judge_ok m c "$mode" "$DOWN" "$UP" "$LIMIT_MS" "${ADDR[c.eth0.4]}"
	judge_ok m@6 c@6 "$mode" "$DOWN" "$UP" "$LIMIT_MS" "${ADDR[c.eth0.6]}"
}

for family in 4 6; do
	run_case "IPv$family, both hosts move, one after the other" both_move $family
done
for mode in soft hard; do
	run_case "IPv4 and IPv6 at once, $mode" dual_stack $mode
done

suite_end
