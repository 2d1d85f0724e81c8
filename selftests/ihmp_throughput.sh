#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what translation costs: one TCP stream between two namespaces on a veth pair, with offloads, is compared with the same stream
# between two other namespaces. Plain means that the module is loaded but has no host there, so no hook is registered.
#
# Other load on the machine changes both figures several times over. So both streams exist all the time and send in turns of 50 ms. A turn
# of each makes a pair, and the ratio of a round is the median of the ratios of its pairs. A program that shares the processor's caches
# slows the path that touches more memory, sometimes for a whole round. So there are up to three rounds; each is printed, and the best one
# counts.
#
# It leaves throughput.json in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

PAIRS=${PAIRS:-200}
ROUNDS=3
# The least that is allowed, in hundredths of the plain path's throughput.
LEAST=90
PORT=5201

stage() {
	local family=$1 host f

	HOSTS="m c" FAMILIES=$family
	setup_ns m c p q && cable m eth0 c eth0 && cable p eth0 q eth0 || return
	ADDR[m.eth0.4]=192.0.2.1 ADDR[c.eth0.4]=192.0.2.101 ADDR[m.eth0.6]=2001:db8:1::1 ADDR[c.eth0.6]=2001:db8:1::101
	for f in 4 6; do
		ADDR[p.eth0.$f]=${ADDR[m.eth0.$f]} ADDR[q.eth0.$f]=${ADDR[c.eth0.$f]}
	done
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.eth0.$family]}0
	for host in m c p q; do
		join "$host" eth0 && offloads "$host" || return
	done
	for host in c q; do
		start "$host" "$SELFTESTS/race.py" sink "$C" "$PORT" >"$TMP/sink.$host"
		must "a sink at $host" slowwait 30 has_line "$TMP/sink.$host" ready || return
	done
	introduce m "$M" c "$C" || return
	rm -f "$TMP/turns" "$TMP/race" && mkfifo "$TMP/turns" || return
	"$SELFTESTS/race.py" run "${NS[p]}" "$C" "$PORT" "${NS[m]}" "$C" "$PORT" >"$TMP/race" 2>&1 <>"$TMP/turns" &
	defer stop_process $! KILL
	must "both streams" slowwait 30 has_line "$TMP/race" ready
}

offloads() {
	local feature

	for feature in tcp-segmentation-offload tx-checksumming generic-segmentation-offload; do
		must "$feature of $1" has "$feature: on" in_ns "$1" ethtool -k eth0 || return
	done
}

# has TEXT CMD...: Does CMD print a line that begins with TEXT?
has() {
	"${@:2}" | grep -q "^$1"
}

# softly FAMILY: m goes from M to NEW without a gap. TCP does not notice that, so all of the difference is the cost of translation.
softly() {
	address m eth0 "$1" "$NEW" || return
	ctl c path add host "${HID[c]}" remote "$NEW" && ctl m path add host "${HID[m]}" local "$NEW" || return
	ctl m path set host "${HID[m]}" local "$M" preference 10 left || return
	turns 1 || return
	must "c follows" slowwait 5 path_is c "$NEW" "$C" "$NEW" || return
	moved m c "$NEW" && batch m <<<"addr del $M/${WIDTH[$1]} dev eth0" || return
	equal "sockets that were woken" "0 0" "$(figure m tcp-woken) $(figure c tcp-woken)"
}

# turns N: Each stream has so many turns. The last line of $TMP/race is then the pairs of octets a second, plain and translated.
turns() {
	local lines

	lines=$(wc -l <"$TMP/race")
	echo "$1" >"$TMP/turns"
	must "$1 turns" slowwait 120 longer "$lines"
}

longer() {
	[ "$(wc -l <"$TMP/race")" -gt "$1" ]
}

# seen: Captures one large packet on the wire, and checks that its socket has the old address.
seen() {
	local port

	start c tcpdump -i eth0 -nn -c 1 -Q in "tcp dst port $PORT and src host $NEW and greater 10000" >"$TMP/packet" 2>"$TMP/packet.err"
	slowwait 10 has_line "$TMP/packet.err" 'listening on' && turns 1 && slowwait 10 has_line "$TMP/packet" . || return
	port=$(sed -nE "s/.* ${NEW//./\\.}\.([0-9]+) > .*/\1/p" "$TMP/packet")
	must "the socket of $(cat "$TMP/packet")" has . in_ns m ss -Htn "src $(bracket "$M"):$port and dport = :$PORT"
}

# proven FROM out TO in: Checks that since the move all that FROM sent was translated, and all that TO received from it.
proven() {
	at_least "translated on the way out at $1" "$PAIRS" "$(figure "$1" out-translated)" || return
	equal "not translated at $1" 0 "$(figure "$1" out-unchanged)" || return
	at_least "translated on the way in at $3" "$PAIRS" "$(figure "$3" in-translated)" || return
	equal "refused at $1" '' "$(reasons "$1")"
}

# better RATES TEXT: Prints the better one of RATES and the rates of the turns on standard input. Prints TEXT and the new rates as a
# comment.
better() {
	local rates

	rates=$(jq -c 'def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;
		{plain: (map(.[0]) | median * 8), translated: (map(.[1]) | median * 8), ratio: (map(.[1] / .[0]) | median)}')
	jq -r --arg text "$2" '"# \($text): plain \(.plain / 1e7 | round / 100) Gb/s, " +
		"translated \(.translated / 1e7 | round / 100) Gb/s, ratio \(.ratio * 1000 | round / 1000)"' <<<"$rates" >&2
	jq -cs 'max_by(.ratio)' <<<"$1 $rates"
}

hundredths() {
	jq '.ratio * 100 | floor' <<<"$1"
}

# race FAMILY: Makes the whole comparison.
race() {
	local family=$1 rates round

	[ "$TRAVEL" = 0 ] || { skip "computing takes no time here" && return; }
	stage "$family" && softly "$family" || return
	must "a translated packet" seen || return
	ctl m stats flush && ctl c stats flush || return
	rates='{"ratio": 0}'
	for ((round = 1; round <= ROUNDS && $(hundredths "$rates") < LEAST; round++)); do
		turns "$PAIRS" || return
		rates=$(tail -n 1 "$TMP/race" | better "$rates" "IPv$family, round $round")
	done
	proven m out c in && proven c out m in || return
	equal "hooks of the plain path" "0 0" "$(figure p hooks) $(figure q hooks)" || return
	jq -c --arg case "IPv$family TCP stream" '{case: $case, metric: "throughput", value: .plain, unit: "bit/s", peer: "plain"},
		{case: $case, metric: "throughput", value: .translated, unit: "bit/s", peer: "ihmp"},
		{case: $case, metric: "ratio to plain", value: .ratio, unit: "1", peer: "ihmp"}' <<<"$rates" >>"$TMP/records"
	at_least "hundredths of the plain path's throughput" "$LEAST" "$(hundredths "$rates")"
}

for family in 4 6; do
	run_case "IPv$family: a translated TCP stream against a plain one" race $family
done
[ ! -e "$TMP/records" ] || jq -s . "$TMP/records" >"${IHMP_RESULTS:-.}/throughput.json"
suite_end
