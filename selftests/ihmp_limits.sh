#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests limits: what does not fit is passed untranslated, counted and announced; what is no longer needed makes room.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# refused TEXT CMD...: Checks that CMD fails with status 2 and prints TEXT.
refused() {
	local text=$1 status
	shift

	"$@" >"$TMP/out" 2>&1
	status=$?
	[ "$status" = 2 ] || { fail "$*: status $status" || return; }
	grep -qi -- "$text" "$TMP/out" || fail "$*: said $(cat "$TMP/out")"
}

hosts() {
	topo_trio || return
	ctl m param set max-hosts 2 || return
	ctl m host add remote 192.0.2.50 local 192.0.2.1 >/dev/null && ctl m host add remote 192.0.2.51 local 192.0.2.1 >/dev/null || return
	refused 'ihmp: ' ctl m host add remote 192.0.2.52 local 192.0.2.1
	equal "hosts" 2 "$(figure m hosts)"
	ctl m param set discovery 1 && serve c 4 tcp:5000 && traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=20000 || return
	must "an undiscovered peer is served as without us" goes_on m || return
	must "and counted" slowwait 5 reason_at_least m host-limit 1 || return
	ctl m host flush
	must "room again: discovered" slowwait 10 figure_at_least m discovered 1 || return
	refused 'ihmp: \|range' ctl m param set max-hosts 0
}

flows() {
	local family=$1 M C

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	ctl m param set max-flows 4 && introduce m "$M" c "$C" || return
	start m ihmpctl -j monitor >"$TMP/events" 2>&1
	serve c "$family" tcp:5000 && traffic m "$family" "$C" "tcp:5000,rate=20000,count=8" || return
	must "all go on" goes_on m || return
	equal "flows" 4 "$(figure m flows)"
	at_least "counted" 1 "$(reason m flow-limit)"
	must "announced" slowwait 5 has_line "$TMP/events" flow-limit || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 1000 "$C"
	equal "flows that were made" 4 "$(figure m flows-made)"
}

# timeouts FAMILY: Checks that an unconnected UDP flow without traffic goes after udp-timeout if there is no room, and a connected one
# with its socket.
timeouts() {
	local family=$1 M C before

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	ctl m param set udp-timeout 2 && introduce m "$M" c "$C" && serve c "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic m "$family" "$C" tcp:5000,burst=1 udpc:5001,burst=1,size=100 udpu:5002,burst=1,size=100 || return
	nap 30
	equal "flows while there is room" 3 "$(figure m flows)"
	# Idle flows stay while they are fewer than an eighth of the table, which is three of 24.
	ctl m param set max-flows 24 || return
	must "the unconnected one goes" slowwait 30 figure_is m flows 2 || return
	check "TCP stays" has_flow m 6
	check "connected UDP stays" has_flow m 17
	# All flows still work.
	must "everything goes on" burst m 300 || return
	equal "flows again" 3 "$(figure m flows)"
	before=$(figure m flows-expired)
	at_least "expired" 1 "$before"
	traffic_end m && serve_end c || return
	must "nothing is left when the sockets are closed" slowwait 150 figure_is m flows 0
}

# asker HOST FAMILY ADDR PORT COUNT [hears]: Starts a program that sends from so many ports and keeps its sockets.
asker() {
	rm -f "$TMP/asked"
	start "$1" python3 -c '
import signal, socket, sys
asked, family, there, port, count, *hears = sys.argv[1:]
sockets = [socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(int(count))]
for sock in sockets:
    sock.settimeout(10)
    sock.sendto(b"question", (there, int(port)))
    if hears:
        sock.recv(100)
open(asked, "w").close()
signal.pause()
' "$TMP/asked" "${@:2}"
	must "$5 questions" slowwait 30 test -e "$TMP/asked"
}

