#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# After a move, a new connection can have the same addresses and ports on the wire as an old one. Tests that both work, because the new
# one gets another port.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# at_peer FAMILY KIND: c has a connection from port 7000 to the old address of m and opens one from port 7000 to the new address.
at_peer() {
	local family=$1 kind=$2 M C NEW port

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	port=$([ "$kind" = tcp ] && echo 5000 || echo 5002)
	agent_start m c && serve m "$family" tcp:5000 udpu:5002 || return
	traffic c "$family" "$M" "$kind:$port,sport=7000,bind=$C,rate=50000" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	address m eth0 "$family" "$NEW" "$M" || return
	must "c knows" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	must "the old one goes on" goes_on c || return
	traffic c@new "$family" "$NEW" "$kind:$port,sport=7000,bind=$C,rate=50000" || return
	both c "$M" "$C" "$NEW" "$family" "$kind"
	traffic_end c && traffic_end c@new && serve_end m || return
	whole c c@new m
}

# whole CLIENT CLIENT SERVER: Checks that all that was sent arrived, and nothing else. The server knows the new flow by its port on the
# wire, so the sums are compared. In real time datagrams are lost that are sent between the steps of a hard move.
whole() {
	local one=$TMP/run.$1.json two=$TMP/run.$2.json server=$TMP/serve.$3.json

	equal "what is wrong with the flows" '' "$(jq -r --argjson may $(((1 - TRAVEL) * 25)) '.flows[] | select(.corrupt != 0 or .errors != {} or (.duplicates // 0) != 0
		or (.lost // 0) > $may) | tojson' "$one" "$two" "$server")"
	if [ "$kind" = tcp ]; then
		equal "octets to the server" "$(jq -s '[.[].flows[].sent] | add' "$one" "$two")" \
			"$(jq '[.flows[] | select(.name | startswith("tcp")) | .received] | add' "$server")"
		equal "octets from the server" "$(jq '[.flows[] | select(.name | startswith("tcp")) | .sent] | add' "$server")" \
			"$(jq -s '[.[].flows[].received] | add' "$one" "$two")"
	fi
}

# both OPENER OLD_PEER C NEW FAMILY KIND: Makes the checks that both directions share.
both() {
	must "the new one goes on" goes_on "$1@new" || return
	must "and the old one" goes_on "$1" || return
	equal "flows with another port" 1 "$(figure "$1" port-mapped)"
	equal "flows that show it" 1 "$(ctl "$1" -j flow show |
		jq '[.[] | select(."wire-port" != null and ."wire-port" != ."local-port" and ."local-port" == 7000)] | length')"
	equal "port-exhausted" 0 "$(reason "$1" port-exhausted)"
	must "and still both" goes_on "$1@new" 20 || return
	must "and still the old one" goes_on "$1" 20
}

# at_mover FAMILY KIND: m opens both connections from the same port, one before the move and one after it.
at_mover() {
	local family=$1 kind=$2 M C NEW port

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	port=$([ "$kind" = tcp ] && echo 5000 || echo 5002)
	agent_start m c && serve c "$family" tcp:5000 udpu:5002 || return
	traffic m "$family" "$C" "$kind:$port,bind=$M,sport=7000,rate=50000" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	address m eth0 "$family" "$NEW" "$M" || return
	must "c knows" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	must "the old one goes on" goes_on m || return
	traffic m@new "$family" "$C" "$kind:$port,bind=$NEW,sport=7000,rate=50000" || return
	both m "$C" "$M" "$NEW" "$family" "$kind"
	traffic_end m && traffic_end m@new && serve_end c || return
	whole m m@new c
}

# wildcard FAMILY: Checks that answers of a UDP server on the wildcard address from its new address are not taken for a collision.
wildcard() {
	local family=$1 M C NEW

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	agent_start m c && serve m "$family" udpu:5002 || return
	traffic c "$family" "$M" udpu:5002 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	address m eth0 "$family" "$NEW" "$M" || return
	must "c knows" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	must "goes on" goes_on c 20 || return
	equal "flows with another port at m" 0 "$(figure m port-mapped)"
	traffic_end c && serve_end m || return
	equal "answers came from" "$M 5002" "$(jq -r '.flows[0].sources | keys[]' "$TMP/run.c.json")"
}

for family in 4 6; do
	for kind in tcp udpc; do
		run_case "IPv$family, $kind: the peer opens the same ports to the new address" at_peer $family $kind
		run_case "IPv$family, $kind: the host that moved opens the same ports from the new address" at_mover $family $kind
	done
	run_case "IPv$family: a server on the wildcard address keeps its clients" wildcard $family
done
suite_end
