#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests the data path without an agent, by host entries that are changed by hand: what is translated, and what never is.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# stage FAMILY [FLOW...]: Builds two introduced hosts with traffic.
stage() {
	local family=$1 flows

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	introduce m "$M" c "$C" || return
	shift
	[ $# -gt 0 ] || return 0
	flows=("$@")
	serve c "$family" tcp:5000 udpc:5001 udpu:5002 && traffic m "$family" "$C" "${flows[@]}"
}

# go FAMILY: Re-addresses m, and tells both hosts.
go() {
	address m eth0 "$1" "$NEW" "$M" && moved m c "$NEW"
}

all_kinds() {
	local M C NEW UP DOWN

	stage "$1" tcp:5000,rate=50000 udpc:5001 udpu:5002 ping || return
	must "flows at m" slowwait 5 figure_at_least m flows 4 || return
	must "flows at c, which answers echo requests without one" slowwait 5 figure_at_least c flows 3 || return
	DOWN=$EPOCHREALTIME
	go "$1" || return
	UP=$EPOCHREALTIME
	must "traffic goes on" goes_on m || return
	check "path at m" path_is m "$C" "$NEW" "$C"
	check "path at c" path_is c "$M" "$C" "$NEW"
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" $((40 + SLACK_MS)) "$C"
	must "back to the old address" address m eth0 "$1" "$M" "$NEW" || return
}

hooks_follow_hosts() {
	local M C NEW

	FAMILIES='4 6' topo_pair || return
	equal "hooks at first" 0 "$(figure m hooks)"
	introduce m "${ADDR[m.eth0.4]}" c "${ADDR[c.eth0.4]}" || return
	at_least "hooks with a host" 1 "$(figure m hooks)"
	ctl m host del "${HID[m]}" || return
	must "hooks without hosts" slowwait 5 no_hooks m || return
	ctl c host flush || return
	must "hooks after a flush" slowwait 5 no_hooks c || return
	ctl m param set discovery 1
	at_least "hooks with discovery" 1 "$(figure m hooks)"
	ctl m param set discovery 0
	must "hooks without discovery" slowwait 5 no_hooks m
}

no_hooks() {
	[ "$(figure "$1" hooks)" = 0 ]
}

# gap FAMILY: Checks that packets are dropped silently while there is no path, and that TCP is woken when there is one again.
gap() {
	local M C NEW UP now

	stage "$1" tcp:5000,rate=50000 udpc:5001 udpu:5002 || return
	must "flows" slowwait 5 figure_at_least m flows 3 || return
	must "goes on" goes_on m || return
	ctl m host set "${HID[m]}" clear local || return
	must "no path at m" host_is m "$C" '.local == null' || return
	# This is long enough for the retransmission timer to back off.
	must "packets are refused" slowwait 20 reason_at_least m no-path 100 || return
	UP=$EPOCHREALTIME
	ctl m host set "${HID[m]}" local "$M" || return
	must "goes on again" goes_on m || return
	at_least "sockets that were woken" 1 "$(figure m tcp-woken)"
	traffic_end m && serve_end c || return
	judge_ok m c hard 0 "$UP" $((40 + SLACK_MS)) "$C"
	equal "reasons" no-path "$(reasons m | cut -d' ' -f1 | xargs)"
}

# wire WHAT: Applies netem to the link between m and c, in both directions.
wire() {
	netem s m0 "$@" && netem s c0 "$@"
}

# awake FAMILY: The link was cut for a while, and no address was lost. Checks that TCP goes on when it is told to, and not before.
awake() {
	local M C NEW UP DOWN cut

	stage "$1" tcp:5000,rate=50000 || return
	must "goes on" goes_on m || return
	DOWN=$EPOCHREALTIME cut=$(now_ms)
	wire loss 100% || return
	must "traffic stands" slowwait 10 stands m tcp || return
	# TCP's next retransmission is seconds away.
	POLL_MS=1000 slowwait 30 passed "$cut" 10000 || return
	wire delay 1ms || return
	UP=$EPOCHREALTIME
	ctl m host set "${HID[m]}" wake && ctl c host set "${HID[c]}" wake || return
	must "goes on" goes_on m || return
	equal "sockets that were woken" "1 1" "$(figure m tcp-woken) $(figure c tcp-woken)"
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" $((40 + SLACK_MS)) "$C"
}

# untold FAMILY: The local address of the path does not exist, because the module was not told that it went, or was told too early of the
# new one. Checks that packets are dropped, and that none leaves from an address that the machine does not have.
untold() {
	local M C NEW DOWN UP family=$1

	stage "$family" tcp:5000,rate=50000 udpc:5001 udpu:5002 || return
	must "flows" slowwait 5 figure_at_least m flows 3 || return
	DOWN=$EPOCHREALTIME
	address m eth0 "$family" "$NEW" "$M" && loses "$M" || return
	moved m c "$NEW" || return
	must "goes on from the new address" goes_on m || return
	ctl m host set "${HID[m]}" local "$M" && loses "$M" || return
	ctl c host set "${HID[c]}" remote "$M" && address m eth0 "$family" "$M" || return
	UP=$EPOCHREALTIME
	must "goes on when the address is there" goes_on m || return
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" $((2000 + SLACK_MS)) "$C"
	equal "reasons" local-gone "$(reasons m | cut -d' ' -f1 | xargs)"
}

# loses ADDRESS: Checks that packets of m from this address are dropped.
loses() {
	local before

	before=$(reason m local-gone)
	capture m eth0 -Q out "src host $1 and (tcp or udp)" || return
	must "packets are refused" slowwait 10 reason_at_least m local-gone $((before + 20)) || return
	capture_end m eth0
	equal "packets from $1" 0 "$(captured m eth0 .)"
}

# late FAMILY: Packets from a former address arrive after c has been told of the new one. Checks that c answers them with no reset.
late() {
	local M C NEW family=$1 sport

	stage "$family" tcp:5000,rate=50000 || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	sport=$(ctl m -j flow show | jq '.[] | select(.proto == 6) | ."local-port"')
	address m eth0 "$family" "$NEW" && moved m c "$NEW" || return
	must "goes on" goes_on m || return
	# m moves twice, because the first former address is the identifier, which the socket knows.
	address m eth0 "$family" "${M}2" && moved m c "${M}2" || return
	must "goes on" goes_on m || return
	# The two ends were told of the move one after the other.
	capture c eth0 "tcp and host $NEW" && ctl c stats flush || return
	in_ns m "$SELFTESTS/inject.py" eth0 tcp "$NEW" "$C" --sport "$sport" --dport 5000 --count 3 || return
	must "they are dropped" slowwait 5 reason_at_least c late 3 || return
	in_ns m "$SELFTESTS/inject.py" eth0 tcp "$NEW" "$C" --sport $((sport ^ 1)) --dport 5000 || return
	must "other ports have their reset" slowwait 5 has_line "$TMP/cap.c.eth0" "$C\.5000 > .* Flags \[R" || return
	must "goes on" goes_on m || return
	capture_end c eth0
	equal "resets" 1 "$(captured c eth0 "$C\.5000 > .* Flags \[R")"
	traffic_end m && serve_end c && judge_ok m c soft 0 0 1000 "$C"
	equal "reasons" "late 3" "$(reasons c | xargs)"
}

# address_of_others FAMILY: Another host takes the old address, which is the identifier. Checks that c reaches that host at the address,
# and that the connection goes on.
address_of_others() {
	local M C NEW family=$1

	stage "$family" tcp:5000,rate=50000 || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	go "$family" || return
	must "traffic goes on" goes_on m || return
	# A new host x takes the old address, and it alone answers for it.
	setup_ns x && plug s x0 x eth0 || return
	ADDR[x.eth0.$family]=$M
	FAMILIES=$family join x eth0 || return
	ipn c neigh flush dev eth0
	must "the old address belongs to the newcomer" quiet in_ns c ping -qnc 3 -i 0.05 -W 1 "$M" || return
	equal "who answers for it" "$(ipn x -j link show eth0 | jq -r '.[0].address')" \
		"$(ipn c -j neigh show "$M" | jq -r '.[0].lladdr')"
	must "the connection goes on beside it" goes_on m || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 100 "$C"
}

# untouched FAMILY: Checks packets that are never translated.
untouched() {
	local M C NEW family=$1

	stage "$family" || return
	address m eth0 "$family" "$NEW" && moved m c "$NEW" || return
	ctl m stats flush
	case $2 in
	loopback)
		check "ping" quiet in_ns m ping -qnc 5 -i 0.01 -W 1 "$([ "$family" = 4 ] && echo 127.0.0.1 || echo ::1)"
		check "to itself" quiet in_ns m ping -qnc 5 -i 0.01 -W 1 "$M"
		;;
	multicast)
		if [ "$family" = 4 ]; then
			in_ns m ping -qnc 5 -i 0.01 -W 0.2 -I eth0 224.0.0.1 >/dev/null
		else
			in_ns m ping -qnc 5 -i 0.01 -W 0.2 -I eth0 ff02::1 >/dev/null
		fi
		;;
	broadcast) in_ns m ping -b -qc 5 -i 0.01 -W 0.2 192.0.2.255 >/dev/null 2>&1 ;;
	link-local)
		check "ping" quiet in_ns m ping -qnc 5 -i 0.01 -W 1 "$(link_local c eth0)%eth0"
		;;
	signalling)
		serve c "$family" udpu:61453 || return
		# Both ends use the identifiers; data between these would be translated.
		traffic m "$family" "$C" "udpu:61453,bind=$M,sport=61453" || return
		must "goes on" goes_on m || return
		traffic_end m && serve_end c || return
		equal "seen from the old address" "$M 61453" "$(jq -r '.flows[0].peers | keys[]' "$TMP/serve.c.json")"
		;;
	esac
	equal "flows made" 0 "$(figure m flows-made)"
	equal "translated" 0 "$(ctl m -j stats show | jq '."out-translated" + ."in-translated"')"
}