# answers HOST FAMILY PORT: Starts a service with an unconnected socket that sends back what comes.
answers() {
	start "$1" python3 -c '
import socket, sys
sock = socket.socket(socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", int(sys.argv[2])))
while True:
    sock.sendto(*sock.recvfrom(2000))
' "$2" "$3"
	must "a service" slowwait 20 receives "$1" "$3"
}

# reads HOST FAMILY PORT: Starts a service that only reads.
reads() {
	start "$1" socat -u "UDP$2-RECV:$3" OPEN:/dev/null
	must "a receiver" slowwait 20 receives "$1" "$3"
}

# flood FROM ADDR TO COUNT [FIRST [OTHER]]: Sends a datagram from each of so many ports, with ADDR as source, and one more from the address
# OTHER. The packets bypass the hooks of the host FROM, which sends them.
flood() {
	ipn "$1" neigh show "$3" | grep -q lladdr || in_ns "$1" ping -q -c 1 -W 2 "$3" >/dev/null
	in_ns "$1" "$SELFTESTS/inject.py" eth0 udp "$2" "$3" --sport "${5:-20000}" --dport 5002 --ports "$4" ${6:+--by-turns "$6"}
}

# flows_at HOST ADDR: Prints how many flows HOST has with the host at ADDR.
flows_at() {
	host_json "$1" "$2" | jq .flows
}

# flows_by HOST PORT: Prints how many flows HOST has on this local port.
flows_by() {
	ctl "$1" -j flow show | jq --argjson port "$2" '[.[] | select(."local-port" == $port)] | length'
}

receives() {
	in_ns "$1" ss -Huln "sport = :$2" | grep -q .
}

# silent_ones FAMILY: Checks how many silent flows stay, depending on the room in the table.
silent_ones() {
	local family=$1 M C

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	ctl m param set udp-timeout 2 && ctl c param set udp-timeout 2 && introduce m "$M" c "$C" || return
	answers c "$family" 5002 && asker m "$family" "$C" 5002 256 hears || return
	nap 60
	equal "256 flows of a host" "256 256" "$(figure m flows) $(figure c flows)"
	asker m "$family" "$C" 5002 44 hears || return
	nap 60
	equal "flows of a host that has more" "256 256" "$(figure m flows) $(figure c flows)"
	ctl m param set max-flows 1024 || return
	nap 60
	equal "flows at m, where 128 are an eighth, and at c" "127 256" "$(figure m flows) $(figure c flows)"
	# With this the table of hosts is half full.
	ctl m param set max-hosts 2 || return
	must "none at m" slowwait 60 figure_is m flows 0 || return
	equal "flows at c" 256 "$(figure c flows)"
}

# one_way FAMILY: Checks that a flow on which only the other host has sent goes soon, although there is room. A flow stays that was
# answered, or on which a local program has sent: it may have told its peer this address.
one_way() {
	local family=$1 M C

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	introduce m "$M" c "$C" && reads m "$family" 5002 && answers m "$family" 5003 || return
	asker c "$family" "$M" 5002 20 && asker c "$family" "$M" 5003 10 hears && flood c "$C" "$M" 150 || return
	equal "flows at first" "180 30" "$(figure m flows) $(figure c flows)"
	nap 20
	equal "after 20 seconds" "180 30" "$(figure m flows) $(figure c flows)"
	nap 40
	equal "after a minute" "10 30" "$(figure m flows) $(figure c flows)"
	nap 150
	equal "after udp-timeout" "10 30" "$(figure m flows) $(figure c flows)"
	# When the host has moved, its flows stay: without their rows, identifiers that programs have learned would lead nowhere.
	flood c "$C" "$M" 50 && ctl m host set "${HID[m]}" remote "${C%1}9" || return
	nap 120
	equal "after a move" 60 "$(figure m flows)"
}

# share FAMILY: Checks that a flood in the name of one host takes no room from other hosts, nor from answered flows of that host.
share() {
	local family=$1 M C D

	FAMILIES=$family topo_trio || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]}
	# A host may have an eighth of the table, which is 256.
	ctl m param set max-flows 2048 && introduce m "$M" c "$C" && introduce m "$M" d "$D" || return
	reads m "$family" 5002 && answers m "$family" 5003 && serve d "$family" tcp:5000 || return
	asker c "$family" "$M" 5003 10 hears || return
	start m ihmpctl -j monitor >"$TMP/events" 2>&1
	flood c "$C" "$M" 3000 || return
	equal "flows with c" 256 "$(flows_at m "$C")"
	equal "answered ones" 10 "$(flows_by m 5003)"
	equal "those that went for another" $((3010 - 256)) "$(reason m flow-evicted)"
	must "announced" slowwait 5 has_line "$TMP/events" flow-evicted || return
	asker c "$family" "$M" 5003 10 hears || return
	equal "answered ones, later" "20 256" "$(flows_by m 5003) $(flows_at m "$C")"
	traffic m "$family" "$D" tcp:5000,rate=20000 || return
	must "another host has flows" slowwait 5 has_flow m 6 || return
	equal "full" "0 0" "$(reason m flow-limit) $(reason m host-flow-limit)"
	# Flows that may not be evicted fill the share.
	asker c "$family" "$M" 5003 600 hears || return
	equal "flows with c" 256 "$(flows_at m "$C")"
	equal "answered ones, at last" 256 "$(flows_by m 5003)"
	at_least "refused" 100 "$(reason m host-flow-limit)"
	must "announced" slowwait 5 has_line "$TMP/events" host-flow-limit || return
	equal "the table is full" 0 "$(reason m flow-limit)"
	equal "flows with d" 1 "$(flows_at m "$D")"
	traffic_end m && serve_end d
}

