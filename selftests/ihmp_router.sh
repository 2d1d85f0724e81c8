#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Micro-mobility: a router answers the moves within its network, the correspondent hears nothing of them and keeps the old
# address; and what happens when the router declines, rejects, dies, forgets, or is none.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

INSIDE='"192.0.2.0/24", "198.51.100.0/24", "2001:db8:1::/64", "2001:db8:2::/64"'

# route_config [LINE...]: what the router agent is told.
route_config() {
	printf '%s\n' '[router]' "inside = [$INSIDE]" "$@" >"$TMP/ihmpd.r.toml"
	defer rm -f "$TMP/ihmpd.r.toml"
}

# key_of NAME: the public key of its agent.
key_of() {
	ihmpctl --state "$TMP/state.$1" -j key | jq -r '.[] | select(.kind == "own") | .key'
}

# stage FAMILY [LINE...]: the topology, a router agent that m believes, agents on m and c, and traffic between them.
stage() {
	local family=$1
	shift

	FAMILIES=$family topo_micro delay 10ms || return
	M=${ADDR[m.eth0.$family]} NEW=${ADDR[m.wifi0.$family]} OUT=${ADDR[m.usb0.$family]} C=${ADDR[c.eth0.$family]}
	route_config "$@"
	AGENT_MODE[r]=--router
	agent_start r || return
	ihmpctl --state "$TMP/state.m" key add "$(key_of r)" router name r at 192.0.2.0/24 at 198.51.100.0/24 \
		at 2001:db8:1::/64 at 2001:db8:2::/64 || return
	agent_start m c && serve c "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic m "$family" "$C" tcp:5000,rate=50000 udpc:5001 udpu:5002 ping || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "flows" slowwait 10 figure_at_least m flows 4 && must "flows of c" slowwait 10 figure_at_least c flows 3 || return
	must "the router knows m" slowwait 10 has_line "$TMP/ihmpd.r.log" "event=bound addr=$M" || return
	capture c eth0 udp port 61453
}

# host_route: where the router brings what is sent to the old address.
host_route() {
	ipn r -"$1" -j route show proto 214 | jq -r '.[] | "\(.dst) \(.gateway)"'
}

routed_to() {
	[ "$(host_route "$1")" = "$M $2" ]
}

not_routed() {
	[ -z "$(host_route "$1")" ]
}

# silent: c has heard nothing of it, and knows m by its old address only.
silent() {
	check "c knows the old address" host_is c "$M" \
		"[.addr[] | select(.set == \"active\" or .set == \"unreachable\") | .address] == [\"$M\"]"
	check "m is known by the old address" host_is m "$C" "[.addr[] | select(.set == \"local\") | .address] == [\"$M\"]"
	capture_end c eth0
	equal "messages at c" 0 "$(captured c eth0 61453)"
}

# told ADDRESS: c has heard of it the usual way.
told() {
	must "c sends to $1" slowwait 15 path_is c "$M" - "$1" &&
		must "and m from it" slowwait 15 host_is m "$C" "[.addr[] | select(.set == \"local\") | .address] == [\"$1\"]" &&
		must "nothing is kept" slowwait 15 not_held
}

not_held() {
	[ -z "$(ipn m -j addr show dev ihmp0 | jq -r '.[].addr_info[]? | select(.scope != "link") | .local')" ]
}

held() {
	ipn m -j addr show dev ihmp0 | jq -e --arg a "$M" 'any(.[].addr_info[]?; .local == $a)' >/dev/null
}

soft() {
	local M NEW OUT C DOWN

	stage "$1" || return
	DOWN=$EPOCHREALTIME
	join m wifi0 50 || return
	must "the router brings it there" slowwait 10 routed_to "$1" "$NEW" || return
	must "m keeps the address" slowwait 10 held || return
	must "traffic moves" goes_on m || return
	leave m eth0
	must "goes on" goes_on m 20 || return
	silent
	traffic_end m && serve_end c && judge_ok m c soft "$DOWN" "$DOWN" $((60 + SLACK_MS)) "$C"
}

