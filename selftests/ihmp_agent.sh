#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests the agent: it is killed and restarted without loss, its messages are lost and repeated, it leaves alone what is not its own, and
# it reads its configuration again.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# stage FAMILY WHO [FLOW...]: Builds the testbed with agents and traffic.
stage() {
	local family=$1 flows=("${@:3}")

	[ ${#flows[@]} -gt 0 ] || flows=("tcp:5000,rate=50000" udpc:5001 udpu:5002 ping)
	FAMILIES=$family topo_testbed delay 10ms || return
	roles "$2" "$family"
	agent_start m c && serve "$server" "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic "$client" "$family" "$TARGET" "${flows[@]}" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "flows" slowwait 10 figure_at_least "$client" flows ${#flows[@]} || return
	# The kernel of the server answers echo requests, and that makes no flow.
	must "flows of the server" slowwait 10 figure_at_least "$server" flows $((${#flows[@]} - 1))
}

go() {
	join m wifi0 50 || return
	must "c hears of the new address" slowwait 10 host_is c "$M" "any(.addr[]; .address == \"$NEW\" and .set == \"active\")" || return
	must "traffic moves" goes_on "$client" || return
	leave m eth0
	must "goes on after the move" goes_on "$client" || return
	must "c sends to the new address" slowwait 10 path_is c "$M" "$C" "$NEW"
}

# killed FAMILY WHO WHICH: Checks that an agent can be killed during a transfer and started again, and that the next move works.
killed() {
	local client server M C NEW TARGET UP id host before

	stage "$1" "$2" && go || return
	id=$(host_json m "$C" | jq .id)
	before=$EPOCHREALTIME
	for host in $3; do
		agent_stop "$host" KILL
	done
	must "translated flows go on without the agent" goes_on "$client" 20 || return
	# shellcheck disable=SC2086 # names
	agent_start $3 || return
	must "and with the new one" goes_on "$client" 20 || return
	equal "the host is the same" "$id" "$(host_json m "$C" | jq .id)"
	must "still up" hosts_up m "$C" c "$M" || return
	equal "hosts at m" 1 "$(figure m hosts)"
	equal "hosts at c" 1 "$(figure c hosts)"
	# m goes back to its first network.
	UP=$EPOCHREALTIME
	join m eth0 20 || return
	must "c hears of the first address" slowwait 10 host_is c "$NEW" "any(.addr[]; .address == \"$M\" and .set == \"active\")" || return
	must "traffic moves back" goes_on "$client" || return
	leave m wifi0
	UP=$EPOCHREALTIME
	must "goes on after the next move" goes_on "$client" || return
	must "c sends to the first address" slowwait 10 path_is c "$M" "$C" "$M" || return
	traffic_end "$client" && serve_end "$server" && judge_ok "$client" "$server" soft "$before" "$UP" $((60 + SLACK_MS)) "$TARGET"
}

# moved_meanwhile FAMILY WHO: Checks that the next agent announces a move that was made while no agent ran.
moved_meanwhile() {
	local client server M C NEW TARGET UP DOWN

	stage "$1" "$2" || return
	DOWN=$EPOCHREALTIME
	agent_stop m KILL
	must "goes on" goes_on "$client" || return
	leave m eth0 && join m wifi0 50 || return
	must "nobody tells" slowwait 10 stands "$client" tcp || return
	UP=$EPOCHREALTIME
	agent_start m || return
	must "goes on when somebody does" goes_on "$client" || return
	must "c sends to the new address" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	traffic_end "$client" && serve_end "$server" && judge_ok "$client" "$server" hard "$DOWN" "$UP" $((1000 + SLACK_MS)) "$TARGET"
}

# stopped FAMILY: Checks that connections go on when the agents are stopped properly.
stopped() {
	local client server M C NEW TARGET

	stage "$1" client && go || return
	agents_stop m c
	must "goes on after a clean stop" goes_on m 20 || return
	traffic_end m && serve_end c && judge_ok m c hard 0 0 1000 "$TARGET"
}

# flushed: Checks that ihmpd --flush removes all that the agent made in the module and in the routing tables.
flushed() {
	local before after

	topo_pair || return
	before=$(own_state m)
	agent_start m c && serve c 4 tcp:5000 && traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=20000 || return
	must "both hosts know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}" || return
	check "last-resort routes" sh -c "ip -n ${NS[m]} route show table 61453 | grep -q ihmp0"
	traffic_end m
	agents_stop m
	in_ns m ihmpd --config "$SELFTESTS/ihmpd.toml" --flush || fail "--flush fails"
	after=$(own_state m)
	equal "addresses, routes and rules" "$before" "$after"
	equal "hosts" 0 "$(figure m hosts)"
	equal "discovery" 0 "$(ctl m -j param show | jq .discovery)"
	equal "hooks" 0 "$(figure m hooks)"
}

# own_state NAME: Prints the links, addresses, routes and rules of the host, as far as an agent could change them.
own_state() {
	ipn "$1" -o link show | sed 's/ state .*//; s/ qdisc.*//; s/^[0-9]*: //; s/@[^:]*//'
	ipn "$1" -o addr show | awk '{ print $2, $3, $4 }'
	ipn "$1" -4 route show table all
	ipn "$1" -6 route show table all | sed 's/ expires [0-9]*sec//; s/ pref medium//; s/ metric [0-9]*//'
	ipn "$1" -4 rule show
	ipn "$1" -6 rule show
}

# hands_off: Checks that the agent changes no address, route or rule that is not its own.
hands_off() {
	local before after

	topo_testbed || return
	ipn m rule add from 203.0.113.77 lookup 7 && ipn m route add 203.0.113.99 dev eth0 table 7 || return
	before=$(own_state m)
	agent_start m c && serve c 4 tcp:5000 && traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=20000 || return
	must "both hosts know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}" || return
	after=$(own_state m | grep -vE 'ihmp0|61453')
	equal "what is not its own" "$before" "$after"
}

# lost_messages FAMILY COUNT: Checks that a move succeeds although its first messages are lost, because they are repeated.
lost_messages() {
	local client server M C NEW TARGET UP DOWN family=$1

	stage "$family" client || return
	in_ns r2 nft -f - <<-END || return
		table inet lossy {
			chain forward {
				type filter hook forward priority 0;
				udp dport 61453 limit rate over 1/hour burst $2 packets accept
				udp dport 61453 counter drop
			}
		}
	END
	DOWN=$EPOCHREALTIME
	leave m eth0 && join m wifi0 50 || return
	UP=$EPOCHREALTIME
	must "goes on after the repetition" goes_on m 5 30 || return
	must "c knows" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	at_least "lost messages" "$2" "$(in_ns r2 nft -j list chain inet lossy forward | jq '[.. | .counter? // empty | .packets?] | add')"
	# Until c hears of the move, it takes data from the new address for that of a stranger, so an unconnected server sees that address.
	traffic_end m && serve_end c && ALSO=$NEW judge_ok m c hard "$DOWN" "$UP" $((4000 * $2 + SLACK_MS)) "$TARGET"
}

# ignored DEVICE: Checks that the agent ignores addresses of containers and tunnels.
ignored() {
	local client server M C NEW TARGET dev=$1

	stage 4 client || return
	capture c eth0 udp port 61453 || return
	ipn m link add "$dev" type dummy && ipn m link set "$dev" up && ipn m addr add 198.51.100.200/32 dev "$dev" || return
	ipn m addr add 198.51.100.201/32 dev lo || return
	must "goes on" goes_on m 30 || return
	check "not among the local addresses" host_is m "$C" 'all(.addr[]; .address | startswith("198.51.100.20") | not)'
	capture_end c eth0
	equal "messages" 0 "$(captured c eth0 61453)"
}

# storm: Checks that many new addresses at once make one announcement, and new routes none.
storm() {
	local client server M C NEW TARGET i

	stage 4 client || return
	capture c eth0 udp port 61453 || return
	for ((i = 1; i <= 2000; i++)); do
		echo "route add 203.0.113.128/32 dev eth0 metric $((1000 + i))"
	done | batch m || return
	for ((i = 30; i < 38; i++)); do
		echo "addr add 192.0.2.$i/24 dev eth0"
	done | batch m || return
	for ((i = 30; i < 38; i++)); do
		echo "addr del 192.0.2.$i/24 dev eth0"
	done | batch m || return
	must "goes on" goes_on m 50 || return
	must "the old address only" slowwait 10 host_is m "$C" '[.addr[] | select(.set == "local") | .address] == ["192.0.2.10"]' || return
	must "path" path_is m "$C" "$M" "$C" || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 1000 "$TARGET"
	capture_end c eth0
	at_most "messages" 40 "$(captured c eth0 61453)"
}

# --- configuration

config_good() {
	printf '# nothing but a comment\n' >"$TMP/empty.toml"
	check "an empty file" ihmpd --config "$TMP/empty.toml" --check
	check "the tests' file" ihmpd --config "$SELFTESTS/ihmpd.toml" --check
}

config_bad() {
	local text

	for text in 'port = "a"' 'port = 0' 'no_such_setting = 1' 'port = 61453
port = 61453' '[unfinished'; do
		printf '%s\n' "$text" >"$TMP/bad.toml"
		check "refused: $text" not ihmpd --config "$TMP/bad.toml" --check
	done
	check "says where" sh -c "ihmpd --config '$TMP/bad.toml' --check 2>&1 | grep -q 'bad.toml'"
	check "refused: a file that is not there" not ihmpd --config "$TMP/nothing.toml" --check
	topo_pair || return
	check "does not run with it" not timeout 5 nsenter --net="/run/netns/${NS[m]}" ihmpd --config "$TMP/bad.toml"
	equal "discovery" 0 "$(ctl m -j param show | jq .discovery)"
}

second_one() {
	topo_pair && agent_start m || return
	check "a second agent in the namespace gives up" not timeout 5 nsenter --net="/run/netns/${NS[m]}" ihmpd --config "$SELFTESTS/ihmpd.toml"
	check "the first one lives" kill -0 "${AGENT[m]}"
}

without_module() {
	module_unload || return
	defer module_load
	topo_pair || return
	timeout 5 nsenter --net="/run/netns/${NS[m]}" ihmpd --config "$SELFTESTS/ihmpd.toml" >"$TMP/out" 2>&1
	[ $? != 124 ] || fail "it hangs"
	check "says what is missing" grep -qi module "$TMP/out"
}

# asked: Checks what the agent says of itself, and of messages that it refused.
asked() {
	local M

	FAMILIES=4 topo_pair || return
	M=${ADDR[m.eth0.4]}
	check "without an agent" sh -c "ihmpctl --state '$TMP/state.m' agent 2>&1 | grep -q 'no agent runs'"
	agent_start m || return
	in_ns c python3 - "$M" <<-'END' || return
		import socket, sys
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.sendto(b"x", (sys.argv[1], 61453))
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.bind(("", 61453))
		for octets in b"x", b"yy", bytes([99]) * 40:
		    sock.sendto(octets, (sys.argv[1], 61453))
	END
	must "refusals" slowwait 10 agent_is m '.refused == 4' || return
	check "by reason" agent_is m '.refusals | map({(.reason): .messages}) | add == {"short": 2, "unknown-control": 1, "source-port": 1}'
	check "and the rest" agent_is m ".pid == ${AGENT[m]} and .port == 61453 and .mode == \"first-use\" and .[\"hosts-up\"] == 0"
	check "who is told of what" agent_is m '.tell == "all" and .enabled == "on"'
	for budget in newcomers strangers answers challenges greetings; do
		check "the budget of $budget" agent_is m ".[\"left-$budget\"] == .[\"most-$budget\"] and .[\"second-$budget\"] > 0"
	done
	equal "as text" "refused short 2" "$(ihmpctl --state "$TMP/state.m" agent show | grep ' short ')"
	equal "mode of what it writes" 600 "$(stat -c %a "$TMP/state.m/status")"
	check "and in the log" has_line "$TMP/ihmpd.m.log" 'event=refused-total reason=short count=2'
}

agent_is() {
	ihmpctl --state "$TMP/state.$1" -j agent show | jq -e "$2" >/dev/null
}

# bounded FAMILY: Checks that the agent works with one capability, CAP_NET_ADMIN.
bounded() {
	local client server M C NEW TARGET
	# shellcheck disable=SC2054 # its comma
	local AGENT_BY=(setpriv --bounding-set=-all,+net_admin --inh-caps=-all --no-new-privs)

	stage "$1" client || return
	equal "capabilities" 0000000000001000 "$(awk '/^CapEff/ { print $2 }' "/proc/${AGENT[m]}/status")"
	go || return
	leave m wifi0 && join m eth0 || return
	must "goes on after a hard move" goes_on m 20 || return
	check "nothing was forbidden" not has_line "$TMP/ihmpd.m.log" 'not permitted|denied|send-failed'
}

# configure NAME [LINE...]: Writes the configuration that the host's agent reads at its start or on a reload; without lines, an empty one.
configure() {
	local host=$1
	shift

	[ -e "$TMP/ihmpd.$host.toml" ] || defer rm -f "$TMP/ihmpd.$host.toml"
	# The file is renamed into place, so the agent never reads half of it.
	{ [ $# = 0 ] || printf '%s\n' "$@"; } >"$TMP/ihmpd.$host.new" && with_links "$TMP/ihmpd.$host.new" && mv "$TMP/ihmpd.$host.new" "$TMP/ihmpd.$host.toml"
}

# reload NAME EVENT: Tells the agent to read its configuration again, and waits until it has logged one more such event.
reload() {
	local before

	before=$(log_lines "$1" "$2")
	kill -HUP "${AGENT[$1]}" && must "$2" slowwait 10 more_lines "$1" "$2" "$before"
}

log_lines() {
	grep -cE -- "event=$2\b" "$TMP/ihmpd.$1.log"
}

more_lines() {
	[ "$(log_lines "$1" "$2")" -gt "$3" ]
}

# reloaded FAMILY: Checks that nothing is lost when SIGHUP comes at any time.
reloaded() {
	local client server M C NEW TARGET

	stage "$1" client || return
	kill -HUP "${AGENT[m]}" "${AGENT[c]}"
	join m wifi0 50 || return
	kill -HUP "${AGENT[m]}" "${AGENT[c]}"
	must "c hears of the new address" slowwait 10 host_is c "$M" "any(.addr[]; .address == \"$NEW\" and .set == \"active\")" || return
	kill -HUP "${AGENT[m]}" "${AGENT[c]}"
	must "traffic moves" goes_on m || return
	leave m eth0
	kill -HUP "${AGENT[m]}" "${AGENT[c]}"
	must "goes on" goes_on m || return
	equal "hosts at c" 1 "$(figure c hosts)"
	traffic_end m && serve_end c && judge_ok m c soft 0 0 1000 "$TARGET"
}

# reread: Checks that a good file takes effect, and that a bad file changes nothing.
reread() {
	local client server M C NEW TARGET DOWN UP id

	configure m 'log = "info"' '[interfaces]' 'include = ["eth*"]'
	IHMPD_LOG="file"
	# A socket that is bound to no address would follow the default route, as without ihmp, so none is used here.
	stage 4 client "tcp:5000,rate=50000" udpc:5001 ping
	unset IHMPD_LOG
	[ -z "$CASE_STATUS" ] || return
	id=$(host_json m "$C" | jq .id)
	check "few lines at first" not has_line "$TMP/ihmpd.m.log" 'event=sent'
	join m wifi0 50 && must "goes on" goes_on m 20 || return
	check "wifi0 does not count" host_is m "$C" "all(.addr[]; .address != \"$NEW\")"

	configure m 'log = "debug"' '[peers]' 'max = 0' && reload m reload-refused || return
	check "it says where" has_line "$TMP/ihmpd.m.log" 'ERROR event=reload-refused error=".*ihmpd.m.toml:3: max is 0'
	configure m '[interfaces]' 'ignore = []' 'nothing = 1' && reload m reload-refused || return
	rm "$TMP/ihmpd.m.toml" && reload m reload-refused || return
	must "goes on" goes_on m 20 || return
	check "wifi0 still does not count" host_is m "$C" "all(.addr[]; .address != \"$NEW\")"
	check "nor are there more lines" not has_line "$TMP/ihmpd.m.log" 'event=sent'

	configure m 'port = 50000' 'log = "debug"' '[security]' 'mode = "require-known"' && reload m reloaded || return
	check "what takes a restart" has_line "$TMP/ihmpd.m.log" 'WARN event=restart-needed key=port'
	must "wifi0 counts" slowwait 10 host_is c "$M" "any(.addr[]; .address == \"$NEW\" and .set == \"active\")" || return
	check "more lines" has_line "$TMP/ihmpd.m.log" 'event=sent'
	check "the rest" agent_is m '.mode == "require-known" and .port == 61453'
	# With require-known, m believes no host whose key is not listed. So c could not move now, but m can.
	configure m && reload m reloaded || return
	check "and back" agent_is m '.mode == "first-use"'
	# wifi0 had the better route before the agent used it, so a new address there is no soft move. The flows move when eth0 is left.
	DOWN=$EPOCHREALTIME
	leave m eth0
	UP=$EPOCHREALTIME
	must "goes on after the move" goes_on m || return
	equal "the host is the same" "$id" "$(host_json m "$C" | jq .id)"
	equal "hosts at c" 1 "$(figure c hosts)"
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" 1000 "$TARGET"
}

# --- what does not concern the agent

# wakes NAME: Prints how often the host's agent has woken up so far.
wakes() {
	awk '/^voluntary_ctxt/ { print $2 }' "/proc/${AGENT[$1]}/status"
}

# at_once: Checks that the agent sends its first message without any wait after a change of addresses.
at_once() {
	[ "$TRAVEL" = 1 ] || { skip "computing takes time here, see load" && return; }
	FAMILIES=4 topo_pair && agent_start m c && serve c 4 tcp:5000 && traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=2000 || return
	must "both hosts know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}" || return
	in_ns m "$SELFTESTS/control.py" eth0 192.0.2.77/24 40 >"$TMP/control" || fail "a change is not told" || return
	at_most "microseconds, the slowest" 1000 $(($(sort -n "$TMP/control" | tail -n 1) / 1000))
}

# undisturbed: Checks that thousands of events that do not concern the agent do not even wake it.
undisturbed() {
	local client server M C NEW TARGET before i

	stage 4 client || return
	before=$(wakes m)
	for ((i = 0; i < 100; i++)); do
		echo "link add veth$i group 7 type veth peer name vethp$i group 7"
		echo "addr add 10.9.$i.1/24 dev veth$i"
		echo "route add 10.8.$i.0/24 via 192.0.2.1 dev eth0"
		echo "route add 2001:db8:8:$i::/64 dev eth0"
	done | batch m && batch m <<-END || return
		link set group 7 up
		link del group 7
	END
	must "goes on" goes_on m 5 || return
	# The agent has timers, which wake it a few times.
	at_most "times that it woke" 10 $(($(wakes m) - before))
}

# watched: Checks what the agent tells a service manager (sd_notify and the watchdog).
watched() {
	# shellcheck disable=SC2016 # for the inner shell
	local AGENT_BY=(sh -c 'export WATCHDOG_PID=$$; exec "$@"' sh)
	export NOTIFY_SOCKET=$TMP/notify WATCHDOG_USEC=200000
	defer unset NOTIFY_SOCKET WATCHDOG_USEC

	topo_pair || return
	start c socat -u "UNIX-RECV:$TMP/notify" "CREATE:$TMP/notified"
	must "a manager" slowwait 10 test -S "$TMP/notify" || return
	agent_start m || return
	must "READY" slowwait 10 has_line "$TMP/notified" 'READY=1' || return
	must "WATCHDOG, again and again" slowwait 10 watched_times 5 || return
	kill -STOP "${AGENT[m]}"
	must "not when it hangs" slowwait 5 stands_still
	kill -CONT "${AGENT[m]}"
}

watched_times() {
	[ "$(grep -o WATCHDOG=1 "$TMP/notified" | wc -l)" -ge "$1" ]
}

# stands_still: Has the service manager heard nothing for more than the watchdog's period?
stands_still() {
	local now

	now="notified $(stat -c %s "$TMP/notified")"
	[ "$now" = "$LAST_SEEN" ] && return 0
	LAST_SEEN=$now
	nap 0.3
	return 1
}

# renamed: Checks that the agent begins to use a device when it gets a name that is listed, and stops when it loses that name.
renamed() {
	local client server M C NEW TARGET

	stage 4 client || return
	ipn m link add docker7 type dummy && ipn m link set docker7 up && ipn m addr add 198.51.100.200/32 dev docker7 || return
	must "goes on" goes_on m || return
	check "does not count" host_is m "$C" 'all(.addr[]; .address != "198.51.100.200")'
	ipn m link property add dev docker7 altname lan7 && ipn m link set docker7 down && ipn m link set docker7 name lan9 up || return
	must "counts" slowwait 10 host_is m "$C" 'any(.addr[]; .address == "198.51.100.200")' || return
	ipn m link set lan9 down && ipn m link set lan9 name docker9 up || return
	must "does not count again" slowwait 10 host_is m "$C" 'all(.addr[]; .address != "198.51.100.200" or .set != "local")'
}

for family in 4 6; do
	for who in client server; do
		run_case "IPv$family, $who moves: the moving host's agent is killed and restarted" killed $family $who m
		run_case "IPv$family, $who moves: the peer's agent is killed and restarted" killed $family $who c
		run_case "IPv$family, $who moves: both agents are killed and restarted" killed $family $who "m c"
		run_case "IPv$family, $who moves: while its agent is dead" moved_meanwhile $family $who
	done
	run_case "IPv$family: stopped cleanly, established flows go on" stopped $family
	run_case "IPv$family: the first message of a hand-off is lost" lost_messages $family 1
	run_case "IPv$family: the first two messages of a hand-off are lost" lost_messages $family 2
done
run_case "ihmpd --flush leaves nothing" flushed
run_case "nothing that is not the agent's own is changed" hands_off
for dev in veth7 docker0 br-1234 tun3; do
	run_case "addresses of $dev and lo are ignored" ignored $dev
done
run_case "a storm of addresses and routes" storm
run_case "what it says of itself" asked
for family in 4 6; do
	run_case "IPv$family: with CAP_NET_ADMIN and nothing else" bounded $family
	run_case "IPv$family: reloaded before, in and after a move" reloaded $family
done
run_case "reloaded: a good file counts, a bad one changes nothing" reread
run_case "a change of addresses is told at once" at_once
run_case "what does not count does not wake it" undisturbed
run_case "a service manager's watchdog" watched
run_case "a device that is renamed" renamed
run_case "configuration: empty is safe" config_good
run_case "configuration: bad is refused whole" config_bad
run_case "a second agent is refused" second_one
run_case "no module: said plainly" without_module
suite_end
