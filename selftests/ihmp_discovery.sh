#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests discovery: peers without ihmp get three datagrams and notice nothing else, and the policy decides which peers are asked.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"

# lone FAMILY: Builds two hosts; m has an agent, and c has none.
lone() {
	FAMILIES=$1 topo_pair delay 10ms || return
	M=${ADDR[m.eth0.$1]} C=${ADDR[c.eth0.$1]}
	capture c eth0 udp port 61453 || return
	agent_start m && serve c "$1" tcp:5000 udpc:5001 udpu:5002
}

# classic FAMILY: Checks that HELLO is sent three times, that the peer is left alone then, and that traffic is as without ihmp.
classic() {
	local family=$1 M C plain

	FAMILIES=$family topo_pair delay 10ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	serve c "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic m@plain "$family" "$C" tcp:5000,rate=20000 || return
	must "goes on" goes_on m@plain || return
	traffic_end m@plain
	plain=$(jq '.flows[0].connect_ms | floor' "$TMP/run.m@plain.json")
	capture c eth0 udp port 61453 || return
	agent_start m || return
	traffic m "$family" "$C" tcp:5000,rate=20000 udpc:5001 udpu:5002 ping || return
	must "the peer is asked" slowwait 10 host_is m "$C" '.state == "new" or .state == "classic"' || return
	must "and found to be classic" slowwait 30 host_is m "$C" '.state == "classic"' || return
	must "traffic goes on" goes_on m 20 || return
	check "the entry expires by itself" host_is m "$C" '."expires-in" > 0 and ."expires-in" <= 600000'
	equal "flows" 0 "$(figure m flows)"
	# A connection that is opened now makes m ask nobody.
	traffic m@late "$family" "$C" tcp:5000,rate=20000 || return
	must "goes on too" goes_on m@late || return
	traffic_end m@late && traffic_end m && serve_end c || return
	capture_end c eth0
	equal "HELLOs" 3 "$(captured c eth0 "> $C")"
	judge_ok m c soft 0 0 100 "$C"
	# No packet waits: the handshake takes a round trip, and in real time what the machine needs.
	at_most "connect time, ms" $((plain + 2 + (1 - TRAVEL) * 500)) "$(jq '.flows[0].connect_ms | floor' "$TMP/run.m.json")"
	equal "translated" 0 "$(ctl m -j stats show | jq '."out-translated" + ."in-translated"')"
}

# peer_untouched FAMILY: c has the module but no agent. Checks that c has no hook and no host although m sends messages.
peer_untouched() {
	local family=$1 M C

	lone "$family" && traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "found to be classic" slowwait 30 host_is m "$C" '.state == "classic"' || return
	equal "hooks of the peer" 0 "$(figure c hooks)"
	equal "hosts of the peer" 0 "$(figure c hosts)"
}

# classic_move FAMILY: Checks that a move towards a peer without ihmp makes no translation and no message.
classic_move() {
	local family=$1 M C

	lone "$family" && traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "found to be classic" slowwait 30 host_is m "$C" '.state == "classic"' || return
	capture_end c eth0 && capture c eth0 udp port 61453 || return
	address m eth0 "$family" "${M}0" || return
	must "traffic goes on beside the second address" goes_on m 20 || return
	ipn m addr del "${M}0/${WIDTH[$family]}" dev eth0
	must "and after it went" goes_on m 20 || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 100 "$C"
	capture_end c eth0
	equal "messages" 0 "$(captured c eth0 61453)"
}

# expires: Checks that a negative entry goes when its time is over, and that the peer is asked again.
expires() {
	# The lifetime is longer than the checks in between take.
	local M C life=$((4 + SLACK_MS / 250))

	FAMILIES=4 topo_pair || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]}
	ctl m param set discovery 1 && ctl m host add state classic expires "$life" remote "$C" local "$M" || return
	serve c 4 tcp:5000 && traffic m 4 "$C" tcp:5000,rate=20000 || return
	check "nothing is asked while it lives" equal discovered 0 "$(figure m discovered)"
	must "it is gone in time" slowwait $((life * 2)) not host_is m "$C" '.state == "classic"' || return
	must "and the peer is asked again" slowwait 5 figure_at_least m discovered 1 || return
	must "traffic goes on" goes_on m
}

