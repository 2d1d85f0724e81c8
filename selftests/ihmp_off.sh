#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests the administrator's switch. While a machine is off, new flows do not take part, and nobody is greeted or answered, as without ihmp.
# But flows that have moved go on, and can move again.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# stage FAMILY: Builds the testbed with agents at m and c. c has servers: one for flows that move, and others for flows that begin later.
stage() {
	family=$1

	FAMILIES=$family topo_testbed delay 10ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	agent_start m c && serve c "$family" tcp:5000 && serve c@new "$family" tcp:5002 udpc:5003
}

# old: Opens a stream and a shell before the switch, and waits until both hosts know each other.
old() {
	traffic m "$family" "$C" tcp:5000,rate=50000,name=tcp-bulk tcp:5000,rate=200,name=tcp-shell || return
	must "both know each other" hosts_up m "$C" c "$M" && must "rows" slowwait 10 figure_at_least m flows 2 &&
		must "rows" slowwait 10 figure_at_least c flows 2
}

# young: Opens flows of TCP and UDP later, each by a client of its own.
young() {
	traffic m@tcp "$family" "$C" tcp:5002,rate=20000 && traffic m@udp "$family" "$C" udpc:5003,interval=0.02
}

# hard FROM TO: m has no network for a moment and then another one. Waits until c sends the moved flows there.
hard() {
	leave m "$1" && join m "$2" 50 || return
	must "c sends to ${ADDR[m.$2.$family]}" slowwait 20 path_is c "${ADDR[m.$2.$family]}" - "${ADDR[m.$2.$family]}"
}

# switch HOST on|off: Runs `ihmpctl on` or `ihmpctl off`.
switch() {
	ctl "$1" "$2" >"$TMP/switch.$1" || fail "ihmpctl $2 at $1"
}

# agent_says HOST on|off: Does the agent know the state of the switch?
agent_says() {
	[ "$(ihmpctl --state "$TMP/state.$1" -j agent | jq -r .enabled)" = "$2" ]
}

# flows_of HOST: Prints the number of rows, and how many of them stay where they are.
flows_of() {
	ctl "$1" -j host show | jq -r '"\([.[].flows] | add // 0) \([.[].staying // 0] | add // 0)"'
}

# broken CLIENT: Checks that the client receives nothing while the moved flows receive a lot.
broken() {
	local before

	before=$(progress "$1")
	must "what has moved goes on" goes_on m 40 && equal "what $1 got meanwhile" "$before" "$(progress "$1")"
}

# switched FAMILY HOST: Checks that flows that moved before HOST was switched off go on over two more moves. Flows that began later stop,
# but are not reset, and go on when their address comes back. When the machine is on again, all of them move.
switched() {
	local family M C N DOWN UP

	stage "$1" && old || return
	DOWN=$EPOCHREALTIME
	hard eth0 wifi0 && must "moved" goes_on m || return
	switch "$2" off && must "the agent of $2 heard" slowwait 5 agent_says "$2" off || return
	equal "rows of $2" "2 0" "$(flows_of "$2")"
	young && must "the new ones work" goes_on m@tcp 20 && must "both" goes_on m@udp 20 || return
	equal "rows of $2" "2 0" "$(flows_of "$2")"
	hard wifi0 eth0 && broken m@tcp && broken m@udp || return
	hard eth0 wifi0 || return
	must "where they began the new ones go on" goes_on m@tcp 5 60 && must "both" goes_on m@udp 5 || return
	must "and those that have moved" goes_on m || return
	switch "$2" on && must "the agent of $2 heard" slowwait 5 agent_says "$2" on || return
	must "the new ones have rows" slowwait 10 figure_at_least "$2" flows 4 && must "at both ends" slowwait 10 figure_at_least c flows 4 || return
	hard wifi0 eth0 && UP=$EPOCHREALTIME || return
	must "all go on" goes_on m 10 60 && must "the new ones, too" goes_on m@tcp 5 60 && must "both" goes_on m@udp || return
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" 20000 "$C"
}

