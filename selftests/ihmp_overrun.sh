#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests how large the receive buffers of the agent's netlink sockets are, and what it does when messages overrun them.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"

# net.core.rmem_max of Linux before 6.18; later kernels have more.
SMALL=212992

# sockets NAME FILTER: Prints what the jq filter gives for the netlink sockets of the host's agent.
sockets() {
	"$SELFTESTS/overrun.py" sockets "${AGENT[$1]}" | jq "$2"
}

# router: Builds the testbed and starts an agent on r2 in router mode, with the NAT.
router() {
	FAMILIES=4 topo_testbed && nat_agent r2
}

# small_buffers: Lowers net.core.rmem_max, so that only who may force it gets a larger receive buffer.
small_buffers() {
	defer sysctl -q net.core.rmem_max="$(sysctl -n net.core.rmem_max)"
	sysctl -q net.core.rmem_max="$SMALL" || return
	equal "octets that others get" $((2 * SMALL)) "$("$SELFTESTS/overrun.py" allowed)"
}

# buffers: Checks that sockets which listen have the buffer that they ask for, which the kernel doubles, whatever rmem_max is.
buffers() {
	small_buffers && router && agent_start m || return
	equal "the module's events" 1 "$(sockets m '[.[] | select(.protocol == "generic" and .buffer == 2 * 1048576)] | length')"
	equal "monitors of rtnetlink" 2 "$(sockets m '[.[] | select(.protocol == "route" and .buffer == 2 * 1048576)] | length')"
	equal "a router's" 1 "$(sockets r2 '[.[] | select(.protocol == "route" and .buffer == 2 * 1048576)] | length')"
	equal "its packet queue" 1 "$(sockets r2 '[.[] | select(.protocol == "netfilter" and .buffer == 8 * 1048576)] | length')"
}

# module_events: Stops the agent while more events come than there is room for, and then a flow begins. Checks that the agent reads the table
# again.
module_events() {
	local id

	FAMILIES=4 topo_pair && agent_start m c || return
	id=$(ctl m host add name busy remote 10.9.9.9 local 192.0.2.1) || return
	kill -STOP "${AGENT[m]}"
	in_ns m "$SELFTESTS/overrun.py" changes "$id" 10.9.9.9 10000 || fail "the host is not changed" || return
	at_least "events that were lost" 1 "$(sockets m 'map(select(.protocol == "generic") | .drops) | max')"
	serve c 4 udpc:5001 && traffic m 4 "${ADDR[c.eth0.4]}" udpc:5001 || return
	must "the module knows c" slowwait 10 host_is m "${ADDR[c.eth0.4]}" '.state == "new"' || return
	kill -CONT "${AGENT[m]}"
	must "the agent says so" slowwait 10 has_line "$TMP/ihmpd.m.log" 'event=overrun source=module' || return
	must "and greets c" host_up_soon m "${ADDR[c.eth0.4]}" || return
	equal "the other host stays" 1 "$(ctl m -j host show | jq '[.[] | select(.name == "busy")] | length')"
}

host_up_soon() {
	slowwait 10 host_up "$1" "$2"
}

# rtnetlink: Checks that the agent reads addresses and routes again after it has lost messages.
rtnetlink() {
	local i

	FAMILIES=4 topo_testbed && agent_start m c || return
	serve c 4 udpc:5001 && traffic m 4 "${ADDR[c.eth0.4]}" udpc:5001 || return
	must "both hosts know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}" || return
	kill -STOP "${AGENT[m]}"
	for ((i = 0; i < 4000; i++)); do
		echo "addr add 192.0.2.77/24 dev eth0"
		echo "addr del 192.0.2.77/24 dev eth0"
	done | batch m || return
	join m wifi0 50 || return
	at_least "messages that were lost" 1 "$(sockets m 'map(select(.protocol == "route") | .drops) | max')"
	kill -CONT "${AGENT[m]}"
	must "the agent says so" slowwait 10 has_line "$TMP/ihmpd.m.log" 'event=overrun source=rtnetlink' || return
	must "c hears of the new address" slowwait 10 host_is c "${ADDR[m.eth0.4]}" \
		"any(.addr[]; .address == \"${ADDR[m.wifi0.4]}\" and .set == \"active\")" || return
	must "traffic goes on" goes_on m
}

# queue: Sends more datagrams through a router than the packet queue holds, while the agent is stopped. Checks that the others go on at once,
# and those in the queue as soon as the agent runs.
queue() {
	local total=3000

	small_buffers && router && leave m eth0 && join m wifi0 || return
	start c "$SELFTESTS/overrun.py" count 61453 >"$TMP/count"
	must "somebody counts" slowwait 20 has_line "$TMP/count" '^ready' || return
	kill -STOP "${AGENT[r2]}"
	in_ns m "$SELFTESTS/overrun.py" datagrams "${ADDR[m.wifi0.4]}" "${ADDR[c.eth0.4]}" 61453 "$total" || return
	must "those that do not wait" slowwait 10 count_is $((total - 1024)) || return
	kill -CONT "${AGENT[r2]}"
	must "the rest" slowwait 10 count_is "$total"
}

# nat_events: Makes more connections at r2 than there is room for, while its agent is stopped. Checks that the agent reads the connection
# tracking table again.
nat_events() {
	local M C N

	router && masquerade r2 && silent r2 && agent_start m c || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]} N=${ADDR[r2.wan.4]}
	serve c 4 tcp:5000 udpc:5001 && traffic m 4 "$C" tcp:5000,rate=50000 udpc:5001 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	join m wifi0 50 && must "c sends to the NAT" slowwait 15 path_is c "$M" - "$N" || return
	kill -STOP "${AGENT[r2]}"
	in_ns r2 "$SELFTESTS/overrun.py" ports "${ADDR[r2.lan.4]}" "$C" 10000 || return
	at_least "events that were lost" 1 "$(sockets r2 'map(select(.protocol == "netfilter") | .drops) | max')"
	# m leaves its first network meanwhile, and its connections have to use the NAT.
	leave m eth0
	kill -CONT "${AGENT[r2]}"
	must "the agent says so" slowwait 10 has_line "$TMP/ihmpd.r2.log" 'event=overrun source=conntrack' || return
	must "connections go on" goes_on m
}

count_is() {
	[ "$(tail -n 1 "$TMP/count")" = "$1" ]
}

run_case "receive buffers are forced" buffers
run_case "events of the module are lost" module_events
run_case "messages of rtnetlink are lost" rtnetlink
run_case "more datagrams than wait for a router" queue
run_case "events of connection tracking are lost" nat_events
suite_end