# few FAMILY: Checks that one or two datagrams to a host do not make m ask it, but TCP, connected UDP, or many datagrams do.
few() {
	local family=$1 M C

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	ctl m param set discovery 1 && serve c "$family" udpc:5001 udpu:5002 tcp:5000 || return
	for _ in 1 2; do
		in_ns m python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"x", (sys.argv[1], 53))' "$C"
	done
	equal "asked after single datagrams" 0 "$(figure m discovered)"
	traffic m "$family" "$C" "udpu:5002,burst=1,size=100" || return
	equal "asked after the first datagram" 0 "$(figure m discovered)"
	must "more datagrams" burst m 300 || return
	equal "asked after the fourth" 1 "$(figure m discovered)"
	check "the host is new" host_is m "$C" '.state == "new"'
	ctl m host flush
	traffic m@c "$family" "$C" "udpc:5001,burst=1,size=100" || return
	must "connected UDP asks" slowwait 5 figure_at_least m discovered 2 || return
	ctl m host flush
	traffic m@t "$family" "$C" "tcp:5000,burst=1" || return
	must "TCP asks" slowwait 5 figure_at_least m discovered 3
}

# policy FAMILY: Checks that the policy with the longest prefix applies.
policy() {
	local family=$1 wide narrow M C D n=0

	FAMILIES=$family topo_trio || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]}
	wide=$([ "$family" = 4 ] && echo 192.0.2.0/24 || echo 2001:db8:1::/64)
	narrow=$C/$([ "$family" = 4 ] && echo 32 || echo 128)
	ctl m param set discovery 1 && ctl m policy add "$wide" never && ctl m policy add "$narrow" auto || return
	for host in c d; do
		serve "$host" "$family" tcp:5000 && traffic m@"$host" "$family" "${ADDR[$host.eth0.$family]}" tcp:5000,rate=20000 || return
		must "$host: goes on" goes_on m@"$host" 10 || return
	done
	equal "asked" 1 "$(figure m discovered)"
	check "c is discovered" host_is m "$C" '.state == "new"'
	check "d is not" not host_is m "$D" true
	# With "known", only configured hosts take part.
	ctl m policy set "$narrow" known && ctl m host flush || return
	must "goes on" goes_on m@c 10 || return
	equal "asked under known" 1 "$(figure m discovered)"
	ctl m host add remote "$C" local "$M" >/dev/null || return
	must "a configured host has its flows" slowwait 5 figure_at_least m flows 1 || return
	# With "never", not even those do.
	n=$(ctl m -j policy show | jq length)
	equal "policies" 2 "$n"
	ctl m policy flush || return
	equal "policies after the flush" 0 "$(ctl m -j policy show | jq '[.[] | select(."prefix-len" > 0)] | length')"
	must "auto again: d is asked" slowwait 5 host_is m "$D" '.state == "new"'
}

# hello_from_known FAMILY: Checks that with "known" a peer that sends a HELLO takes part.
hello_from_known() {
	local family=$1 M C

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	agent_start m c || return
	ctl c policy add "$([ "$family" = 4 ] && echo 0.0.0.0/0 || echo ::/0)" known || return
	serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	equal "c asked" 0 "$(figure c discovered)"
	must "c has the flow" slowwait 5 figure_at_least c flows 1
}

