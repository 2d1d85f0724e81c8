#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests loading and unloading the module under traffic: untranslated flows are not disturbed, and nothing is left behind.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

ROUNDS=${ROUNDS:-50}

stage() {
	FAMILIES='4 6' topo_pair || return
	serve c 4 tcp:5000 udpc:5001 udpu:5002 && serve c@6 6 tcp:5000 udpc:5001 udpu:5002 || return
	traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=200000 udpc:5001,interval=0.002 udpu:5002,interval=0.002 ping,interval=0.02 || return
	traffic m@6 6 "${ADDR[c.eth0.6]}" tcp:5000,rate=200000 udpc:5001,interval=0.002 udpu:5002,interval=0.002 ping,interval=0.02
}

finish() {
	must "IPv4 goes on" goes_on m 20 && must "IPv6 goes on" goes_on m@6 20 || return
	traffic_end m && traffic_end m@6 && serve_end c && serve_end c@6 || return
	judge_ok m c soft 0 0 1000 "${ADDR[c.eth0.4]}"
	judge_ok m@6 c@6 soft 0 0 1000 "${ADDR[c.eth0.6]}"
}

# by_hand: In every round, host entries of both families are added in both namespaces.
by_hand() {
	local i

	module_unload
	stage || return
	for ((i = 1; i <= ROUNDS; i++)); do
		must "round $i: load" module_load || return
		introduce m "${ADDR[m.eth0.4]}" c "${ADDR[c.eth0.4]}" && introduce m "${ADDR[m.eth0.6]}" c "${ADDR[c.eth0.6]}" || return
		must "round $i: flows" slowwait 10 figure_at_least m flows 4 || return
		must "round $i: goes on" goes_on m 2 || return
		must "round $i: unload" module_unload || return
	done
	finish
	module_load
}

# with_agents: The same with agents, which make the host entries.
with_agents() {
	local i rounds=$((ROUNDS / 10))

	module_unload
	stage || return
	for ((i = 1; i <= rounds; i++)); do
		must "round $i: load" module_load && agent_start m c || return
		must "round $i: up" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}" || return
		must "round $i: goes on" goes_on m 2 || return
		if [ $((i % 2)) = 0 ]; then
			agents_stop m c
			must "round $i: unload" module_unload || return
		else
			# In every other round the module goes while the agents run.
			must "round $i: unload" module_unload || return
			agents_stop m c
		fi
	done
	finish
	module_load
}

# translated: Checks that translated flows stop when the module goes, and that the machine goes on.
translated() {
	local i new

	for ((i = 1; i <= ROUNDS / 10; i++)); do
		module_load
		drop_topo
		topo_pair || return
		new=${ADDR[m.eth0.4]}0
		introduce m "${ADDR[m.eth0.4]}" c "${ADDR[c.eth0.4]}" && serve c 4 tcp:5000 udpu:5002 || return
		traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=1000000 udpu:5002,interval=0.001 ping,interval=0.02 || return
		must "flows" slowwait 5 figure_at_least m flows 3 || return
		address m eth0 4 "$new" "${ADDR[m.eth0.4]}" && moved m c "$new" || return
		must "round $i: goes on after the move" goes_on m || return
		must "round $i: unload" module_unload || return
		check "round $i: the host can be reached" quiet in_ns m ping -qc 2 -i 0.01 -W 1 "${ADDR[c.eth0.4]}"
		stop_process "${CLIENT[m]}" KILL
		stop_process "${SERVER[c]}" KILL
	done
	module_load
}

# listened: The module goes while a monitor listens.
listened() {
	local i

	topo_pair || return
	for i in 1 2 3; do
		module_load
		start m ihmpctl -j monitor >"$TMP/events" 2>&1
		slowwait 5 listens || { fail "monitor does not start" || return; }
		ctl m host add remote "${ADDR[c.eth0.4]}" local "${ADDR[m.eth0.4]}" >/dev/null
		must "an event" slowwait 5 test -s "$TMP/events" || return
		must "round $i: unload under a listener" module_unload || return
		stop_process "$BG" TERM
	done
	module_load
}

# A monitor hears only changes that are made after it has subscribed, so changes are made until it hears one.
listens() {
	ctl m param set hold-time 100 2>/dev/null
	ctl m -j host add name probe remote 192.0.2.250 local "${ADDR[m.eth0.4]}" >/dev/null
	ctl m host flush
	[ -s "$TMP/events" ]
}

run_case "$ROUNDS times loaded and unloaded under traffic, hosts by hand" by_hand
run_case "$((ROUNDS / 10)) times loaded and unloaded under traffic, with agents" with_agents
run_case "unloaded under translated flows" translated
run_case "unloaded under a listener" listened
suite_end
