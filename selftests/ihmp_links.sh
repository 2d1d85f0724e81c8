#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests which devices and addresses the agent uses for which peer when there are several networks: a cable is pulled, a network does not
# work, an address is deprecated, or a tunnel exists beside them. Tests as well which rules and devices are the agent's own, and which are
# left to the administrator.
#
# The figures of ihmp.json are left in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

RTT_MS=120
# The median of the gaps and the longest of RUNS gaps may exceed a round trip by so many milliseconds.
MEDIAN_MS=50 LONGEST_MS=250
RUNS=${RUNS:-10}

# stage FAMILY [METRIC]: m has eth0 with metric 100, and with METRIC also wifi0. m and c know each other, and there is traffic.
stage() {
	local family=$1

	FAMILIES=$family topo_testbed delay $((RTT_MS / 2))ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	[ -z "${2:-}" ] || join m wifi0 "$2" || return
	begin "$family"
}

begin() {
	agent_start m c && serve c "$1" tcp:5000 udpc:5001 || return
	traffic m "$1" "$C" tcp:5000,rate=50000 udpc:5001,interval=0.005 || return
	must "both hosts know each other" hosts_up m "$C" c "$M"
}

finish() {
	traffic_end m && serve_end c
}

# local_is JQ: Is the jq filter true for the local addresses of this family in m's entry for c?
local_is() {
	host_is m "$C" "[.addr[] | select(.set == \"local\")] | $1"
}

# leaves_by ADDRESS DEVICE: Does m use the address for c, by this device? leaves_not ADDRESS: Does m not use it for c?
leaves_by() {
	local_is "any(.[]; .address == \"$1\" and .device == \"$2\")"
}

leaves_not() {
	local_is "all(.[]; .address != \"$1\" or .nat)"
}

# left_is ADDRESS...: Are exactly these addresses marked as left?
left_is() {
	local_is "[.[] | select(.left).address] | sort == ($(printf '%s\n' "$@" | jq -R . | jq -sc 'map(select(. != "")) | sort'))"
}

# ordinary ADDRESS: Prints the device by which the kernel routes packets from this address to c.
ordinary() {
	ipn m -j route get "$C" from "$1" | jq -r '.[0].dev'
}

no_carrier() {
	ipn m link show eth0 | grep -q NO-CARRIER
}

# silence FLOW: Prints the longest silence of the flow that ended after UP, in milliseconds.
silence() {
	jq -r --arg flow "$1" --argjson up "$UP" '[.flows[] | select(.name | startswith($flow)) | .silences[] |
		select(.[1] > $up) | (.[1] - .[0]) * 1000 | round] | max // 0' "$TMP/run.m.json"
}

# pulled FAMILY: Pulls the cable of the preferred network; no address or route is removed.
pulled() {
	local M C NEW UP i gaps=() family=$1

	for ((i = 0; i < RUNS; i++)); do
		stage "$family" 200 || return
		UP=$EPOCHREALTIME
		ipn r1 link set lan down
		must "m sees it" slowwait 5 no_carrier || return
		must "only the other one is left" slowwait 5 leaves_not "$M" || return
		# The routes still prefer the dead network, which must not matter.
		equal "the ordinary way of $NEW" eth0 "$(ordinary "$NEW")" || return
		check "by its own device" leaves_by "$NEW" wifi0
		must "c hears m from there" slowwait 5 path_is c "$M" "$C" "$NEW" || return
		must "traffic goes on" goes_on m || return
		finish && gaps+=("$(silence udpc)") || return
		drop_topo
		agents_stop m c
	done
	mapfile -t gaps < <(printf '%s\n' "${gaps[@]}" | sort -n)
	note "gaps: ${gaps[*]} ms"
	figure_of "IPv$family, a cable is pulled" gap_median "${gaps[RUNS / 2]}" ms
	figure_of "IPv$family, a cable is pulled" gap_longest "${gaps[RUNS - 1]}" ms
	at_most "median of the gaps" $((RTT_MS + MEDIAN_MS + (1 - TRAVEL) * SLACK_MS)) "${gaps[RUNS / 2]}"
	at_most "longest gap" $((RTT_MS + LONGEST_MS + (1 - TRAVEL) * SLACK_MS)) "${gaps[RUNS - 1]}"
}

