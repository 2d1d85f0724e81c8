#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# An attacker on the link sees all messages and sends others. Tests that none of these is accepted, that all are counted, and that
# connections go on. Tests as well keys on disk, their rotation, listed keys, and an address that another host gets.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/onlink.sh"

# stage FAMILY: Builds two hosts and, on the same link, the attacker x, who sees everything; starts traffic; m moves and comes back.
stage() {
	local family=$1 port

	FAMILIES=$family topo_pair delay 5ms && setup_ns x && plug s x0 x eth0 || return
	ADDR[x.eth0.$family]=${MALLORY[$family]}
	join x eth0 || return
	# A switch that does not learn sends every frame to every port.
	for port in m0 m1 c0 x0; do
		ipn s link set "$port" type bridge_slave learning off flood on fdb_flush || return
	done
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	SEEN=$TMP/seen
	sniff || return
	agent_start m c && serve c "$family" tcp:5000 udpc:5001 || return
	traffic m "$family" "$C" tcp:5000,rate=20000 udpc:5001 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "flows" slowwait 10 figure_at_least m flows 2 || return
	move eth0 wifi0 "$NEW" && move wifi0 eth0 "$M" || return
	must "messages are seen" at_least_lines 8 "$SEEN"
}

# refused NAME: Prints how many messages the host's agent has refused; the agent logs that on SIGUSR1.
refused() {
	local log=$TMP/ihmpd.$1.log before

	before=$(grep -c 'event=refused-sum' "$log")
	kill -USR1 "${AGENT[$1]}"
	slowwait 10 sums_beyond "$log" "$before" || return
	sed -n 's/.*event=refused-sum count=//p' "$log" | tail -n 1
}

sums_beyond() {
	[ "$(grep -c 'event=refused-sum' "$1")" -gt "$2" ]
}

# hosts_of NAME: Prints the host table without counters.
hosts_of() {
	ctl "$1" -j host show | jq -cS '[.[] | {id, state, local, remote, addr: (.addr | sort_by(.set, .address))}] | sort_by(.id)'
}

counted() {
	[ $(($(refused "$1") - $2)) -ge "$3" ]
}

# attack KIND VICTIM HOST_ADDRESS VICTIM_ADDRESS: Checks that nothing changes, and that as many messages are refused as were sent.
attack() {
	local kind=$1 victim=$2 before rows_m rows_c sent

	before=$(refused "$victim")
	rows_m=$(hosts_of m) rows_c=$(hosts_of c)
	sent=$(in_ns x python3 "$SELFTESTS/attacker.py" "$kind" eth0 "$TMP/copy" "$3" "$FORGER" "$4" "$4" --mac "$(mac_of "$victim")") ||
		fail "the attacker fails" || return
	at_least "$kind: messages" 4 "$sent"
	must "$kind at $victim: all of $sent are counted" slowwait 20 counted "$victim" "$before" "$sent" || return
	equal "$kind at $victim: refused" "$sent" $(($(refused "$victim") - before))
	equal "$kind at $victim: hosts of m" "$rows_m" "$(hosts_of m)"
	equal "$kind at $victim: hosts of c" "$rows_c" "$(hosts_of c)"
	must "traffic goes on" goes_on m
}

mac_of() {
	ipn "$1" -j link show eth0 | jq -r '.[0].address'
}

# attacks FAMILY KIND...: Makes the attacks on both ends.
attacks() {
	local family=$1 M C NEW SEEN FORGER=${MALLORY[$1]} kind
	shift

	stage "$family" || return
	cp "$SEEN" "$TMP/copy"
	for kind in "$@"; do
		attack "$kind" c "$M" "$C" && attack "$kind" m "$C" "$M" || return
	done
	# Real messages are still accepted.
	move eth0 wifi0 "$NEW" || return
	equal "hosts at c" 1 "$(figure c hosts)"
	# Both interfaces are on one link, so data uses the new one only when the old address is gone.
	traffic_end m && serve_end c && ALLOW=5 judge_ok m c soft 0 0 1000 "$C"
}

# restarted FAMILY: Checks that messages from before the agent was killed are refused after its restart.
restarted() {
	local family=$1 M C NEW SEEN FORGER=${MALLORY[$1]}

	stage "$family" || return
	cp "$SEEN" "$TMP/copy"
	agent_stop c KILL
	agent_start c || return
	must "greeted" slowwait 10 has_line "$TMP/ihmpd.c.log" 'event=acked control=hello' || return
	attack replay c "$M" "$C" || return
	move eth0 wifi0 "$NEW"
}