link_local() {
	ipn "$1" -6 -j addr show dev "$2" scope link | jq -r '[.[].addr_info[] | select(.family == "inet6") | .local][0]'
}

# forwarded FAMILY: Checks that a router with host entries of its own does not translate what it forwards.
forwarded() {
	local family=$1 M C

	FAMILIES=$family topo_testbed delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	ctl r1 host add remote "$C" local "${ADDR[r1.wan.$family]}" >/dev/null || return
	ctl r1 host add remote "$M" local "${ADDR[r1.lan.$family]}" >/dev/null || return
	serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,rate=20000 ping || return
	must "goes on" goes_on m || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 100 "$C"
	equal "flows at the router" 0 "$(figure r1 flows-made)"
}

# preferences FAMILY: Checks that a flow that has left its address takes the local address with the lowest preference, that a flow leaves
# its own address when that is marked as left, and that its peer follows.
preferences() {
	local M C NEW family=$1 before

	stage "$family" udpc:5001 || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	address m eth0 "$family" "$NEW" || return
	ctl c path add host "${HID[c]}" remote "$NEW" || return
	ctl m path add host "${HID[m]}" local "$NEW" preference 10 || return
	check "the first stays" path_is m "$C" "$M" "$C"
	must "goes on" goes_on m || return
	ctl m path set host "${HID[m]}" local "$M" preference 20 || return
	must "the other is the path" slowwait 5 path_is m "$C" "$NEW" "$C" || return
	before=$(figure m out-translated)
	must "goes on after the change" goes_on m || return
	equal "nothing is translated yet" "$before" "$(figure m out-translated)"
	check "c sees no move" path_is c "$M" "$C" "$M"
	ctl m path set host "${HID[m]}" local "$M" preference 20 left || return
	must "goes on when it has left" goes_on m || return
	must "c follows what it hears" slowwait 5 path_is c "$M" "$C" "$NEW" || return
	equal "paths" 2 "$(ctl m -j path show host "${HID[m]}" | jq length)"
	equal "in use" 1 "$(ctl m -j path show host "${HID[m]}" | jq '[.[] | select(.active)] | length')"
	ctl m path del host "${HID[m]}" local "$NEW" || return
	must "and back" slowwait 5 path_is m "$C" "$M" "$C" || return
	must "goes on at the end" goes_on m || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 100 "$C"
}