hard() {
	local M NEW OUT C DOWN UP

	stage "$1" || return
	DOWN=$EPOCHREALTIME
	leave m eth0 && join m wifi0 50 || return
	UP=$EPOCHREALTIME
	must "the router brings it there" slowwait 10 routed_to "$1" "$NEW" || return
	must "goes on" goes_on m 20 || return
	silent
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" $((1000 + SLACK_MS)) "$C"
}

# leaves: away and home again, and the router is as before; away once more, and out of its network: the message that leaves
# it names the address that c knows.
leaves() {
	local M NEW OUT C

	stage "$1" || return
	leave m eth0 && join m wifi0 50 || return
	must "the router brings it there" slowwait 10 routed_to "$1" "$NEW" && must "goes on" goes_on m || return
	silent
	leave m wifi0 && join m eth0 || return
	must "no route any more" slowwait 10 not_routed "$1" && must "nothing is kept" slowwait 10 not_held || return
	must "goes on at home" goes_on m 20 || return
	check "c knows the old address" host_is c "$M" "[.addr[] | select(.set == \"active\") | .address] == [\"$M\"]"
	leave m eth0 && join m wifi0 50 || return
	must "the router brings it there again" slowwait 10 routed_to "$1" "$NEW" && must "goes on" goes_on m || return
	start c python3 "$SELFTESTS/attacker.py" sniff eth0 "$TMP/seen" >"$TMP/sniff.log" 2>&1
	slowwait 20 has_line "$TMP/sniff.log" '^ready' || fail "nobody listens" || return
	leave m wifi0 && join m usb0 || return
	told "$OUT" && must "goes on outside" goes_on m 20 || return
	equal "what c heard" "handoff $OUT $M" "$(python3 "$SELFTESTS/grants.py" moves "$TMP/seen" | grep "^handoff $OUT" | sort -u)"
	traffic_end m
}

# declined: moves from and to that network are left to c.
declined() {
	local M NEW OUT C

	stage "$1" 'decline = ["198.51.100.0/24", "2001:db8:2::/64"]' || return
	leave m eth0 && join m wifi0 50 || return
	told "$NEW" && must "goes on" goes_on m 20 || return
	check "m was told so" has_line "$TMP/ihmpd.m.log" "event=router-declined .* new=$NEW old=$M"
	check "no route" not_routed "$1"
	traffic_end m
}

# CLOSED: nobody is to move from or to the network of wifi0.
CLOSED='reject = ["198.51.100.0/24", "2001:db8:2::/64"]'

# is_rejected: m was told that it must not move there, and says what to do.
is_rejected() {
	has_line "$TMP/ihmpd.m.log" "WARN event=router-rejected .* new=$NEW old=$M seconds=[0-9]* advice=\"..*\""
}

# has_of_m SET ADDRESS...: what c has of m in a set, of the family of the case.
has_of_m() {
	local set=$1
	shift

	host_is c "$M" "[.addr[] | select(.set == \"$set\") | .address | select(contains(\":\") == (\"$M\" | contains(\":\")))]
		== $(jq -cn '$ARGS.positional' --args -- "$@")"
}

# uses ADDRESS...: what m uses towards c.
uses() {
	host_is m "$C" "[.addr[] | select(.set == \"local\") | .address] == $(jq -cn '$ARGS.positional' --args -- "$@")"
}

# shows COUNT: how many of its addresses m's agent shows as rejected.
shows() {
	ihmpctl --state "$TMP/state.m" -j agent |
		jq -e --argjson n "$1" --arg a "$NEW" \
			'.rejected == $n and .rejections == [limit($n; {address: $a, hosts: 1})]' >/dev/null
}

