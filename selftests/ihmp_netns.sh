#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests network namespaces: each has its own tables and settings, and one that is deleted under traffic takes its state with it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

ROUNDS=${ROUNDS:-20}

isolated() {
	topo_trio || return
	introduce m "${ADDR[m.eth0.4]}" c "${ADDR[c.eth0.4]}" || return
	ctl m policy add 203.0.113.0/24 never && ctl m param set max-hosts 7 udp-timeout 9 || return
	equal "hosts at d" 0 "$(figure d hosts)"
	equal "hooks at d" 0 "$(figure d hooks)"
	equal "policy at d" 0 "$(ctl d -j policy show | jq '[.[] | select(.address == "203.0.113.0")] | length')"
	[ "$(ctl d -j param show | jq '."max-hosts"')" != 7 ] || fail "the limit of m is the limit of d"
	check "traffic of d" quiet in_ns d ping -qc 3 -i 0.01 -W 1 "${ADDR[c.eth0.4]}"
	equal "flows at d" 0 "$(figure d flows-made)"
	# The namespaces have separate counters.
	in_ns m ping -qc 3 -i 0.01 -W 1 "${ADDR[c.eth0.4]}" >/dev/null
	at_least "seen at m" 3 "$(figure m out-unchanged)"
	equal "seen at d" 0 "$(figure d out-unchanged)"
}

# Checks that events are sent only in the namespace where they happen.
events() {
	topo_trio || return
	start m ihmpctl -j monitor >"$TMP/events.m" 2>&1
	start d ihmpctl -j monitor >"$TMP/events.d" 2>&1
	must "m hears its own events" slowwait 10 heard || return
	equal "what d hears" '' "$(cat "$TMP/events.d")"
}

heard() {
	ctl m -j host add remote 192.0.2.77 local "${ADDR[m.eth0.4]}" >/dev/null
	ctl m host flush
	[ -s "$TMP/events.m" ]
}

# deleted HOW: Deletes a namespace with hosts, flows and traffic in both directions. HOW is plain, translated (m has moved before), or
# discovery (the module looks for hosts by itself).
deleted() {
	local i how=$1 new pid

	for ((i = 1; i <= ROUNDS; i++)); do
		drop_topo
		FAMILIES='4 6' topo_pair || return
		[ "$how" != discovery ] || { ctl m param set discovery 1 && ctl c param set discovery 1; } || return
		introduce m "${ADDR[m.eth0.4]}" c "${ADDR[c.eth0.4]}" && introduce m "${ADDR[m.eth0.6]}" c "${ADDR[c.eth0.6]}" || return
		start c ping -q -i 0.02 "${ADDR[m.eth0.4]}" >/dev/null 2>&1
		start c ping -q -i 0.02 "${ADDR[m.eth0.6]}" >/dev/null 2>&1
		start m ping -q -i 0.02 "${ADDR[c.eth0.4]}" >/dev/null 2>&1
		pid=$BG
		must "round $i: flows" slowwait 5 figure_at_least c flows 2 || return
		if [ "$how" = translated ]; then
			new=${ADDR[m.eth0.6]}0
			address m eth0 6 "$new" "${ADDR[m.eth0.6]}" && moved m c "$new" || return
			must "round $i: translation" slowwait 5 figure_at_least c in-translated 2 || return
		fi
		stop_process "$pid" KILL
		ip netns del "${NS[m]}" || { fail "round $i: cannot delete m" || return; }
		unset "NS[m]"
		# c goes on sending to nobody, and is deleted during that.
		end_all "${NS[c]}"
		ip netns del "${NS[c]}"
		unset "NS[c]"
	done
	# The module can be unloaded only when it has freed all namespaces.
	drop_topo
	must "the module can be unloaded" slowwait 10 module_unload || return
	module_load
}

with_agent() {
	local i

	for ((i = 1; i <= ROUNDS / 4; i++)); do
		drop_topo
		FAMILIES=4 topo_pair && agent_start m c && serve c 4 tcp:5000 || return
		traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=100000 ping,interval=0.02 || return
		must "round $i: up" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}" || return
		must "round $i: goes on" goes_on m 2 || return
		cleanup_ns "$m"
		must "round $i: c lives" quiet ctl c stats show || return
	done
}

# let_go KNOWN KIND...: Checks that closed sockets of these kinds that have sent to c keep no namespace alive. With "known", c is a host.
let_go() {
	FAMILIES='4 6' topo_pair && quiet in_ns m sysctl -w net.ipv4.ping_group_range='0 0' || return
	[ "$1" != known ] || introduce m "${ADDR[m.eth0.4]}" c "${ADDR[c.eth0.4]}" || return
	[ "$1" != known ] || introduce m "${ADDR[m.eth0.6]}" c "${ADDR[c.eth0.6]}" || return
	in_ns m python3 - "${ADDR[c.eth0.4]}" "${ADDR[c.eth0.6]}" "${@:2}" <<-'END' || fail "the sockets" || return
		import socket, sys
		four, six, *kinds = sys.argv[1:]
		numbers = {"udp": (socket.SOCK_DGRAM, 0, 0), "raw": (socket.SOCK_RAW, 253, 253), "sctp": (socket.SOCK_STREAM, 132, 132),
		           "ping": (socket.SOCK_DGRAM, socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6)}
		for kind in kinds:
		    way, *protocols = numbers[kind]
		    for family, protocol, there in zip((socket.AF_INET, socket.AF_INET6), protocols, (four, six)):
		        for _ in range(5):
		            with socket.socket(family, way, protocol) as sock:
		                try:
		                    sock.connect((there, 0 if kind in ("raw", "ping") else 5000))
		                    sock.send(bytes([8 if family == socket.AF_INET else 128]) + bytes(63))
		                except ConnectionRefusedError:
		                    pass
	END
	[ "$1" != known ] || at_least "flows" 2 "$(figure m flows-made)" || return
	end_all "${NS[m]}"
	ip netns del "${NS[m]}" && unset "NS[m]"
	# Deleting the namespace removes the other end of the veth pair.
	must "the namespace goes" slowwait 30 not quiet ipn s link show dev m0
}

run_case "hosts, policies, parameters and counters are the namespace's own" isolated
run_case "events are the namespace's own" events
run_case "deleted under traffic, $ROUNDS times" deleted plain
run_case "deleted under traffic that is translated, $ROUNDS times" deleted translated
run_case "deleted under traffic with discovery, $ROUNDS times" deleted discovery
for kind in udp raw ping sctp; do
	run_case "control without hosts: closed sockets of $kind keep no namespace" let_go unknown $kind
	run_case "closed sockets of $kind keep no namespace" let_go known $kind
done
run_case "deleted with agent and connections, $((ROUNDS / 4)) times" with_agent
suite_end
