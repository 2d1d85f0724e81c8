#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests a NAT with an agent: r2 of the testbed masquerades, its agent marks the messages that pass and tells c the ports, and connections
# move into its network and out of it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"

# stage FAMILY: Builds the testbed with a NAT that has an agent, and agents on m and c.
stage() {
	local family=$1

	METRIC=100
	FAMILIES=$family topo_testbed delay 10ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} P=${ADDR[m.wifi0.$family]} N=${ADDR[r2.wan.$family]}
	masquerade r2 && silent r2 && nat_agent r2 && agent_start m c && listen_at c
}

# listen_at HOST: Captures all messages on the host's link, in $TMP/seen.
listen_at() {
	start "$1" python3 "$SELFTESTS/attacker.py" sniff eth0 "$TMP/seen" >"$TMP/sniff.log" 2>&1
	must "somebody listens" slowwait 20 has_line "$TMP/sniff.log" '^ready'
}

# flows: Starts all kinds of traffic between m and c, and waits until both know each other.
flows() {
	local family=$1

	serve c "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic m "$family" "$C" tcp:5000,rate=50000 udpc:5001 udpu:5002 ping || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "flows at m" slowwait 10 figure_at_least m flows 4 || return
	must "flows at c" slowwait 10 figure_at_least c flows 3 || return
	capture c eth0 tcp
}

# inside KIND: m goes behind the NAT by a soft or a hard move. outside KIND: m comes out again. The new network has the better route each
# time.
inside() {
	if [ "$1" = soft ]; then
		better wifi0 && must "c uses the NAT" slowwait 10 path_is c "$M" - "$N" &&
			must "goes on with both" goes_on m && leave m eth0
	else
		leave m eth0 && better wifi0
	fi && must "c sends to the NAT" slowwait 15 path_is c "$M" - "$N"
}

outside() {
	if [ "$1" = soft ]; then
		better eth0 && must "c uses the first address" slowwait 10 path_is c "$M" - "$M" &&
			must "goes on with both" goes_on m && leave m wifi0
	else
		leave m wifi0 && better eth0
	fi && must "c sends to the first address" slowwait 15 path_is c "$M" - "$M"
}

better() {
	METRIC=$((METRIC - 10))
	join m "$1" "$METRIC"
}

# memory PRIVATE: Prints the mappings in the NAT's conntrack as sorted lines "PROTO NAT_PORT PORT PEER_PORT"; echoes have no peer's port.
memory() {
	local proto ipv=ipv4

	[[ $N != *:* ]] || ipv=ipv6
	for proto in tcp udp icmp icmpv6; do
		in_ns r2 conntrack -L -f "$ipv" -p "$proto" 2>/dev/null
	done | sed -nE "s/^(\w+) .* src=$1 dst=$C (sport=([0-9]+) dport=([0-9]+)|type=[0-9]+ code=0 id=([0-9]+)).* src=$C dst=$N (sport=[0-9]+ dport=([0-9]+)|type=[0-9]+ code=0 id=([0-9]+)).*/\1 \7\8 \3\5 \4/p" |
		sed -E 's/ $/ 0/; s/^tcp/6/; s/^udp/17/; s/^icmpv6/58/; s/^icmp/1/' | grep -v ' 61453$' | sort
}

# told PRIVATE: Prints the same from the last NAT_ENTRY that the NAT has sent for each flow.
told() {
	python3 "$SELFTESTS/entries.py" list "$TMP/seen" | awk -v nat="$N" -v host="$1" '
		$1 == nat && $2 == host {
			flow = $3 " " $5 " " $6; name = $3 " " $4 " " $5 " " $6
			if ($7 > 0) last[flow] = name
			else if (last[flow] == name) delete last[flow]
		}
		END { for (flow in last) print last[flow] }' | sort
}

all_told() {
	local there said

	there=$(memory "$1") said=$(told "$1")
	if [ -z "$there" ] || [ "$there" != "$said" ]; then
		echo "has: $there, said: $said" >"$TMP/differs"
		return 1
	fi
}

# plain_from ADDRESS: Prints messages from this address that do not have the NAT's mark.
plain_from() {
	python3 "$SELFTESTS/entries.py" flags "$TMP/seen" "$1" | cut -d' ' -f2
}

marked_from() {
	python3 "$SELFTESTS/entries.py" flags "$TMP/seen" "$1" | cut -d' ' -f1
}

