#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Many connections to two hosts: one hand-off takes one exchange of messages with each host, and all connections move.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

COUNT=${COUNT:-100}

many() {
	local family=$1 mode=$2 messages=$3 M UP DOWN host new

	FAMILIES=$family topo_trio delay 10ms || return
	M=${ADDR[m.eth0.$family]} new=${ADDR[m.wifi0.$family]}
	agent_start m c d || return
	for host in c d; do
		serve "$host" "$family" tcp:5000 udpu:5002 || return
		TRAFFIC_WAIT=60 traffic m@"$host" "$family" "${ADDR[$host.eth0.$family]}" "tcp:5000,rate=2000,count=$COUNT" udpu:5002 || return
	done
	for host in c d; do
		must "m and $host know each other" hosts_up m "${ADDR[$host.eth0.$family]}" "$host" "$M" || return
		must "$host has all flows" busywait 10 figure_at_least "$host" flows $((COUNT + 1)) || return
	done
	must "m has all flows" busywait 10 figure_at_least m flows $((2 * COUNT + 2)) || return
	capture c eth0 udp port 61453 && capture d eth0 udp port 61453 || return
	DOWN=$EPOCHREALTIME
	if [ "$mode" = soft ]; then
		join m wifi0 50 || return
		# On one link the route by the new interface has to be the better one, as a network manager would have it.
		ipn m route replace "$([ "$family" = 4 ] && echo 192.0.2.0/24 || echo 2001:db8:1::/64)" dev wifi0 metric 5 || return
		for host in c d; do
			must "$host hears the new address" busywait 10 path_is "$host" "$M" - "$new" || return
		done
		must "c: goes on" goes_on m@c 2 && must "d: goes on" goes_on m@d 2 || return
		DOWN=$EPOCHREALTIME
		leave m eth0
	else
		leave m eth0
		must "stands" busywait 10 reason_at_least m no-path 5 || return
		join m wifi0 50 || return
	fi
	UP=$EPOCHREALTIME
	for host in c d; do
		must "all connections to $host go on" goes_on m@"$host" 2 30 || return
		must "$host sends to the new address" busywait 10 path_is "$host" "$M" - "$new" || return
	done
	for host in c d; do
		traffic_end m@"$host" && serve_end "$host" || return
		judge_ok m@"$host" "$host" "$mode" "$DOWN" "$UP" $((400 + SLACK_MS)) "${ADDR[$host.eth0.$family]}"
		capture_end "$host" eth0
		equal "messages with $host" "$messages" "$(captured "$host" eth0 61453)"
	done
	equal "connections" $((2 * COUNT)) "$(jq -s '[.[].flows[] | select(.name | startswith("tcp"))] | length' \
		"$TMP/run.m@c.json" "$TMP/run.m@d.json")"
}

for family in 4 6; do
	run_case "IPv$family: $((2 * COUNT)) connections to two hosts, hard: two messages a host" many $family hard 2
	run_case "IPv$family: $((2 * COUNT)) connections to two hosts, soft: four messages a host" many $family soft 4
done
suite_end
