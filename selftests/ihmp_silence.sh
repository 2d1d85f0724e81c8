#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests what happens when a network fails without an event: carrier and addresses stay, and the router forwards nothing. The flows of a
# host that has another network continue there, and return when the first network works again.
#
# The figures of ihmp.json are left in $IHMP_RESULTS: how long nothing arrived, and how long it took until the network was used again.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/paired.sh"

# One way, in milliseconds.
DELAY_MS=30
# Milliseconds within which flows go on when a network has died, and within which it is used again when it works again.
TCP_MS=2000 UDP_MS=1500 BACK_MS=5000

# stage FAMILY CLIENT FLOW...: Gives m two networks, of which it prefers eth0, has c learn both, and starts traffic from CLIENT, which is m
# or c, to the other host.
stage() {
	local family=$1 client=$2 server=c at
	shift 2

	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]} at=$C
	[ "$client" = m ] || server=m at=$M
	agents m c && serve "$server" "$family" tcp:5000 udpu:5001 && traffic "$client" "$family" "$at" "$@" || return
	acquainted m "$C" c "$M" && join m wifi0 500 && knows c "$M" "$NEW" || return
	must "traffic goes on" goes_on "$client" 20
}

# dies, revives: Has r1 forward nothing in either direction, or everything again.
dies() {
	netem r1 wan loss 100% && netem r1 lan loss 100%
}

revives() {
	netem r1 wan delay 0ms && netem r1 lan delay 0ms
}

# uses ADDRESS: Does c send to m at this address?
uses() {
	path_is c "$M" "$C" "$1"
}

# gap CLIENT SERVER MOMENT_MS: Prints the milliseconds from that moment until something arrived again, at the end that waited longer.
gap() {
	jq -s --argjson began "$3" '[.[].flows[].silences[]? | select(.[1] * 1000 > $began and .[0] * 1000 < $began + 1000) | .[1] * 1000 - $began]
		| max // 0 | floor' "$TMP/run.$1.json" "$TMP/serve.$2.json"
}

# dead FAMILY KIND MOST CLIENT FLOW...: Checks that flows continue within MOST milliseconds after the network died, and use it again later.
dead() {
	local family=$1 kind=$2 most=$3 client=$4 server=c M C NEW died revived back gap
	shift 4

	[ "$client" = m ] || server=m
	stage "$family" "$client" "$@" && dies || return
	died=$(now_ms)
	if ! taking_part; then
		# What is in flight arrives.
		goes_on "$client" 10 1
		not goes_on "$client" 5 20 || fail "traffic goes on without agents"
		return
	fi
	must "the network is left" slowwait 10 has_line "$TMP/ihmpd.m.log" "event=path-dead local=$M peer=$C by=$NEW " || return
	must "traffic goes on elsewhere" goes_on "$client" 50 || return
	revives
	revived=$(now_ms)
	must "the network is used again" slowwait 20 has_line "$TMP/ihmpd.m.log" "event=path-back local=$M " || return
	back=$(($(now_ms) - revived))
	figure_of "dead network, IPv$family, $kind" "until it is used again" "$back" ms
	at_most "ms until it is used again" "$BACK_MS" "$back"
	must "traffic goes on there" goes_on "$client" 50 && must "in both directions" slowwait 10 uses "$M" || return
	traffic_end "$client" && serve_end "$server" || return
	gap=$(gap "$client" "$server" "$died")
	figure_of "dead network, IPv$family, $kind" gap "$gap" ms
	at_least "ms until something comes" $((2 * DELAY_MS)) "$gap"
	at_most "ms until something comes" "$most" "$gap"
	equal "what is wrong with flows" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .cut) | tojson' "$TMP/run.$client.json")"
}