# full FAMILY: Checks that in a full table a new flow replaces one that nobody has answered, but not one on which this end sent before
# the host moved.
full() {
	local family=$1 M C D before

	FAMILIES=$family topo_trio || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]}
	# The table is too small to have shares.
	ctl m param set max-flows 200 && introduce m "$M" d "$D" && introduce m "$M" c "$C" || return
	reads m "$family" 5002 && serve d "$family" tcp:5000 || return
	asker m "$family" "$C" 5004 50 && ctl m host set "${HID[m]}" remote "${C%1}9" || return
	equal "flows that have moved" 50 "$(flows_at m "$C")"
	flood c "${C%1}9" "$M" 1000 30000 || return
	equal "flows with c" 200 "$(flows_at m "$C")"
	traffic m "$family" "$D" tcp:5000,rate=20000,count=3 || return
	must "another host has flows" slowwait 5 figure_at_least m flows 200 || return
	equal "flows with d and c" "3 197" "$(flows_at m "$D") $(flows_at m "$C")"
	equal "those that have moved" 50 "$(ctl m -j flow show | jq '[.[] | select(."remote-port" == 5004)] | length')"
	equal "passed for want of room" 0 "$(reason m flow-limit)"
	traffic_end m && serve_end d
}

# elsewhere FAMILY MAX REASON: a host fills a table of MAX, or its share of it, with flows on which it alone sends, from two of its
# addresses by turns. What is new has the place of such a one.
elsewhere() {
	local family=$1 most=$2 why=$3 M C D other filled

	FAMILIES=$family topo_trio || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} D=${ADDR[d.eth0.$family]}
	other=${C%1}9 filled=$((most < 256 ? most : 256))
	ctl m param set max-flows "$most" && introduce m "$M" d "$D" && introduce m "$M" c "$C" || return
	ctl m host set "${HID[m]}" remote "$C" remote "$other" && reads m "$family" 5002 && serve d "$family" tcp:5000 || return
	answers c "$family" 5003 && flood c "$C" "$M" "$filled" 20000 "$other" || return
	equal "flows of the host, and none went for another" "$filled 0" "$(flows_at m "$C") $(reason m flow-evicted)"
	asker m "$family" "$C" 5003 10 hears && traffic m "$family" "$D" tcp:5000,rate=20000,count=3 || return
	must "others go on" slowwait 5 figure_is m flows $((most < 256 ? most : 259)) || return
	equal "new flows with the host" 10 "$(ctl m -j flow show | jq '[.[] | select(."remote-port" == 5003)] | length')"
	equal "flows with another host" 3 "$(flows_at m "$D")"
	at_least "those that went for another" 10 "$(reason m flow-evicted)"
	equal "passed for want of room" 0 "$(reason m "$why")"
	traffic_end m && serve_end d
}

# by_turns FAMILY: who sends from two addresses of a host by turns makes no event of each packet, and listeners know the path at last.
by_turns() {
	local family=$1 M C other id

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} other=${C%1}9
	introduce m "$M" c "$C" && ctl m host set "${HID[m]}" remote "$C" remote "$other" && reads m "$family" 5002 || return
	id=${HID[m]}
	flood c "$C" "$M" 1 || return
	: >"$TMP/events"
	start m ihmpctl -j monitor >>"$TMP/events" 2>&1
	must "a listener" slowwait 10 hears_of_moves "$family" "$M" "$C" "$other" || return
	nap 3
	: >"$TMP/events"
	# The path changes to the other address 500 times, and back as often.
	in_ns c "$SELFTESTS/inject.py" eth0 udp "$other" "$M" --by-turns "$C" --sport 20000 --dport 5002 --count 500 || return
	must "the path in use" path_is m "$id" "$M" "$C" || return
	must "told at last" slowwait 5 last_told "$C" || return
	nap 5
	must "still so" last_told "$C" || return
	at_least "events" 2 "$(grep -c followed "$TMP/events")"
	at_most "events" $((3 + SLACK_MS / 500)) "$(grep -c followed "$TMP/events")"
}

# hears_of_moves FAMILY M C OTHER: The path goes to the other address and back, by one packet each.
hears_of_moves() {
	local to

	for to in "$4" "$3"; do
		in_ns c "$SELFTESTS/inject.py" eth0 udp "$to" "$2" --sport 20000 --dport 5002
	done
	nap 2
	last_told "$3"
}