# overtaken FAMILY: The same, but c's agent is slower than the data: c sends by the new path before it knows that the old one is gone.
# Packets in flight on the old path are lost. Checks that they are sent again as soon as c knows.
overtaken() {
	local M C NEW UP resumed family=$1

	stage "$family" && join m wifi0 200 || return
	must "c knows both" slowwait 10 host_is c "$M" "any(.addr[]; .address == \"$NEW\" and .set == \"active\")" || return
	kill -STOP "${AGENT[c]}" || return
	UP=$EPOCHREALTIME
	ipn r1 link set lan down
	POLL_MS=5 must "c hears m from there" slowwait 5 path_is c "$M" "$C" "$NEW"
	resumed=$EPOCHREALTIME
	kill -CONT "${AGENT[c]}"
	must "c knows" slowwait 5 host_is c "$NEW" "all(.addr[]; .address != \"$M\" or .set == \"alias\")" || return
	must "traffic goes on" goes_on m 20 && finish || return
	# Measured values were 60 to 187 ms, and 768 ms if sockets are not woken.
	at_most "ms until there are answers again" $((RTT_MS * 3 / 2 + MEDIAN_MS + (1 - TRAVEL) * SLACK_MS)) \
		"$(jq --argjson up "$UP" --argjson resumed "$resumed" '[.flows[] | select(.name == "tcp") | .silences[] | select(.[1] > $up)] |
			max_by(.[1] - .[0]) | (.[1] - $resumed) * 1000 | round' "$TMP/run.m.json")"
}

# service FAMILY: Checks that an address of no network, on a dummy device that the configuration names, is used over a device that works.
service() {
	local M C NEW family=$1 address=198.18.0.77 width=32 router=203.0.113.1

	[ "$family" = 4 ] || address=2001:db8:77::1 width=128 router=2001:db8:3::1
	FAMILIES=$family topo_testbed delay $((RTT_MS / 2))ms && join m wifi0 200 || return
	batch c <<<"route add $address via $router" && batch r1 <<<"route add $address via ${ADDR[m.eth0.$family]}" || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	dad "$family"
	batch m <<-END || return
		link add lan7 type dummy
		link set lan7 up
		addr add $address/$width dev lan7 $DAD
	END
	begin "$family" && serve c@service "$family" tcp:5002 || return
	traffic m@service "$family" "$C" "tcp:5002,rate=50000,bind=$address" || return
	must "it leaves by the preferred device" slowwait 10 leaves_by "$address" eth0 || return
	ipn r1 link set lan down
	must "it leaves by the one that works" slowwait 5 leaves_by "$address" wifi0 || return
	equal "the ordinary way" eth0 "$(ordinary "$address")"
	must "what has left goes on" goes_on m || return
	ipn r1 link set lan up
	must "and back" slowwait 5 leaves_by "$address" eth0
}

# marks FAMILY: Checks which address a soft move marks as left, and what brings the flows back to it.
marks() {
	local M C NEW

	stage "$1" && must "no marks" slowwait 5 left_is '' || return
	# The new network carries no IHMP messages for a while, so data stays on the old path.
	in_ns r2 nft -f - <<-'END' || return
		table inet deaf {
			chain forward {
				type filter hook forward priority 0;
				udp dport 61453 counter drop
			}
		}
	END
	join m wifi0 50 || return
	must "the new one is tried" slowwait 5 local_is "any(.[]; .address == \"$NEW\" and .unvalidated)" || return
	must "traffic goes on" goes_on m 20 || return
	check "the old one is left" left_is "$M"
	check "its device is used" leaves_by "$M" eth0
	in_ns r2 nft delete table inet deaf || return
	must "the new one is used" slowwait 15 leaves_by "$NEW" wifi0 || return
	check "the old one is left" left_is "$M"
	check "the new one is better" local_is "min_by(.preference).address == \"$NEW\""
	# The marks survive the agent.
	agent_stop m KILL && agent_start m || return
	must "it is taken over" slowwait 10 has_line "$TMP/ihmpd.m.log" event=adopted || return
	must "c knows m" slowwait 10 has_line "$TMP/ihmpd.m.log" 'event=acked control=hello' || return
	check "the mark stays" left_is "$M"
	ipn m "-$1" route replace default via "${GATE[m.eth0.$1]}" dev eth0 metric 10 || return
	must "home again" slowwait 5 left_is "$NEW" || return
	must "traffic goes on" goes_on m
}

# several FAMILY: Checks that no address is marked as left if both networks are there from the start.
several() {
	local M C NEW

	stage "$1" 200 && serve c@more "$1" tcp:5002 || return
	traffic m@more "$1" "$C" "tcp:5002,rate=50000,bind=$NEW,dev=wifi0" || return
	must "both" slowwait 10 leaves_by "$NEW" wifi0 || return
	must "traffic goes on" goes_on m 200 30 && must "the other goes on" goes_on m@more 20 || return
	check "no marks" left_is ''
	address m wifi0 "$1" "${NEW}0" || return
	must "one more address" slowwait 10 leaves_by "${NEW}0" wifi0 || return
	must "it is proven" slowwait 10 local_is 'all(.[]; .unvalidated | not)' || return
	check "still none" left_is ''
}