# rejected_soft: the old address stays in use, c is told of the new one from there, and knows that it cannot be reached.
# Without it, m waits; it comes back, and all goes on.
rejected_soft() {
	local M NEW OUT C seen

	stage "$1" "$CLOSED" || return
	start c python3 "$SELFTESTS/attacker.py" sniff eth0 "$TMP/seen" >"$TMP/sniff.log" 2>&1
	slowwait 20 has_line "$TMP/sniff.log" '^ready' || fail "nobody listens" || return
	join m wifi0 50 || return
	must "m is told" slowwait 10 is_rejected || return
	must "c knows that it is of no use" slowwait 10 has_of_m unreachable "$NEW" || return
	check "c has the old address" has_of_m active "$M"
	check "m has the old address" uses "$M"
	check "the agent shows it" shows 1
	must "goes on" goes_on m 20 || return
	equal "what c heard" "addr-up-unreachable $M $NEW" "$(python3 "$SELFTESTS/grants.py" moves "$TMP/seen" | sort -u)"
	# The same address once more: it is known now, and nothing is said from there.
	leave m wifi0
	must "c forgets it" slowwait 10 has_of_m unreachable || return
	seen=$(grep -c "event=sent .* from=$NEW " "$TMP/ihmpd.m.log")
	join m wifi0 50 || return
	must "c hears of it at once" slowwait 10 has_of_m unreachable "$NEW" || return
	equal "messages from the new address" "$seen" "$(grep -c "event=sent .* from=$NEW " "$TMP/ihmpd.m.log")"
	equal "rejections" 1 "$(grep -c event=router-rejected "$TMP/ihmpd.m.log")"
	leave m eth0
	must "nothing is left" slowwait 10 uses || return
	check "c goes on with the old address" has_of_m active "$M"
	join m eth0 || return
	must "goes on at home" slowwait 20 uses "$M" && must "all of it" goes_on m 20 || return
	check "no route" not_routed "$1"
	traffic_end m
}

# rejected_hard: nothing goes to c from there, and what waits goes on at another address.
rejected_hard() {
	local M NEW OUT C

	stage "$1" "$CLOSED" || return
	leave m eth0 && join m wifi0 50 || return
	must "m is told" slowwait 10 is_rejected || return
	must "m has nothing" slowwait 10 uses || return
	silent_at_c
	join m usb0 || return
	must "c sends there" slowwait 15 path_is c "$M" - "$OUT" && must "m from there" slowwait 15 uses "$OUT" || return
	must "goes on" goes_on m 20 || return
	must "c knows that the other is of no use" slowwait 10 has_of_m unreachable "$NEW" || return
	check "no route" not_routed "$1"
	traffic_end m
}

# silent_at_c: c has heard nothing, and has m where it was.
silent_at_c() {
	check "c knows the old address" has_of_m active "$M"
	check "and no other" has_of_m unreachable
	capture_end c eth0
	equal "messages at c" 0 "$(captured c eth0 61453)"
}

# rejected_for_a_while: when that ends the router is asked again, and what the administrator allows by then goes on.
rejected_for_a_while() {
	local M NEW OUT C

	stage "$1" "$CLOSED" 'lifetime = 10' || return
	leave m eth0 && join m wifi0 50 || return
	must "m is told" slowwait 10 is_rejected || return
	silent_at_c
	route_config 'lifetime = 10'
	must "the router reads its file" reread reloaded || return
	must "the router brings it there" slowwait 20 routed_to "$1" "$NEW" && must "goes on" goes_on m 20 || return
	check "the agent shows none" shows 0
	check "c knows the old address" has_of_m active "$M"
	traffic_end m
}

# rejected_unknown: who does not list the router's key is not heard either, and stays where it was.
rejected_unknown() {
	local M NEW OUT C

	stage "$1" "$CLOSED" || return
	ihmpctl --state "$TMP/state.m" key del r || return
	join m wifi0 50 || return
	must "c is told that it is of no use" slowwait 20 has_of_m unreachable "$NEW" || return
	check "c has the old address" has_of_m active "$M"
	check "refused, and counted" refused_is m unknown-key 4
	check "the agent shows none" shows 0
	must "goes on" goes_on m 20 || return
	traffic_end m
}

# killed: the route stays, nobody asks any more; the next move is the peer's business.
killed() {
	local M NEW OUT C

	stage "$1" 'lifetime = 10' || return
	leave m eth0 && join m wifi0 50 || return
	must "the router brings it there" slowwait 10 routed_to "$1" "$NEW" && must "goes on" goes_on m || return
	agent_stop r KILL
	check "the queue went with it" not quiet in_ns r nft list table inet ihmp_router
	must "goes on without the agent" goes_on m 20 || return
	# Nobody renews it: the peer is told in time.
	told "$NEW" && must "goes on, end to end" goes_on m 20 || return
	agent_start r || return
	check "left-overs are gone" not_routed "$1"
	must "goes on" goes_on m 20 || return
	traffic_end m
}