# unvalidated FAMILY: Checks that resets and ICMP errors are ignored while the new local address is not acknowledged.
unvalidated() {
	local M C NEW family=$1 sport

	stage "$family" tcp:5000,rate=50000 || return
	must "flow" slowwait 5 figure_at_least m flows 1 || return
	sport=$(ctl m -j flow show | jq '.[] | select(.proto == 6) | ."local-port"')
	address m eth0 "$family" "$NEW" "$M" || return
	ctl c host set "${HID[c]}" remote "$NEW" && ctl m host set "${HID[m]}" local "$NEW" unvalidated || return
	must "goes on while unvalidated" goes_on m || return
	in_ns c ping -qnc 1 -W 1 "$NEW" >/dev/null
	in_ns c "$SELFTESTS/inject.py" eth0 tcp-rst "$C" "$NEW" --sport 5000 --dport "$sport" --count 3 || return
	must "the resets are refused" slowwait 5 reason_at_least m unvalidated-reset 3 || return
	must "goes on in spite of them" goes_on m || return
	ctl m host set "${HID[m]}" local "$NEW" || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 1000 "$C"
}

# removal FAMILY: Checks that removing a host leaves untranslated flows as they are.
removal() {
	local M C NEW

	stage "$1" tcp:5000,rate=50000 udpc:5001 ping || return
	must "flows" slowwait 5 figure_at_least m flows 3 || return
	ctl m host flush && ctl c host flush || return
	must "goes on without host entries" goes_on m || return
	equal "flows" 0 "$(figure m flows)"
	traffic_end m && serve_end c && judge_ok m c soft 0 0 100 "$C"
}

run_case "hooks come with the first host and go with the last" hooks_follow_hosts
for family in 4 6; do
	run_case "IPv$family: a move by hand, all kinds of traffic" all_kinds $family
	run_case "IPv$family: no path: quiet, counted, and TCP is woken afterwards" gap $family
	run_case "IPv$family: who was away and is where it was wakes TCP" awake $family
	run_case "IPv$family: nothing leaves from an address that is gone, told or not" untold $family
	run_case "IPv$family: the old address may belong to somebody else" address_of_others $family
	run_case "IPv$family: preferences choose the path, and the peer follows" preferences $family
	run_case "IPv$family: resets are ignored while an address is unvalidated" unvalidated $family
	run_case "IPv$family: what comes late from a former address draws no reset" late $family
	run_case "IPv$family: hosts removed, untranslated flows go on" removal $family
	run_case "IPv$family: forwarded packets are left alone" forwarded $family
	for what in loopback multicast signalling; do
		run_case "IPv$family: never translated: $what" untouched $family $what
	done
done
run_case "IPv4: never translated: broadcast" untouched 4 broadcast
run_case "IPv6: never translated: link-local" untouched 6 link-local
suite_end