deprecate() {
	ipn m addr change "$1/${WIDTH[$2]}" dev eth0 preferred_lft 0 valid_lft 6000
}

# deprecated FAMILY: Checks that a deprecated address is used if it is the only one, and that another address is preferred to it.
deprecated() {
	local M C NEW family=$1

	FAMILIES=$family topo_testbed delay $((RTT_MS / 2))ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	deprecate "$M" "$family" && begin "$family" || return
	must "the only one" leaves_by "$M" eth0 || return
	address m eth0 "$family" "$NEW" || return
	must "another one comes" slowwait 10 leaves_by "$NEW" eth0 || return
	check "what was never new is not left" left_is ''
	must "it is the second choice" slowwait 10 local_is "max_by(.preference).address == \"$M\"" || return
	check "nor then" left_is ''
	ipn m addr change "$M/${WIDTH[$family]}" dev eth0 preferred_lft forever valid_lft forever || return
	must "the same again" slowwait 10 local_is "all(.[]; .preference < 40)" || return
	deprecate "$M" "$family" || return
	must "now it is left" slowwait 10 left_is "$M" || return
	must "traffic goes on" goes_on m
}

# never_told FAMILY: Checks that a deprecated address beside another one is used only if the peer connects to it.
never_told() {
	local M C NEW family=$1

	FAMILIES=$family topo_testbed delay $((RTT_MS / 2))ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	address m eth0 "$family" "$NEW" && deprecate "$NEW" "$family" && begin "$family" || return
	must "traffic goes on" goes_on m 20 || return
	check "c does not know of it" host_is c "$M" "all(.addr[]; .address != \"$NEW\")"
	serve m "$family" tcp:5002 && traffic c "$family" "$NEW" tcp:5002,rate=20000 || return
	must "c knows it now" slowwait 15 host_is c "$M" "any(.addr[]; .address == \"$NEW\" and .set == \"active\")" || return
	must "m uses it" slowwait 5 leaves_by "$NEW" eth0 || return
	check "it is not left" left_is ''
	must "both go on" goes_on c && must "both go on" goes_on m
}

# kind WHAT COUNTS ARGUMENT...: Checks whether the agent uses a device of this kind, whatever its name is.
kind() {
	local M C NEW address=198.51.100.200 counts=$2

	stage 4 || return
	ipn m link add net7 "${@:3}" || { skip "this kernel has none" && return; }
	[ "$1" != bridge ] || batch m <<-END || return
		link add net8 type veth peer name net9
		link set net8 master net7 up
		link set net9 up
	END
	[ "$1" != veth ] || batch m <<<'link set net8 up' || return
	batch m <<-END || return
		link set net7 up
		addr add $address/32 dev net7
		route add default dev net7 metric 900
		addr add 192.0.2.30/24 dev eth0
	END
	# A device that the agent does use was added at the same time, and is used.
	must "the control" slowwait 10 leaves_by 192.0.2.30 eth0 || return
	[ "$counts" = no ] || { must "it counts" slowwait 5 local_is "any(.[]; .address == \"$address\")" && return; }
	check "it does not count" leaves_not "$address"
	check "nor is c told" host_is c "$M" "all(.addr[]; .address != \"$address\")"
}

# tunnel FAMILY HOW: Checks that packets that are routed into a tunnel get no path outside of it.
tunnel() {
	local M C NEW family=$1 before

	stage "$family" || return
	ipn m link add net7 type wireguard || { skip "this kernel has no wireguard" && return; }
	batch m <<<"link set net7 up" || return
	case $2 in
	route)
		batch m <<<"route add $C dev net7" || return
		must "m has no path to c" slowwait 5 local_is 'all(.[]; .nat)' || return
		check "nor is one in use" host_is m "$C" '.local == null'
		batch m <<<"route del $C dev net7" || return
		must "it has again" slowwait 5 leaves_by "$M" eth0 || return
		;;
	rule)
		# Only packets from the second network's address are routed into the tunnel.
		ipn m "-$family" route add default dev net7 table 7 && join m wifi0 50 || return
		must "a path by the second" slowwait 10 leaves_by "$NEW" wifi0 || return
		ipn m "-$family" rule add from "$NEW" lookup 7 || return
		must "no path by the second" slowwait 5 leaves_not "$NEW" || return
		check "one by the first" leaves_by "$M" eth0
		ipn m "-$family" rule del from "$NEW" lookup 7 || return
		must "there is one again" slowwait 10 leaves_by "$NEW" wifi0 || return
		;;
	esac
	must "traffic goes on" goes_on m
}