# Checks which messages the NAT's agent sends, and which it marks.
on_the_wire() {
	local family=$1 M C P N

	stage "$family" && flows "$family" || return
	equal "nothing is marked on the other way" 0 "$(marked_from "$M")"
	join m wifi0 50 && leave m eth0 || return
	must "the NAT knows who is behind it" slowwait 10 has_line "$TMP/ihmpd.r2.log" "event=behind addr=$P nat=$N peer=$C" || return
	must "c hears of what the NAT has" slowwait 10 all_told "$P" || fail "$(tr '\n' ';' <"$TMP/differs")" || return
	at_least "marked messages" 1 "$(marked_from "$N")"
	equal "messages without the mark" 0 "$(plain_from "$N")"
	check "the ports are the NAT's own" test -z "$(told "$P" | awk '$1 == 6 && $2 == $3')"
	equal "wrong checksums at c" 0 "$(csum_errors c)"
	traffic_end m
	must "what is gone is told" slowwait 10 none_told "$P" || return
}

# none_told PRIVATE: Deletes the connections in the NAT's conntrack. Has the NAT announced that none is left? The last packet of a
# connection can make an entry again, hence the repetition.
none_told() {
	in_ns r2 conntrack -D -s "$1" >/dev/null 2>&1
	[ -z "$(told "$1")" ]
}

# Checks a stream, datagrams in both directions, and a ping: they go behind the NAT, out, and in again.
all_kinds() {
	local family=$1 kind=$2 M C P N DOWN LAST

	stage "$family" && flows "$family" || return
	DOWN=$EPOCHREALTIME
	inside "$kind" || return
	must "goes on behind the NAT" goes_on m 20 || return
	must "c knows what the NAT has" slowwait 10 all_told "$P" || fail "$(tr '\n' ';' <"$TMP/differs")" || return
	check "c knows the mappings" test "$(figure c nats)" -ge 3
	equal "flows at c" 3 "$(figure c flows)"
	outside "$kind" || return
	must "goes on outside" goes_on m 20 || return
	inside "$kind" || return
	must "goes on inside again" goes_on m 20 || return
	outside "$kind" || return
	LAST=$EPOCHREALTIME
	must "and outside at the end" goes_on m || return
	traffic_end m && serve_end c || return
	capture_end c eth0
	# The first packets by the NAT may arrive before c knows it; m ignores the resets that c answers with.
	note "  $CASE: resets on the wire $(captured c eth0 'Flags \[[^]]*R')"
	# Packets are lost that arrive before their mapping does, so each move is judged as a hard one.
	ALSO=$N judge_ok m c hard "$DOWN" "$LAST" 3000 "$C"
	equal "wrong checksums" "0 0" "$(csum_errors m) $(csum_errors c)"
	equal "hosts" "1 1" "$(figure m hosts) $(figure c hosts)"
}

# Checks that the NAT announces a connection when it begins behind the NAT, and that it goes on outside.
begun_inside() {
	local family=$1 M C P N

	stage "$family" && leave m eth0 && join m wifi0 50 || return
	serve c "$family" tcp:5000 udpc:5001 || return
	traffic m "$family" "$C" tcp:5000,rate=50000 udpc:5001 || return
	must "m knows c" slowwait 10 host_up m "$C" || return
	must "c is told" slowwait 10 all_told "$P" || fail "$(tr '\n' ';' <"$TMP/differs")" || return
	must "flows at c" slowwait 10 figure_at_least c flows 2 || return
	outside hard || return
	must "goes on outside" goes_on m 20 || return
	inside hard || return
	must "and inside again" goes_on m 20 || return
	traffic_end m && serve_end c && unharmed m c
}

# Checks two hosts behind one address that use the same ports: each keeps its own flows.
two_hosts() {
	local family=$1 M C P N D NEW_D

	stage "$family" && second "$family" 10ms && agent_start d && serve c "$family" tcp:5000 udpu:5001 || return
	traffic m "$family" "$C" "tcp:5000,rate=50000,bind=$M,sport=7000" "udpu:5001,bind=$M,sport=7001" || return
	traffic d "$family" "$C" "tcp:5000,rate=50000,bind=$D,sport=7000" "udpu:5001,bind=$D,sport=7001" || return
	must "m and c" hosts_up m "$C" c "$M" && must "d and c" hosts_up d "$C" c "$D" || return
	must "flows" slowwait 10 figure_at_least c flows 4 || return
	leave m eth0 && join m wifi0 50 && leave d eth0 && join d wifi0 50 || return
	must "m goes on" goes_on m 20 30 && must "d goes on" goes_on d 20 30 || return
	must "c is told of m" slowwait 10 all_told "$P" && must "c is told of d" slowwait 10 all_told "$NEW_D" || return
	check "c sends m's to the NAT" path_is c "$M" - "$N"
	check "and d's" path_is c "$D" - "$N"
	leave m wifi0 && join m eth0 20 || return
	must "m goes on outside" goes_on m 20 && must "d goes on inside" goes_on d 20 || return
	leave d wifi0 && join d eth0 20 || return
	must "d goes on outside" goes_on d 20 || return
	traffic_end m && traffic_end d && serve_end c && unharmed m c && unharmed d c
}

