#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests one handover in detail: who is asked, what is recorded, and that the counters are right for each packet.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

idle() {
	topo_pair || return
	equal "hooks" 0 "$(figure m hooks)"
	equal "hosts" 0 "$(figure m hosts)"
	equal "discovery" 0 "$(ctl m -j param show | jq .discovery)"
	check "ping" quiet in_ns m ping -qc 3 -i 0.01 -W 1 "${ADDR[c.eth0.4]}"
	equal "packets seen" 0 "$(ctl m -j stats show | jq '."out-unchanged" + ."in-unchanged" + ."flows-made"')"
}

agent_switches_discovery_on() {
	topo_pair && agent_start m || return
	equal "discovery" 1 "$(ctl m -j param show | jq .discovery)"
	at_least "hooks" 1 "$(figure m hooks)"
	equal "discovery elsewhere" 0 "$(ctl c -j param show | jq .discovery)"
}

# first_contact FAMILY: Checks that a TCP connection makes a host entry at both ends, and that nothing is translated. Both ends may ask
# at the same time, so there are four messages at most.
first_contact() {
	local family=$1 M C

	FAMILIES=$family topo_pair delay 10ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	capture m eth0 udp port 61453 || return
	agent_start m c && serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "traffic goes on" goes_on m || return
	equal "hosts at m" 1 "$(figure m hosts)"
	equal "hosts at c" 1 "$(figure c hosts)"
	equal "flows at m" 1 "$(figure m flows)"
	equal "flows at c" 1 "$(figure c flows)"
	equal "discoveries" 1 "$(figure m discovered)"
	equal "translated" 0 "$(ctl m -j stats show | jq '."out-translated" + ."in-translated"')"
	equal "reasons" '' "$(reasons m)$(reasons c)"
	check "the path is the pair of identifiers" path_is m "$C" "$M" "$C"
	traffic_end m
	capture_end m eth0
	# Where computing takes time, a message may be repeated before its answer comes.
	at_most "messages" $((TRAVEL ? 4 : 6)) "$(captured m eth0 UDP)"
	at_least "messages" 2 "$(captured m eth0 UDP)"
	check "HELLO goes to the address that the socket has" has_line "$TMP/cap.m.eth0" "$M\.61453 > $C\.61453"
}

# counted FAMILY: Checks that ten datagrams in each direction after a move are ten in every counter.
counted() {
	local family=$1 M C new

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} new=${M}0
	agent_start m c && serve c "$family" udpc:5001 && traffic m "$family" "$C" udpc:5001,burst=1,size=100 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	ctl m stats flush && ctl c stats flush || return
	must "ten datagrams before" burst m 1000 || return
	equal "m out unchanged" 10 "$(figure m out-unchanged)"
	equal "m in unchanged" 10 "$(figure m in-unchanged)"
	equal "c out unchanged" 10 "$(figure c out-unchanged)"
	equal "c in unchanged" 10 "$(figure c in-unchanged)"
	address m eth0 "$family" "$new" "$M" || return
	must "m moved" slowwait 10 path_is m "$C" "$new" "$C" || return
	must "c knows" slowwait 10 path_is c "$M" "$C" "$new" || return
	must "the move is acknowledged" slowwait 10 host_is m "$C" 'all(.addr[]; .unvalidated | not)' || return
	ctl m stats flush && ctl c stats flush || return
	must "ten datagrams afterwards" burst m 1000 || return
	equal "m out translated" 10 "$(figure m out-translated)"
	equal "m in translated" 10 "$(figure m in-translated)"
	equal "c out translated" 10 "$(figure c out-translated)"
	equal "c in translated" 10 "$(figure c in-translated)"
	equal "unchanged" 0 "$(ctl m -j stats show | jq '."out-unchanged" + ."in-unchanged"')"
	equal "reasons" '' "$(reasons m)$(reasons c)"
	check "the flow is known by its identifiers" flow_is m "$M" "$C" 5001
	check "and at c" flow_is c "$C" "$M" ''
}

# flow_is NAME LOCAL REMOTE [REMOTE_PORT]: Is there exactly one flow, and is it between these identifiers?
flow_is() {
	ctl "$1" -j flow show | jq -e --arg l "$2" --arg r "$3" --arg p "${4:-}" 'length == 1 and .[0].local == $l and .[0].remote == $r
		and ($p == "" or .[0]."remote-port" == ($p | tonumber)) and .[0].proto == 17' >/dev/null
}

# new_ones FAMILY: Checks that connections that are opened after a move use the new address and are not translated.
new_ones() {
	local family=$1 M C new

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} new=${M}0
	agent_start m c && serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	address m eth0 "$family" "$new" "$M" || return
	must "c knows" slowwait 10 path_is c "$M" "$C" "$new" || return
	must "the old one goes on" goes_on m || return
	traffic m@new "$family" "$C" tcp:5000,rate=20000 ping || return
	must "the new ones go on" goes_on m@new || return
	must "the flow is recorded" slowwait 5 has_flow m "$new" "$C" || return
	equal "hosts at m" 1 "$(figure m hosts)"
	equal "hosts at c" 1 "$(figure c hosts)"
	traffic_end m@new && traffic_end m && serve_end c || return
	equal "source of the new one" "$new" "$(jq -r '.flows[0].local' "$TMP/run.m@new.json")"
	judge_ok m@new c soft 0 0 100 "$C"
}

has_flow() {
	ctl "$1" -j flow show | jq -e --arg l "$2" --arg r "$3" 'any(.[]; .local == $l and .remote == $r)' >/dev/null
}

# rows FAMILY: Checks that rows go when their sockets go.
rows() {
	local family=$1 C

	FAMILIES=$family topo_pair || return
	C=${ADDR[c.eth0.$family]}
	agent_start m c && serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,rate=20000,count=5 || return
	must "both hosts know each other" hosts_up m "$C" c "${ADDR[m.eth0.$family]}" || return
	must "flows" slowwait 5 figure_at_least m flows 5 || return
	traffic_end m && serve_end c || return
	must "the flows of closed sockets go" slowwait 150 no_flows m c || return
	equal "expired" "$(figure m flows-made)" "$(figure m flows-expired)"
}

no_flows() {
	local host

	for host in "$@"; do
		[ "$(figure "$host" flows)" = 0 ] || return 1
	done
}

run_case "loaded without hosts: no hook, nothing seen" idle
run_case "the agent switches discovery on, in its own namespace only" agent_switches_discovery_on
for family in 4 6; do
	run_case "IPv$family: first contact takes a HELLO and its ACK, each way at most" first_contact $family
	run_case "IPv$family: the counters are exact before and after a move" counted $family
	run_case "IPv$family: new connections after a move are not translated" new_ones $family
	run_case "IPv$family: flows go with their sockets" rows $family
done
suite_end