# home FAMILY: Checks that a recorded flow that has not moved stays at its address while m is off, and can move when m is on again.
home() {
	local family M C N asked UP

	stage "$1" && old || return
	capture c eth0 udp port 61453 || return
	switch m off && must "the agent heard" slowwait 5 agent_says m off || return
	equal "it says" "off, flows that go on 0, flows that stay where they are 2" "$(cat "$TMP/switch.m")"
	equal "rows of m" "2 2" "$(flows_of m)"
	must "they go on" goes_on m 20 || return
	equal "packets of m that were translated" 0 "$(figure m out-translated)"
	asked=$(captured c eth0 "IP6? $M.61453 >")
	leave m eth0 && join m wifi0 50 || return
	must "c hears nothing of it" not slowwait 5 path_is c "$M" - "$N"
	equal "messages from m's other address" 0 "$(captured c eth0 "IP6? $N.61453 >")"
	equal "messages from m" "$asked" "$(captured c eth0 "IP6? $M.61453 >")"
	must "they stand" slowwait 10 stands m tcp-bulk || return
	switch m on && UP=$EPOCHREALTIME || return
	must "c is told" slowwait 20 path_is c "$M" - "$N" || return
	must "they have moved" goes_on m 20 60 || return
	equal "rows of m" "2 0" "$(flows_of m)"
	traffic_end m && serve_end c && judge_ok m c hard 0 "$UP" 60000 "$C"
}

# quiet_host FAMILY: m is off. Checks that it sends and answers no message, and that c finds no ihmp there.
quiet_host() {
	local family M C N

	stage "$1" && serve m "$family" tcp:5000 || return
	printf '[peers]\nretry_after = 2\n' >"$TMP/ihmpd.c.toml"
	defer rm -f "$TMP/ihmpd.c.toml"
	agent_stop c && agent_start c || return
	switch m off && capture c eth0 udp port 61453 || return
	equal "it says" "off, flows that go on 0, flows that stay where they are 0" "$(cat "$TMP/switch.m")"
	equal "hooks" 0 "$(figure m hooks)"
	young && must "they work" goes_on m@tcp 20 && must "both" goes_on m@udp 20 || return
	equal "hosts and rows of m" "0 0" "$(figure m hosts) $(figure m flows)"
	equal "messages" 0 "$(captured c eth0 61453)"
	# c opens a connection and sends HELLOs to m.
	traffic c "$family" "$M" tcp:5000,rate=20000 || return
	must "three greetings" slowwait 20 at_least_captured 3 "IP6? $C.61453 > $M.61453" || return
	must "c leaves m alone" slowwait 20 host_is c "$M" '.state == "classic"' || return
	equal "answers" 0 "$(captured c eth0 "$M.61453 >")"
	must "traffic goes on" goes_on c 20 || return
	at_least "greetings that m refused" 3 "$(ihmpctl --state "$TMP/state.m" -j agent | jq '.refusals[] | select(.reason == "off") | .messages')"
	equal "hosts and rows of m" "0 0" "$(figure m hosts) $(figure m flows)"
	# Control: m is on, and the new flows survive a move.
	switch m on || return
	must "m takes part" hosts_up m "$C" c "$M" || return
	must "rows" slowwait 10 figure_at_least m flows 2 && must "rows of c" slowwait 10 figure_at_least c flows 2 || return
	hard eth0 wifi0 && must "they go on" goes_on m@tcp 10 60 && must "both" goes_on m@udp 10
}

at_least_captured() {
	[ "$(captured c eth0 "$2")" -ge "$1" ]
}

# restarted FAMILY: Checks that the switch stays off when the agent stops and starts, and that moved flows go on and move again.
restarted() {
	local family M C N

	stage "$1" && old || return
	hard eth0 wifi0 && must "moved" goes_on m || return
	switch m off && must "the agent heard" slowwait 5 agent_says m off || return
	agent_stop m && young || return
	equal "rows without an agent" "2 0" "$(flows_of m)"
	agent_start m && must "off" agent_says m off || return
	must "the host of what has moved is greeted" slowwait 10 has_line "$TMP/ihmpd.m.log" "event=acked control=hello .* by=$C" || return
	equal "hosts and rows" "1 2 0" "$(figure m hosts) $(flows_of m)"
	hard wifi0 eth0 && broken m@tcp && broken m@udp || return
	# What c was told has to stay true after the last moved flow has ended, so that c finds the newer flows where they began.
	traffic_end m && POLL_MS=2000 must "no rows" slowwait 100 figure_is m flows 0 || return
	leave m eth0 && join m wifi0 50 || return
	must "the new ones go on where they began" goes_on m@tcp 5 130 && must "both" goes_on m@udp || return
	equal "hosts and rows" "1 0 0" "$(figure m hosts) $(flows_of m)"
}

# alike FAMILY: Checks that a connection that looks like a moved one on the wire gets another port, and stays where it is.
alike() {
	local family M C N

	stage "$1" || return
	traffic m "$family" "$C" "tcp:5000,bind=$M,sport=7000,rate=50000" || return
	must "both know each other" hosts_up m "$C" c "$M" && must "a row" slowwait 10 figure_at_least m flows 1 || return
	hard eth0 wifi0 && must "moved" goes_on m || return
	switch m off && traffic m@alike "$family" "$C" "tcp:5000,bind=$N,sport=7000,rate=20000" || return
	must "both work" goes_on m@alike 20 && must "both" goes_on m 20 || return
	equal "flows with another port" 1 "$(figure m port-mapped)"
	equal "rows" "2 1" "$(flows_of m)"
	hard wifi0 eth0 && broken m@alike || return
	hard eth0 wifi0 && must "where it began it goes on" goes_on m@alike 5 60
}