# own_state FAMILY: Prints the agent's own rules and routes.
own_state() {
	ipn m "-$1" rule show pref 40000
	ipn m "-$1" route show table 61453 | sed 's/ $//' | sort
}

own_is() {
	[ "$(own_state "$1")" = "$2" ]
}

# restored FAMILY: Checks that the agent makes its own rules, routes and device again when another program removes them.
restored() {
	local M C NEW family=$1 before

	stage "$family" || return
	before=$(own_state "$family")
	check "a rule" has_text "$before" 'lookup 61453'
	check "a route" has_text "$before" 'ihmp0'
	ipn m "-$family" rule del pref 40000 || return
	must "the rule is there again" slowwait 5 own_is "$family" "$before" || return
	check "it says so" has_line "$TMP/ihmpd.m.log" 'event=restored'
	ipn m "-$family" route flush table 61453 || return
	must "the routes are there again" slowwait 5 own_is "$family" "$before" || return
	ipn m link set ihmp0 down || return
	must "the device is up again" slowwait 5 own_is "$family" "$before" || return
	ipn m link del ihmp0 || return
	must "the device is there again" slowwait 5 own_is "$family" "$before" || return
	# The device works: programs see no error in the gap of a hard move.
	leave m eth0
	must "traffic stands" slowwait 10 stands m tcp || return
	join m wifi0 50 || return
	must "traffic goes on" goes_on m || return
	finish
	equal "errors" 0 "$(jq '[.flows[].errors[]] | add // 0' "$TMP/run.m.json")"
}

has_text() {
	[[ $1 == *$2* ]]
}

# named FAMILY NAME: Checks that the agent leaves a host alone once it has a name, which marks it as the administrator's. Without a name,
# the peer is told of the changes.
named() {
	local M C NEW id before

	stage "$1" || return
	id=$(host_json m "$C" | jq .id)
	[ -z "$2" ] || ctl m host set "$id" name "$2" || return
	before=$(host_json m "$C" | jq -c .addr)
	capture m wifi0 udp port 61453 && capture m eth0 udp port 61453 || return
	address m eth0 "$1" "${M}0" && join m wifi0 50 || return
	must "traffic goes on" goes_on m 200 || return
	capture_end m wifi0 && capture_end m eth0
	before=$([ "$before" = "$(host_json m "$C" | jq -c .addr)" ] && echo same)
	equal "addresses" "${2:+same}" "$before"
	# The 8 are two announcements and two probes, because c has little credit for m, and their answers.
	equal "messages" "$([ -n "$2" ] && echo 0 || echo 8)" "$(messages)"
}

messages() {
	echo $(($(captured m wifi0 61453) + $(captured m eth0 61453)))
}

for family in 4 6; do
	run_case "IPv$family: a cable is pulled, another network is there, and its routes stay" pulled $family
	run_case "IPv$family: a cable is pulled, and data overtakes the announcement" overtaken $family
	run_case "IPv$family: an address of no network leaves by the device that works" service $family
	run_case "IPv$family: a soft move leaves an address when the peer has heard of the next" marks $family
	run_case "IPv$family: several networks from the start" several $family
	run_case "IPv$family: a deprecated address" deprecated $family
	run_case "IPv$family: a deprecated address beside another one" never_told $family
	for how in route rule; do
		run_case "IPv$family: a tunnel beside the networks, by $how" tunnel $family $how
	done
	run_case "IPv$family: rules, routes and device of the agent are removed" restored $family
	run_case "IPv$family: a host gets a name" named $family mine
	run_case "IPv$family: a host has no name" named $family ''
done
for what in 'wireguard no type wireguard' 'veth no type veth peer name net8' 'dummy no type dummy' \
	'vxlan no type vxlan id 7 dstport 4789 remote 192.0.2.1' 'gre no type gre remote 192.0.2.1 ttl 64' \
	'ipip no type ipip remote 192.0.2.1 ttl 64' 'ifb no type ifb' \
	'bridge no type bridge' 'vlan yes link eth0 type vlan id 7' 'macvlan yes link eth0 type macvlan'; do
	# shellcheck disable=SC2086 # words
	run_case "a device of kind ${what%% *}" kind $what
done
suite_end