# restarted: a router that forgot what it promised is found out.
restarted() {
	local M NEW OUT C

	stage "$1" || return
	# A link that stays up, and a router that remembers its neighbours, would bring to m what it has no address for any more.
	leave m eth0 && ipn m link set eth0 down && join m wifi0 50 || return
	must "the router brings it there" slowwait 10 routed_to "$1" "$NEW" && must "goes on" goes_on m || return
	agent_stop r KILL
	agent_start r || return
	check "left-overs are gone" not_routed "$1"
	told "$NEW" && must "goes on, end to end" goes_on m 20 || return
	check "m has noticed" has_line "$TMP/ihmpd.m.log" "event=end-to-end .* reason=silent"
	traffic_end m
}

# absent: m believes a router that is not there; the move is as quick as without.
absent() {
	local M NEW OUT C DOWN UP

	stage "$1" || return
	agent_stop r
	check "no table is left" not quiet in_ns r nft list table inet ihmp_router
	DOWN=$EPOCHREALTIME
	leave m eth0 && join m wifi0 50 || return
	UP=$EPOCHREALTIME
	told "$NEW" && must "goes on" goes_on m 20 || return
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" $((100 + SLACK_MS)) "$C"
}

# unknown: a router whose key m has not listed keeps nobody from moving.
unknown() {
	local M NEW OUT C

	stage "$1" || return
	ihmpctl --state "$TMP/state.m" key del r || return
	leave m eth0 && join m wifi0 50 || return
	told "$NEW" && must "goes on" goes_on m 20 || return
	check "refused, and counted" refused_is m unknown-key 1
	check "no route" not_routed "$1"
	traffic_end m
}

# refused_is NAME REASON COUNT
refused_is() {
	ihmpctl --state "$TMP/state.$1" -j agent show |
		jq -e --arg r "$2" --argjson n "$3" '[.refusals[]? | select(.reason == $r) | .messages] == [$n]' >/dev/null
}