# last_told ADDR: Has the last event about a path this remote address?
last_told() {
	[ "$(grep '"path-ntf"' "$TMP/events" | tail -n 1 | jq -r .remote)" = "$1" ]
}

# bounds: Checks that root of another user namespace cannot set larger limits than the initial network namespace has.
bounds() {
	local text='as in the initial network namespace'

	quiet unshare -Urn true || { skip "no user namespaces" && return; }
	defer ihmpctl param set max-hosts 65536 max-flows 1048576 max-nats 65536
	ihmpctl param set max-hosts 60000 max-flows 1000000 || return
	refused "at most 60000, $text" unshare -Urn ihmpctl param set max-hosts 60001 || return
	refused "at most 1000000, $text" unshare -Urn ihmpctl param set max-flows 1000001 || return
	refused "at most 65536, $text" unshare -Urn ihmpctl param set udp-timeout 7 max-nats 65537 || return
	check "as much" unshare -Urn ihmpctl param set max-hosts 60000 max-flows 1000000 max-nats 65536
	# shellcheck disable=SC2016 # the inner shell's
	equal "begins with as much, lowers it, and comes back" '60000 1000000 7 8 60000' "$(unshare -Urn sh -c '
		show() { ihmpctl -j param show | jq ".[\"$1\"]"; }
		echo $(show max-hosts; show max-flows; ihmpctl param set max-hosts 7; show max-hosts
			ihmpctl param set max-hosts 8; show max-hosts; ihmpctl param set max-hosts 60000; show max-hosts)')"
	setup_ns m || return
	check "root itself may have more" quiet ctl m param set max-hosts 100000 max-flows 2000000 max-nats 70000
}

has_flow() {
	ctl "$1" -j flow show | jq -e --argjson p "$2" 'any(.[]; .proto == $p)' >/dev/null
}

addresses() {
	local words=() i

	topo_pair || return
	for ((i = 1; i <= 16; i++)); do
		words+=(remote "198.51.100.$i")
	done
	check "sixteen addresses" quiet ctl m host add "${words[@]}" local 192.0.2.1
	refused 'ihmp: ' ctl m host add "${words[@]}" remote 198.51.100.17 local 192.0.2.1
	equal "hosts" 1 "$(figure m hosts)"
	refused 'ihmp: ' ctl m path add host 1 remote 198.51.100.17
	refused 'ihmp: ' ctl m host add remote 224.0.0.1 local 192.0.2.1
	refused 'ihmp: ' ctl m host add remote 127.0.0.1 local 192.0.2.1
	refused 'ihmp: ' ctl m host add remote ff02::1 local 192.0.2.1
	refused 'ihmp: ' ctl m host add remote fe80::1 local 192.0.2.1
	refused 'ihmp: ' ctl m host add remote 0.0.0.0 local 192.0.2.1
}

# Checks that a host with a lifetime goes, and one without stays.
expiry() {
	topo_pair || return
	ctl m host add expires 1 remote 192.0.2.50 local 192.0.2.1 >/dev/null && ctl m host add remote 192.0.2.51 local 192.0.2.1 >/dev/null || return
	equal "hosts" 2 "$(figure m hosts)"
	must "one goes" slowwait 5 figure_is m hosts 1 || return
	check "the other stays" host_is m 192.0.2.51 true
}

# churn: Checks that thousands of connections leave no row.
churn() {
	local ports

	FAMILIES=4 topo_pair && introduce m "${ADDR[m.eth0.4]}" c "${ADDR[c.eth0.4]}" || return
	sysctl_in m net.ipv4.ip_local_port_range='10000 60000'
	serve c 4 tcp:5000 || return
	# The kernel may choose a port again before the row of its last connection is gone, so there are fewer ports than connections.
	ports=$(
		in_ns m python3 - "${ADDR[c.eth0.4]}" <<-'END'
			import socket, struct, sys
			ports = set()
			for _ in range(2000):
			    s = socket.create_connection((sys.argv[1], 5000))
			    ports.add(s.getsockname()[1])
			    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
			    s.close()
			print(len(ports))
		END
	) || { fail "connections fail" || return; }
	at_least "ports" 1500 "$ports"
	at_least "flows made" "$ports" "$(figure m flows-made)"
	must "none is left" slowwait 150 figure_is m flows 0 || return
	must "none at the peer" slowwait 150 figure_is c flows 0
}