# Checks that the NAT's agent can be killed during a transfer: its entries stay valid, and after its restart it sends them again.
killed() {
	local family=$1 M C P N

	stage "$family" && flows "$family" || return
	inside hard || return
	must "goes on behind the NAT" goes_on m 20 || return
	must "c knows what the NAT has" slowwait 10 all_told "$P" || fail "$(tr '\n' ';' <"$TMP/differs")" || return
	agent_stop r2 KILL
	check "the queue went with it" not quiet in_ns r2 nft list table inet ihmp_router
	must "goes on without the agent" goes_on m 20 || return
	agent_start r2 || return
	must "goes on with the new one" goes_on m 20 || return
	must "it finds out who is behind it" slowwait 30 has_line "$TMP/ihmpd.r2.log" "event=behind addr=$P nat=$N peer=$C" || return
	must "and is believed" slowwait 10 has_line "$TMP/ihmpd.r2.log" "event=acked control=nat-entry " || return
	outside hard || return
	must "goes on outside" goes_on m 20 || return
	inside hard || return
	must "and inside again" goes_on m 20 || return
	traffic_end m
}

refusals() {
	ihmpctl --state "$TMP/state.$1" -j agent show | jq .refused
}

# forged FAMILY: Checks that c refuses NAT_ENTRYs that are forged on the NAT itself and elsewhere.
forged() {
	local family=$1 M C P N before after kind count total=0 nats from in

	stage "$family" && flows "$family" || return
	inside hard || return
	must "goes on behind the NAT" goes_on m 20 || return
	must "c knows what the NAT has" slowwait 10 all_told "$P" || fail "$(tr '\n' ';' <"$TMP/differs")" || return
	before=$(refusals c)
	nats=$(ctl c -j nat show | jq -Sc '[.[] | del(."expires-in")] | sort')
	for in in r1 r2; do
		from=${ADDR[$in.wan.$family]}
		in_ns "$in" python3 "$SELFTESTS/entries.py" forge "$TMP/seen" "$from" "$C" "$N" >"$TMP/forge.$in" || fail "no forger" || return
		at_least "kinds" 5 "$(wc -l <"$TMP/forge.$in")"
		while read -r kind count; do
			total=$((total + count))
		done <"$TMP/forge.$in"
	done
	must "all are refused" slowwait 10 refused_since "$before" "$total" || return
	after=$(refusals c)
	equal "and counted" "$total" $((after - before))
	equal "the mappings are as before" "$nats" "$(ctl c -j nat show | jq -Sc '[.[] | del(."expires-in")] | sort')"
	note "  refused: $(ihmpctl --state "$TMP/state.c" -j agent show | jq -c '[.refusals[]? | {(.reason): .messages}] | add')"
	must "goes on" goes_on m 20 || return
	traffic_end m
}

refused_since() {
	[ $(($(refusals c) - $1)) -ge "$2" ]
}

# Checks the figures of the NAT's agent, its configuration, and that it leaves nothing behind.
told_what() {
	local M C P N

	stage 4 && flows 4 || return
	join m wifi0 50 && leave m eth0 || return
	must "c hears of what the NAT has" slowwait 10 all_told "$P" || fail "$(tr '\n' ';' <"$TMP/differs")" || return
	check "figures" slowwait 10 quiet sh -c "ihmpctl --state '$TMP/state.r2' -j agent show |
		jq -e '.mode == \"router\" and .[\"nat-pairs\"] == 1 and .[\"nat-mappings\"] >= 3 and .bound == 1'"
	check "two chains" sh -c "nsenter --net='/run/netns/${NS[r2]}' nft list table inet ihmp_router | grep -c 'chain' | grep -qx 2"
	# A router that has nothing to do is a wrong configuration.
	printf '[router]\n' >"$TMP/bad.toml"
	check "needs something to do" sh -c "ihmpd --router --config '$TMP/bad.toml' --check 2>&1 | grep -q inside"
	agent_stop r2
	check "no table is left" not quiet in_ns r2 nft list table inet ihmp_router
	sysctl_in r2 net.netfilter.nf_conntrack_events=0
	agent_start r2 || return
	check "it says that the kernel is silent" has_line "$TMP/ihmpd.r2.log" event=no-conntrack-events
	traffic_end m
}

for family in 4 6; do
	run_case "IPv$family: what a NAT with an agent says" on_the_wire $family
	run_case "IPv$family: all kinds of traffic go on behind a NAT and outside, hard" all_kinds $family hard
	run_case "IPv$family: all kinds of traffic go on behind a NAT and outside, soft" all_kinds $family soft
	run_case "IPv$family: a connection that began behind the NAT goes on outside" begun_inside $family
	run_case "IPv$family: two hosts behind one address, from the same ports" two_hosts $family
	run_case "IPv$family: the NAT's agent is killed" killed $family
	run_case "IPv$family: forged words of a NAT" forged $family
done
run_case "what the NAT's agent says of itself" told_what
suite_end