# forged: answers of somebody else, as often as m asks.
forged() {
	local M NEW OUT C kind count total before after forger
	local -A sent=()

	stage "$1" || return
	start r python3 "$SELFTESTS/attacker.py" sniff lan2 "$TMP/seen" >"$TMP/sniff.log" 2>&1
	slowwait 20 has_line "$TMP/sniff.log" '^ready' || fail "nobody listens" || return
	leave m eth0 && join m wifi0 50 || return
	must "the router brings it there" slowwait 10 routed_to "$1" "$NEW" && must "goes on" goes_on m || return
	leave m wifi0 && join m eth0 || return
	must "no route any more" slowwait 10 not_routed "$1" && must "goes on at home" goes_on m || return
	equal "the true answer was seen" 1 "$(python3 "$SELFTESTS/grants.py" seen "$TMP/seen")"
	agent_stop r
	start r python3 "$SELFTESTS/grants.py" forge lan2 "${ADDR[r.lan2.$1]}" "$(key_of r)" "$TMP/seen" >"$TMP/forge.log" 2>&1
	forger=$BG
	slowwait 20 has_line "$TMP/forge.log" '^ready' || fail "no forger: $(cat "$TMP/forge.log")" || return
	before=$(refusals m)
	leave m eth0 && join m wifi0 50 || return
	told "$NEW" && must "goes on" goes_on m 20 || return
	equal "believed once, by the true one" 1 "$(grep -c 'event=routed ' "$TMP/ihmpd.m.log")"
	stop_process "$forger"
	after=$(refusals m)
	while read -r kind count; do
		[ "$kind" = ready ] || sent[$kind]=$count
	done <"$TMP/forge.log"
	at_least "kinds" 7 ${#sent[@]}
	total=0
	for kind in "${!sent[@]}"; do
		at_least "$kind" 1 "${sent[$kind]}"
		total=$((total + sent[$kind]))
	done
	equal "all are counted" "$total" $((after - before))
	check "unsigned" refused_is m unsigned "${sent[unsigned]}"
	check "of an unknown key" refused_is m unknown-key "${sent[stranger]}"
	check "with a made-up signature" refused_is m bad-signature "${sent[named]}"
	check "replayed" refused_is m replayed $((sent[replay] + sent[moved] + sent[changed]))
	check "nothing is rejected" shows 0
	traffic_end m
}

refusals() {
	ihmpctl --state "$TMP/state.$1" -j agent show | jq .refused
}

# told_what: the router's own figures, and its configuration.
told_what() {
	local M NEW OUT C

	stage 4 || return
	leave m eth0 && join m wifi0 50 || return
	must "the router brings it there" slowwait 10 routed_to 4 "$NEW" || return
	check "figures" quiet sh -c "ihmpctl --state '$TMP/state.r' -j agent show | jq -e '.mode == \"router\" and .routes == 1 and .granted == 1 and .bound == 2'"
	printf '[router]\n' >"$TMP/bad.toml"
	check "needs networks" sh -c "ihmpd --router --config '$TMP/bad.toml' --check 2>&1 | grep -q inside"
	printf '%s\n' '[router]' 'inside = ["192.0.2.0/24"]' 'reject = [' '"192.0.2.0/25",' '"192.0.2.0/40",' ']' >"$TMP/bad.toml"
	check "says which line is wrong" sh -c "ihmpd --router --config '$TMP/bad.toml' --check 2>&1 | grep -q 'bad.toml:5: .*192.0.2.0/40'"
	check "a second one gives up" not timeout 5 nsenter --net="/run/netns/${NS[r]}" ihmpd --router --config "$TMP/ihmpd.r.toml" --state "$TMP/state.x"
	check "the first one lives" kill -0 "${AGENT[r]}"
	agent_stop r
	check "no route is left" not_routed 4
	check "and no table" not quiet in_ns r nft list table inet ihmp_router
}

# reread FILE-EVENT: the router agent reads its configuration again.
reread() {
	kill -HUP "${AGENT[r]}"
	slowwait 10 has_line "$TMP/ihmpd.r.log" "event=$1"
}

# reloaded: what a good file changes, what takes a restart, and that a bad one changes nothing.
reloaded() {
	local M NEW OUT C

	stage 4 || return
	printf '%s\n' '[router]' 'inside = []' "reject = [$INSIDE]" >"$TMP/ihmpd.r.toml"
	must "nothing to do is refused" reread reload-refused || return
	check "it says where" has_line "$TMP/ihmpd.r.log" 'ERROR event=reload-refused error=".*ihmpd.r.toml'
	leave m eth0 && join m wifi0 50 || return
	must "moves are answered as before" slowwait 10 routed_to 4 "$NEW" || return
	leave m wifi0 && join m eth0 50 || return
	must "home again" slowwait 10 not_routed 4 || return
	route_config 'reject = ["198.51.100.0/24"]' 'queue = 7'
	must "a good file" reread reloaded || return
	check "what takes a restart" has_line "$TMP/ihmpd.r.log" 'WARN event=restart-needed key=router.queue'
	check "nothing was rejected" not has_line "$TMP/ihmpd.r.log" event=rejected
	leave m eth0 && join m wifi0 40 || return
	must "it counts" slowwait 10 has_line "$TMP/ihmpd.r.log" event=rejected || return
	must "m is told" slowwait 10 is_rejected || return
	check "c does not hear of the move" has_of_m active "$M"
	check "no route" not_routed 4
}

for family in 4 6; do
	run_case "IPv$family: a soft move within the router's network" soft $family
	run_case "IPv$family: a hard move within the router's network" hard $family
	run_case "IPv$family: away and home again, and out of the router's network" leaves $family
	run_case "IPv$family: the router declines" declined $family
	run_case "IPv$family: the router rejects a soft move" rejected_soft $family
	run_case "IPv$family: the router rejects a hard move" rejected_hard $family
	run_case "IPv$family: the router rejects for a while" rejected_for_a_while $family
	run_case "IPv$family: a router that is not listed rejects" rejected_unknown $family
	run_case "IPv$family: the router agent is killed" killed $family
	run_case "IPv$family: the router agent is killed and forgets" restarted $family
	run_case "IPv$family: the router agent does not run" absent $family
	run_case "IPv$family: a router that is not listed" unknown $family
	run_case "IPv$family: forged answers" forged $family
done
run_case "what the router agent says of itself" told_what
run_case "the router agent reads its configuration again" reloaded
suite_end
