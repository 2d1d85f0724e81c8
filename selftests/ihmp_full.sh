#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Fills the tables of the module and of the agent with as many hosts as they have room for. These hosts answer, each is in a network of its
# own, and each sends a datagram now and then. Tests that a new host is heard nevertheless, and that connections of other hosts go on.
#
# The hosts are engines in one program; all else is real. The suite takes minutes and is run by name only. The program needs more memory
# mappings than a process may have by default. In the uml guest this limit is the machine's; with too low a limit the program stalls
# after some 14,000 hosts.
#
#   sysctl vm.max_map_count=2000000
#   selftests/vm/run --kernel uml --mem 1900M --timeout 3000 selftests/ihmp_full.sh
#
# The figures of ihmp.json are left in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

PEERS=${PEERS:-65536}
# HELLOs a second, which is fewer than an agent can take, and the seconds between two datagrams of a peer.
RATE=190
EVERY=250

# peers FIGURE: Prints a figure that the program with the hosts has written.
peers() {
	sed -n "s/^$1 //p" "$TMP/peers" 2>/dev/null
}

# crowded: Prints how many hosts m has evicted for others.
crowded() {
	ihmpctl --state "$TMP/state.m" -j agent | jq .evicted
}

# The agent lists all hosts to answer, so it is asked only when the table is nearly full.
have_come() {
	local hosts

	hosts=$(figure m hosts)
	[ $((hosts * 16)) -ge $(($1 * 15)) ] && [ $((hosts + $(crowded))) -ge "$1" ]
}

# meets WHAT FROM TO: Opens a connection between hosts that do not know each other, waits until they do, and ends it. TOOK is the time.
meets() {
	local from=$2 to=$3 start

	start=$(now_ms)
	traffic "$from" 4 "${ADDR[$to.eth0.4]}" tcp:5000,rate=20000 || return
	must "$1" hosts_up "$from" "${ADDR[$to.eth0.4]}" "$to" "${ADDR[$from.eth0.4]}" || return
	TOOK=$(($(now_ms) - start))
}

full() {
	local what="a table of $PEERS hosts that answer" M C took

	[ "$TRAVEL" = 1 ] || { skip "all peers and the host share a processor, and their signatures take its time here" && return; }
	FAMILIES=4 topo_trio delay 5ms limit 100000 || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]}
	ipn c route add local 10.0.0.0/8 dev lo && ipn m route add 10.0.0.0/8 via "$C" dev eth0 || return
	ctl m param set max-hosts "$PEERS" && printf '[peers]\nmax = %s\n' "$PEERS" >"$TMP/ihmpd.m.toml" || return
	defer rm -f "$TMP/ihmpd.m.toml"
	HOSTS=
	agent_start m d && serve m 4 tcp:5000 && serve d 4 tcp:5000 || return
	# Control: the table is empty.
	meets "with an empty table, both know each other" d m || return
	took=$TOOK
	traffic_end d && ctl m host flush && ctl d host flush || return
	must "forgotten by m" slowwait 5 figure_is m hosts 0 && must "and by d" slowwait 5 figure_is d hosts 0 || return
	start m socat -u UDP4-RECV:9 /dev/null >/dev/null 2>&1
	start c ihmp-peers "$M" "$TMP/peers" --count "$PEERS" --rate "$RATE" --every "$EVERY" >"$TMP/peers.log" 2>&1
	POLL_MS=2000 must "all have come" slowwait $((PEERS / RATE + 60)) have_come "$PEERS" || {
		note "$(figure m hosts) hosts, $(crowded) given up; $(peers known) know the host; $(tail -n 3 "$TMP/peers.log")"
		return 1
	}
	note "$(figure m hosts) hosts, $(crowded) given up; $(peers known) know the host"
	figure_of "$what" "hosts when all have come" "$(figure m hosts)" 1
	meets "with a full table, a newcomer and the host know each other" d m || return
	note "$TOOK ms, and $took ms with an empty table"
	at_most "milliseconds, as with an empty table" $((took + SLACK_MS)) "$TOOK"
	figure_of "$what" "until a newcomer is known" "$TOOK" ms
	must "traffic goes on" goes_on d 20 && traffic_end d || return
}

run_case "a table full of hosts that answer" full
suite_end