# cycles FAMILY: Checks that no connection is lost when the network dies and comes back twenty times.
cycles() {
	local family=$1 M C NEW round

	stage "$family" m tcp:5000,rate=50000 udpc:5001 || return
	for ((round = 1; round <= 20; round++)); do
		dies && must "round $round: traffic goes on elsewhere" goes_on m 20 10 && revives || return
		must "round $round: the network is used again" slowwait 20 has_lines "$TMP/ihmpd.m.log" "event=path-back local=$M " "$round" || return
		must "round $round: traffic goes on there" goes_on m 20 10 || return
	done
	traffic_end m && serve_end c
	equal "what is wrong with flows" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {} or .cut) | tojson' "$TMP/run.m.json")"
}

# told FAMILY PATHS: Checks that the module sends an event when nothing comes any more on a flow on which c was heard, four times a second,
# if m has two paths to c. With one path, and for a flow that was never answered, it sends none.
told() {
	local family=$1 paths=$2 M C count

	FAMILIES=$family topo_pair delay "${DELAY_MS}ms" || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	introduce m "$M" c "$C" || return
	[ "$paths" = 1 ] || ctl m host set "${HID[m]}" remote "$C" remote "${C%1}9" || return
	serve c "$family" udpu:5001 && traffic m "$family" "$C" udpc:5001 && must "traffic goes on" goes_on m 20 || return
	start m ihmpctl -j monitor >"$TMP/events" 2>&1
	start c socat -u "UDP$family-RECV:5003" OPEN:/dev/null
	# shellcheck disable=SC2016 # the inner shell's
	start m bash -c 'exec 3<>"/dev/udp/$1/5003" && while :; do echo one way >&3; sleep 0.05; done' - "$C"
	must "datagrams one way" slowwait 5 figure_is m flows 2 || return
	later 2
	equal "events while it goes on" 0 "$(grep -c silent-ntf "$TMP/events")"
	netem s m0 loss 100%
	later 2
	count=$(grep -c silent-ntf "$TMP/events")
	[ "$paths" = 1 ] || { at_least "events" 5 "$count" && at_most "events" 8 "$count" && return; }
	equal "events" 0 "$count"
}

# has_lines FILE PATTERN COUNT: Does the file have at least so many lines with the pattern?
has_lines() {
	[ "$(grep -c "$2" "$1")" -ge "$3" ]
}

# silent_peer FAMILY: Has c die. Checks that m leaves no network, and probes c less and less often.
silent_peer() {
	local family=$1 M C NEW before

	stage "$family" m tcp:5000,rate=50000 udpc:5001 && netem s pc loss 100% || return
	before=$(probed m)
	later 60
	taking_part || return 0
	equal "networks that were left" 0 "$(grep -c event=path-dead "$TMP/ihmpd.m.log")"
	at_least "probes" 2 $(($(probed m) - before))
	at_most "probes" 60 $(($(probed m) - before))
	netem s pc delay "${DELAY_MS}ms" && must "traffic goes on" goes_on m 20 60
}

# lossy FAMILY: Checks that m does not leave a network that loses a packet in twenty. One of the flows gets no answers.
lossy() {
	local family=$1 M C NEW

	stage "$family" m udpc:5001,interval=0.01,reply=0 tcp:5000,rate=50000 && netem r1 wan loss 5% && netem r1 lan loss 5% || return
	later 60
	taking_part || return 0
	equal "networks that were left" 0 "$(grep -c event=path-dead "$TMP/ihmpd.m.log")"
}

for family in 4 6; do
	for client in m c; do
		paired "IPv$family: TCP of $client leaves a network that died" dead $family "tcp-$client" $TCP_MS $client tcp:5000,rate=50000
		paired "IPv$family: a download of $client leaves it" dead $family "download-$client" $TCP_MS $client tcp:5000,rate=50000,send=0
		paired "IPv$family: UDP of $client leaves it" dead $family "udp-$client" $UDP_MS $client udpc:5001
	done
	run_case "IPv$family: the module says that nothing comes back" told $family 2
	run_case "IPv$family: it says nothing where there is no other path" told $family 1
	run_case "IPv$family: it dies and comes back twenty times" cycles $family
	run_case "IPv$family: a host that died is asked less and less" silent_peer $family
	run_case "IPv$family: a network that loses packets is not left" lossy $family
done
suite_end