# by_hand FAMILY: Tests the switch without agents, with host entries that are changed by hand.
by_hand() {
	local family=$1 M C NEW

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	serve c "$family" tcp:5000 udpc:5001 udpc:5002 && introduce m "$M" c "$C" || return
	ctl m param set discovery on
	traffic m "$family" "$C" tcp:5000,rate=20000 udpc:5001 || return
	must "rows" slowwait 10 figure_at_least m flows 2 || return
	switch m off || return
	equal "rows that stay" "2 2" "$(flows_of m)"
	traffic m@more "$family" "$C" tcp:5000,rate=20000 udpc:5002 || return
	must "both go on" goes_on m 10 && must "both" goes_on m@more 10 || return
	equal "rows" "2 2" "$(flows_of m)"
	equal "hosts that were asked about" 0 "$(figure m discovered)"
	# A second "off" changes nothing. "on" lets all flows move again, and flows that were opened meanwhile get rows then.
	switch m off && equal "rows that stay" "2 2" "$(flows_of m)"
	switch m on || return
	equal "it says" on "$(cat "$TMP/switch.m")"
	must "rows" slowwait 10 figure_at_least m flows 4 || return
	equal "rows that stay" "4 0" "$(flows_of m)"
	moved m c "$NEW" && address m eth0 "$family" "$NEW" "$M" || return
	must "they move" goes_on m 10 && must "all" goes_on m@more 10
}

# said: Checks what the tool, the settings and the events say, that the switch is for one namespace, who may use it, and the configuration.
said() {
	FAMILIES=4 topo_pair delay 1ms || return
	equal "at first" 1 "$(ctl m -j param show | jq .enabled)"
	start m ihmpctl -j monitor >"$TMP/events"
	slowwait 10 monitored || fail "no events" || return
	equal "JSON" '{"enabled":0,"moved":0,"staying":0}' "$(ctl m -j off)"
	equal "the setting" 0 "$(ctl m -j param show | jq .enabled)"
	equal "of c" 1 "$(ctl c -j param show | jq .enabled)"
	must "the event" slowwait 5 has_line "$TMP/events" '"event":"param-ntf".*"enabled":0' || return
	ctl m off >/dev/null && ctl m on >/dev/null && must "the event" slowwait 5 has_line "$TMP/events" '"event":"param-ntf".*"enabled":1' || return
	equal "events of off, said twice" 1 "$(grep -c '"enabled":0' "$TMP/events")"
	in_ns m setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all ihmpctl off >"$TMP/nobody" 2>&1
	equal "status, said by nobody" 2 $?
	equal "text" "Error: ihmp: not permitted: this takes CAP_NET_ADMIN in the network namespace; try it as root." "$(cat "$TMP/nobody")"
	equal "it is on" 1 "$(ctl m -j param show | jq .enabled)"
	printf 'off = true\n' >"$TMP/ihmpd.m.toml"
	defer rm -f "$TMP/ihmpd.m.toml"
	agent_start m && must "off, by the configuration" agent_says m off || return
	ctl m on >/dev/null && must "until it is on" slowwait 5 agent_says m on || return
	check "the log" has_line "$TMP/ihmpd.m.log" 'INFO event=on'
	printf 'port = 61453\noff = "yes"\n' >"$TMP/bad.toml"
	check "file and line" grep -q 'bad.toml:2' <(in_ns m ihmpd --config "$TMP/bad.toml" --check 2>&1)
}

# monitored: Changes a setting. Has the monitor printed it?
monitored() {
	ctl m param set max-hosts 78 && ctl m param set max-hosts 77 && has_line "$TMP/events" '"max-hosts":77'
}

for family in 4 6; do
	run_case "IPv$family: the host that moves is off: what has moved goes on, what is new breaks" switched $family m
	run_case "IPv$family: its correspondent is off: the same" switched $family c
	run_case "IPv$family: what is at home when the host is switched off stays there until it is on" home $family
	run_case "IPv$family: a host that is off has no rows, greets nobody and answers no greeting" quiet_host $family
	run_case "IPv$family: it stays off when the agent is started again" restarted $family
	run_case "IPv$family: what would be taken for a flow that has moved gets another port" alike $family
	run_case "IPv$family: without an agent" by_hand $family
done
run_case "what is said of it, to whom, and who may" said
suite_end