# no_path FAMILY: Checks that sockets get EHOSTUNREACH after path-timeout without a path, and not before. Datagrams go on when there is
# a path again.
no_path() {
	local family=$1 M C since wait=$((10 + SLACK_MS / 500))

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	ctl m param set path-timeout "$wait" && introduce m "$M" c "$C" || return
	serve c "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic m "$family" "$C" tcp:5000,rate=20000 udpc:5001 udpu:5002 || return
	must "flows" slowwait 5 figure_at_least m flows 3 || return
	since=$(now_ms)
	ctl m host set "${HID[m]}" clear local || return
	must "half of the time" slowwait "$wait" passed "$since" $((wait * 500)) || return
	ctl m host set "${HID[m]}" local "$M" || return
	must "goes on after a gap" goes_on m || return
	equal "told so far" 0 "$(figure m unreachable)"
	since=$(now_ms)
	ctl m host set "${HID[m]}" clear local || return
	must "the connected ones are told" slowwait $((wait * 2)) figure_at_least m unreachable 2 || return
	at_least "ms later" $((wait * 1000)) $(($(now_ms) - since))
	nap 0.2
	ctl m host set "${HID[m]}" local "$M" || return
	must "connected UDP goes on" slowwait 5 advances m udpc || return
	must "unconnected UDP goes on" slowwait 5 advances m udpu || return
	equal "told at all" 2 "$(figure m unreachable)"
	traffic_end m
	equal "first errors" '{"tcp":"EHOSTUNREACH","udpc":"EHOSTUNREACH","udpu":"EHOSTUNREACH"}' \
		"$(jq -c '[.flows[] | {(.name): .error_times[0][2]}] | add' "$TMP/run.m.json")"
	at_least "ms until the first one" $((wait * 1000)) \
		"$(jq --argjson since "$since" '[.flows[].error_times[][0]] | min * 1000 - $since | floor' "$TMP/run.m.json")"
	ctl m param set path-timeout 0
}

# away FAMILY AGENTS: The network is gone for 90 seconds and comes back with the same address. Checks that connections go on, as they do
# without agents.
away() {
	local family=$1 M C since

	FAMILIES=$family topo_testbed delay 10ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	[ "$2" = none ] || agent_start m c || return
	serve c "$family" tcp:5000 udpu:5002 && traffic m "$family" "$C" tcp:5000,rate=20000 udpu:5002 || return
	[ "$2" = none ] || must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "goes on" goes_on m || return
	since=$(now_ms)
	leave m eth0 || return
	must "traffic stands" slowwait 10 stands m tcp || return
	POLL_MS=1000 slowwait 120 passed "$since" 90000 || return
	join m eth0 || return
	must "goes on after the gap" goes_on m 5 130 || return
	traffic_end m && serve_end c || return
	equal "errors of TCP" '{}' "$(jq -c '.flows[] | select(.name == "tcp") | .errors' "$TMP/run.m.json")"
	[ "$2" = none ] || equal "sockets that were told" "0 0" "$(figure m unreachable) $(figure c unreachable)"
}

advances() {
	local before

	before=$(progress "$1" "$2")
	nap 0.1
	[ "$(progress "$1" "$2")" -gt "$before" ]
}

run_case "hosts: refused by command, passed and counted by discovery" hosts
for family in 4 6; do
	run_case "IPv$family: flows over the limit pass, are counted and announced" flows $family
	run_case "IPv$family: EHOSTUNREACH after path-timeout without a path, not before" no_path $family
	run_case "IPv$family: 90 seconds without a network, without agents" away $family none
	run_case "IPv$family: 90 seconds without a network end no connection" away $family both
	run_case "IPv$family: flows go when they are idle and there is no room, or their sockets are closed" timeouts $family
	run_case "IPv$family: of what is silent so much stays as there is room for" silent_ones $family
	run_case "IPv$family: of what went one way only, what came in goes after half a minute" one_way $family
	run_case "IPv$family: a host has its share of the flows, and no flood takes more" share $family
	run_case "IPv$family: in a full table, a new flow has the place of one that nobody answered" full $family
	run_case "IPv$family: a full table of what a host sent from two addresses by turns has room for what is new" elsewhere $family 200 flow-limit
	run_case "IPv$family: a host's share of that, too" elsewhere $family 2048 host-flow-limit
	run_case "IPv$family: packets from two addresses of a host by turns make no event each" by_turns $family
done
run_case "addresses: how many and which" addresses
run_case "hosts expire" expiry
run_case "root of a user namespace has no larger tables than the initial network namespace" bounds
run_case "two thousand connections leave no row" churn
suite_end