# limited: Checks with many peers at once that requests are limited, that the others are counted, and that no packet waits for this.
limited() {
	local i

	FAMILIES=4 topo_pair || return
	for i in $(seq 1 200); do
		echo "addr add 192.0.2.$((i > 100 ? i + 3 : i + 0))/32 dev lo"
	done | sed '/\.1\/32/d; /\.11\/32/d; /\.101\/32/d' | batch c
	sysctl_in c net.ipv4.conf.all.arp_ignore=0
	serve c 4 tcp:5000 || return
	ctl m param set discovery 1
	in_ns m python3 -c '
import socket
hosts = [n for n in range(2, 200) if n not in (11, 101, 102, 103)]
socks = []
for n in hosts:
    s = socket.create_connection((f"192.0.2.{n}", 5000), timeout=5)
    socks.append(s)
print(len(socks))' >"$TMP/connected" || { fail "connections fail" || return; }
	at_least "connections" 190 "$(cat "$TMP/connected")"
	at_least "requests that were held back" 1 "$(reason m discover-limit)"
	at_least "requests" 1 "$(figure m discovered)"
}

# recorded_while_new FAMILY: Checks that a flow that begins while its host is new is recorded, and moves later.
recorded_while_new() {
	local family=$1 M C NEW

	FAMILIES=$family topo_pair delay 10ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	ctl m param set discovery 1 && serve c "$family" tcp:5000 udpu:5002 || return
	traffic m "$family" "$C" tcp:5000,rate=20000 udpu:5002 || return
	must "new" slowwait 5 host_is m "$C" '.state == "new"' || return
	must "recorded" slowwait 5 figure_at_least m flows 2 || return
	agent_start m c || return
	must "up" hosts_up m "$C" c "$M" || return
	address m eth0 "$family" "$NEW" "$M" || return
	must "goes on after a move" goes_on m 10 || return
	check "c sends to the new address" path_is c "$M" "$C" "$NEW"
}

# removed_at_the_peer OPENER: The hosts know each other by IPv6, and c removes m. OPENER opens a connection over IPv4. Checks that both know
# each other by both families then.
removed_at_the_peer() {
	local opener=$1 near=m far=c

	topo_pair delay 10ms && agent_start m c || return
	[ "$opener" = m ] || near=c far=m
	speaker m 6 && speaker c 6 && server c six tcp :: 5001 c || return
	says m ok s tcp && ask m s connect "${ADDR[c.eth0.6]}" 5001 && says m 3 s talk 3 || return
	must "they know each other by IPv6" hosts_up m "${ADDR[c.eth0.6]}" c "${ADDR[m.eth0.6]}" || return
	ctl c host flush && must "removed" slowwait 5 figure_is c hosts 0 || return
	speaker "$near@four" 4 && speaker "$far@four" 4 && server "$far@four" four tcp 0.0.0.0 5000 "$far" || return
	says "$near@four" ok s tcp && ask "$near@four" s connect "${ADDR[$far.eth0.4]}" 5000 && says "$near@four" 3 s talk 3 || return
	must "they know each other by IPv4" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}" || return
	must "and by IPv6" hosts_up m "${ADDR[c.eth0.6]}" c "${ADDR[m.eth0.6]}" || return
	equal "hosts" "1 1" "$(figure m hosts) $(figure c hosts)"
}

for family in 4 6; do
	run_case "IPv$family: a peer without us: three HELLOs, nothing changes, nothing waits" classic $family
	run_case "IPv$family: a namespace without an agent stays without hooks" peer_untouched $family
	run_case "IPv$family: a classic peer is told of no move" classic_move $family
	run_case "IPv$family: single datagrams ask nobody" few $family
	run_case "IPv$family: policy by the longest prefix" policy $family
	run_case "IPv$family: known lets in who asks" hello_from_known $family
	run_case "IPv$family: flows of a new host move when it is up" recorded_while_new $family
done
for opener in m c; do
	run_case "a host that its peer removed is known to it by both families once $opener opens a connection by the other" removed_at_the_peer $opener
done
run_case "negative entries expire" expires
run_case "discovery requests are limited and counted" limited
suite_end
