#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests a move of a host with very many peers. The host tells one after the other, at the pace that ihmp-wire.rst gives, and all of them
# know in the end. The peers are engines in one program; all else is real.
#
# The figures of ihmp.json are left in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

PEERS=${PEERS:-10000}
# HELLOs a second, which is fewer than an agent can take.
RATE=150
# The pace of announcements: BURST at once, and then PER_SECOND.
BURST=200 PER_SECOND=2000
RTT_MS=40

# peers FIGURE: Prints a figure that the program with the peers has written.
peers() {
	sed -n "s/^$1 //p" "$TMP/peers" 2>/dev/null
}

peers_are() {
	[ "$(peers "$1")" = "$2" ]
}

hub() {
	local what="a move with $PEERS peers" M C NEW port up took limit most

	[ "$TRAVEL" = 1 ] || { skip "all peers and the host share a processor, and their signatures take its time here" && return; }
	FAMILIES=4 topo_pair delay $((RTT_MS / 2))ms || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]} NEW=${ADDR[m.wifi0.4]}
	# Peers that are told at the same time answer at the same time, so the queues need room.
	for port in m0 m1 c0; do
		netem s "$port" delay $((RTT_MS / 2))ms limit 100000 || return
	done
	ipn c route add local 10.0.0.0/8 dev lo && ipn m route add 10.0.0.0/8 via "$C" dev eth0 || return
	# Two hundred packets at once are more than the queue for an unresolved neighbour holds.
	acquaint m wifi0 c eth0 || return
	# With HOSTS empty, a failure does not print all of these hosts.
	HOSTS=
	IHMPD_LOG=info agent_start m || return
	start c ihmp-peers "$M" "$TMP/peers" --count "$PEERS" --rate "$RATE" >"$TMP/peers.log" 2>&1
	must "all know the hub" slowwait $((PEERS / RATE + 30)) peers_are known "$PEERS" || { note "$(peers known)" && return 1; }
	equal "hosts of the hub" "$PEERS" "$(figure m hosts)" || return
	capture m wifi0 -B 16384 "udp port 61453 and src host $NEW and udp[8] == 6" || return
	ipn m addr flush dev eth0 scope global || return
	batch m <<-END || return
		link set wifi0 up
		addr add $NEW/24 dev wifi0
		route add 10.0.0.0/8 via $C dev wifi0
	END
	up=$(now_ms)
	limit=$(((PEERS - BURST) * 1000 / PER_SECOND + 2 * RTT_MS + SLACK_MS))
	must "all know where it is" slowwait 120 peers_are moved "$PEERS" || { note "$(peers moved)" && return 1; }
	# The peers write their figures ten times a second, so up to 100 ms may be added.
	took=$(($(now_ms) - up))
	at_most "ms until all know" $((limit + 200)) "$took"
	equal "they know it still" "$PEERS" "$(peers known)"
	capture_end m wifi0
	equal "announcements" "$PEERS" "$(captured m wifi0 61453)"
	most=$(awk '{ sent[NR] = $1; while (sent[NR] - sent[first + 1] >= 1) first++; if (NR - first > most) most = NR - first } END { print most }' \
		"$TMP/cap.m.wifi0")
	note "$took ms until all know; $most announcements in a second at most"
	at_most "announcements in a second" $((PER_SECOND + BURST)) "$most"
	figure_of "$what" "until all know" "$took" ms
	figure_of "$what" "announcements" "$(captured m wifi0 61453)" 1
	figure_of "$what" "announcements in a second, at most" "$most" 1
	equal "hosts of the module" "$PEERS" "$(figure m hosts)"
	equal "of them at the new address" "$PEERS" "$(ctl m -j host show | jq --arg new "$NEW" '[.[] | select(.local == $new)] | length')"
}

run_case "a host with $PEERS peers moves" hub
suite_end