# reused FAMILY: m disappears, and x gets its address. Checks that x gets an entry of its own and nothing of m's.
reused() {
	local family=$1 M C NEW SEEN old

	stage "$family" || return
	old=$(host_json c "$M" | jq .id)
	traffic_end m
	agent_stop m KILL
	ipn m link set eth0 down || return
	ipn x addr flush dev eth0 scope global || return
	ADDR[x.eth0.$family]=$M
	join x eth0 || return
	# The neighbours have to learn the new link address.
	ipn c neigh flush dev eth0
	agent_start x || return
	# A flow that begins before c has noticed belongs to the old entry.
	in_ns x bash -c "echo >/dev/udp/$C/5001" || return
	must "x has an entry" slowwait 20 host_is c "$M" ".state == \"up\" and .id != $old" || return
	must "the other one has no address left" host_is c "$old" '[.addr[] | select(.set == "active")] == [] and .remote == null' || return
	must "x and c know each other" hosts_up x "$C" c "$M" || return
	traffic x "$family" "$C" tcp:5000,rate=20000 || return
	must "traffic of x" goes_on x || return
	traffic_end x
}

keys_on_disk() {
	local M C NEW SEEN own peer

	stage 4 || return
	equal "mode of the folder" 700 "$(stat -c %a "$TMP/state.m")"
	equal "mode of the key" 600 "$(stat -c %a "$TMP/state.m/own/default")"
	own=$(ihmpctl --state "$TMP/state.m" -j key | jq -r '.[] | select(.kind == "own") | .fingerprint')
	peer=$(ihmpctl --state "$TMP/state.c" -j key | jq -r '.[] | select(.kind == "peer") | .fingerprint')
	equal "c knows the key of m" "$own" "$peer"
	check "and where it is" sh -c "ihmpctl --state '$TMP/state.c' key | grep -q 'peer seen .* last $M'"
	check "the private key is in no log" not grep -qF "$(sed -n 's/^seed //p' "$TMP/state.m/own/default")" "$TMP/ihmpd.m.log"
}

# rotated: m gets a new key. Checks that c accepts it, because the old key has signed it, and that connections go on.
rotated() {
	local M C NEW SEEN new

	stage 4 || return
	new=$(ihmpctl --state "$TMP/state.m" key rotate) || return
	must "c is told" slowwait 10 has_line "$TMP/ihmpd.c.log" "event=succeeded .* key=$new" || return
	move eth0 wifi0 "$NEW" || return
	agent_stop c KILL
	agent_start c || return
	move wifi0 eth0 "$M" || return
	equal "hosts at c" 1 "$(figure c hosts)"
}

# listed: Checks that with require-known only keys that were added are accepted.
listed() {
	local M C key

	FAMILIES=4 topo_pair || return
	M=${ADDR[m.eth0.4]} C=${ADDR[c.eth0.4]}
	printf '[security]\nmode = "require-known"\n' >"$TMP/ihmpd.c.toml"
	defer rm -f "$TMP/ihmpd.c.toml"
	agent_start m c && serve c 4 tcp:5000 && traffic m 4 "$C" tcp:5000,rate=20000 || return
	must "m is not believed" slowwait 10 has_line "$TMP/ihmpd.c.log" 'event=refused reason=unknown-key' || return
	check "no entry that takes part" not host_up c "$M"
	key=$(ihmpctl --state "$TMP/state.m" -j key | jq -r '.[0].key')
	ihmpctl --state "$TMP/state.c" key add "$key" name m || return
	ctl m host flush && ctl c host flush || return
	must "after key add it is" hosts_up m "$C" c "$M" || return
	must "traffic" goes_on m || return
	traffic_end m
}

for family in 4 6; do
	run_case "IPv$family: replayed, changed and re-stamped messages" attacks $family replay modify restamp
	run_case "IPv$family: re-addressed and reflected messages" attacks $family readdress reflect
	run_case "IPv$family: unsigned and badly signed messages, a flood of greetings" attacks $family unsigned named flood
	run_case "IPv$family: messages from before a restart" restarted $family
	run_case "IPv$family: an address that another host gets" reused $family
done
run_case "keys on disk" keys_on_disk
run_case "a new key" rotated
run_case "listed keys only" listed
suite_end
