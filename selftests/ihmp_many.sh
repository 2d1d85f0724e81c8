#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests a move with many connections to two hosts: it takes one exchange of messages with each host, and all connections move.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# In real time computing takes time, and under emulation a lot, so there are fewer connections.
COUNT=${COUNT:-$((TRAVEL ? 100 : 20))}
# Every connection sends each 100 ms, which does not count as silence. A connection that waits for a time-out would be silent for 200 ms. In
# real time an emulated processor is always late, so the bound is higher.
SERVE_OPTS="--silence $((TRAVEL ? 0 : 1)).15" TRAFFIC_OPTS=$SERVE_OPTS LIMIT_MS=$((150 + SLACK_MS))

# greeted HOST...: Has every HELLO of these hosts been acknowledged? Then no message of the beginning is in flight any more.
greeted() {
	local host

	for host in "$@"; do
		[ "$(greetings sent "$host")" = "$(greetings acked "$host")" ] || return
	done
}

# greetings EVENT HOST: Prints the sequence numbers of HELLOs with this event in the log. A HELLO whose sender has to prove its address is
# sent twice with one number, which is printed once.
greetings() {
	sed -nE "s/.*event=$1 control=hello (seqno=[0-9]+) .*/\1/p" "$TMP/ihmpd.$2.log" | sort -u
}

# between LEAST MOST NUMBER: Is the number within these bounds?
between() {
	[ "$3" -ge "$1" ] && [ "$3" -le "$2" ]
}

many() {
	local family=$1 mode=$2 messages=$3 M UP DOWN host new
	local -A asked

	# TCP does not retransmit a segment that is still in a local queue, and netem does not tell when the segment has left it. So there
	# is no delay on packets that c and d send, part of which go to an address that is gone.
	FAMILIES=$family topo_trio || return
	for host in c d; do
		netem s "${host}0" delay 20ms || return
	done
	M=${ADDR[m.eth0.$family]} new=${ADDR[m.wifi0.$family]}
	agent_start m c d || return
	for host in c d; do
		serve "$host" "$family" tcp:5000 udpu:5002 || return
		TRAFFIC_WAIT=60 traffic m@"$host" "$family" "${ADDR[$host.eth0.$family]}" "tcp:5000,rate=2000,count=$COUNT" udpu:5002 || return
	done
	for host in c d; do
		must "m and $host know each other" hosts_up m "${ADDR[$host.eth0.$family]}" "$host" "$M" || return
		must "$host has all flows" slowwait 10 figure_at_least "$host" flows $((COUNT + 1)) || return
	done
	must "m has all flows" slowwait 10 figure_at_least m flows $((2 * COUNT + 2)) || return
	must "the greetings are over" slowwait 10 greeted m c d || return
	capture c eth0 udp port 61453 && capture d eth0 udp port 61453 || return
	asked=([c]=$(probed c) [d]=$(probed d))
	DOWN=$EPOCHREALTIME
	if [ "$mode" = soft ]; then
		# Both interfaces are on one link, so the route by the new one has to be the better one, as a network manager would make it.
		ipn m addr change "$(own m eth0 "$family")" dev eth0 metric 600 && join m wifi0 50 || return
		for host in c d; do
			must "$host hears the new address" slowwait 10 path_is "$host" "$M" - "$new" || return
		done
		must "c: goes on" goes_on m@c 2 && must "d: goes on" goes_on m@d 2 || return
		DOWN=$EPOCHREALTIME
		leave m eth0
	else
		leave m eth0
		must "stands" slowwait 10 stands m@c tcp.0 || return
		join m wifi0 50 || return
	fi
	UP=$EPOCHREALTIME
	for host in c d; do
		must "all connections to $host go on" goes_on m@"$host" 2 30 || return
		must "$host sends to the new address" slowwait 10 path_is "$host" "$M" - "$new" || return
	done
	for host in c d; do
		traffic_end m@"$host" && serve_end "$host" || return
		judge_ok m@"$host" "$host" "$mode" "$DOWN" "$UP" "$LIMIT_MS" "${ADDR[$host.eth0.$family]}"
		capture_end "$host" eth0
		# In real time an answer can come after more than three round trips, and then the request is sent twice.
		check "messages with $host" between "$messages" $((messages + (1 - TRAVEL) * 2)) \
			$(($(captured "$host" eth0 61453) - 2 * ($(probed "$host") - ${asked[$host]})))
	done
	equal "connections" $((2 * COUNT)) "$(jq -s '[.[].flows[] | select(.name | startswith("tcp"))] | length' \
		"$TMP/run.m@c.json" "$TMP/run.m@d.json")"
}

for family in 4 6; do
	run_case "IPv$family: $((2 * COUNT)) connections to two hosts, hard: two messages a host" many $family hard 2
	run_case "IPv$family: $((2 * COUNT)) connections to two hosts, soft: four messages a host" many $family soft 4
done
suite_end
