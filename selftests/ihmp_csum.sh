#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests checksums and offloads: translated streams are intact with any offloads of the device, no checksum error is counted, and a packet
# with a wrong checksum is still wrong after translation.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

FEATURES=(tso gso gro tx rx)
SIZE=${SIZE:-200000}
# The kernel makes ten datagrams of one send call (UDP_SEGMENT).
SEGMENTS=udpc:5004,name=segments,burst=1,size=1000,segment=10

# stage FAMILY: Makes translated flows of all kinds, with a move by hand. They send when a burst is asked for.
stage() {
	local family=$1

	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${M}0
	introduce m "$M" c "$C" && serve c "$family" tcp:5000 udpc:5001 udpu:5002 udpu:5004 || return
	traffic m "$family" "$C" tcp:5000,burst=1 "udpc:5001,burst=1,size=1400" "udpu:5002,burst=1,size=3000" \
		"udpu:5002,burst=1,size=700,nocheck=1" "$SEGMENTS" ping,interval=0.2 || return
	must "flows" slowwait 5 figure_at_least m flows 6 || return
	must "before the move" burst m 10000 || return
	address m eth0 "$family" "$NEW" "$M" && moved m c "$NEW" || return
	must "after the move" burst m 10000
}

# set_features NAME DEVICE BITS: Sets the device's offloads, one bit for each feature.
set_features() {
	local i words=()

	for i in "${!FEATURES[@]}"; do
		words+=("${FEATURES[i]}" "$([ $(($3 >> i & 1)) = 1 ] && echo on || echo off)")
	done
	in_ns "$1" ethtool -K "$2" "${words[@]}" >/dev/null 2>&1
	# tso is impossible without tx. The kernel refuses it, which is as good as off.
	return 0
}

describe() {
	local i text=

	for i in "${!FEATURES[@]}"; do
		text+=" ${FEATURES[i]}=$([ $(($1 >> i & 1)) = 1 ] && echo on || echo off)"
	done
	echo "${text# }"
}

combination() {
	local errors

	errors=$(($(csum_errors m) + $(csum_errors c)))
	set_features m eth0 "$1" && set_features c eth0 "$1" || return
	must "streams are intact" burst m "$SIZE" 30 || return
	equal "checksum errors" "$errors" "$(($(csum_errors m) + $(csum_errors c)))"
}

matrix() {
	local family=$1 M C NEW bits out

	stage "$family" || return
	for ((bits = 0; bits < 32; bits++)); do
		if combination "$bits"; then
			RESULTS[$(describe "$bits")]=ok
		else
			RESULTS[$(describe "$bits")]="$(tail -n 3 "$TMP/run.m.log")"
			return
		fi
	done
	out=$(figure m out-translated)
	traffic_end m && serve_end c || return
	at_least "translated packets" 1000 "$out"
	RESULTS[data]=ok
	[ "$(jq '[.flows[] | select(.corrupt != 0 or .errors != {} or (.lost // 0) != 0)] | length' "$TMP/run.m.json")" = 0 ] &&
		[ "$(jq '[.flows[] | select(.corrupt != 0 or .errors != {})] | length' "$TMP/serve.c.json")" = 0 ] ||
		RESULTS[data]=$(jq -c '.flows[] | {name, corrupt, errors, lost}' "$TMP/run.m.json" "$TMP/serve.c.json")
}

# run_matrix FAMILY: Runs each combination of offloads, with one TAP line for each.
run_matrix() {
	local bits name

	CASE="IPv$1: offloads"
	wanted "$CASE" || return 0
	RESULTS=()
	scope matrix "$1"
	for ((bits = 0; bits < 32; bits++)); do
		name=$(describe $bits)
		outcome "$CASE: $name" "${RESULTS[$name]:-not reached}"
	done
	outcome "$CASE: no octet lost or changed" "${RESULTS[data]:-not reached}"
	CASE=
}

# segments FAMILY: A control of the harness: no device makes checksums, and no host is known.
segments() {
	local errors

	FAMILIES=$1 topo_pair && set_features m eth0 0 && set_features c eth0 0 || return
	serve c "$1" udpu:5004 && traffic m "$1" "${ADDR[c.eth0.$1]}" "$SEGMENTS" || return
	errors=$(($(csum_errors m) + $(csum_errors c)))
	must "they are intact" burst m "$SIZE" 30 || return
	equal "checksum errors" "$errors" "$(($(csum_errors m) + $(csum_errors c)))"
	traffic_end m
	at_least "datagrams" 200 "$(jq '.flows[0].sent' "$TMP/run.m.json")"
	equal "lost" 0 "$(jq '.flows[0].lost' "$TMP/run.m.json")"
}

# refused FAMILY WHAT RX: Checks that packets of a translated flow with a wrong checksum are counted and not delivered, and right ones are.
refused() {
	local family=$1 what=$2 M C NEW sport errors before args

	stage "$family" || return
	in_ns m ethtool -K eth0 rx "$3" >/dev/null 2>&1
	in_ns c ping -qc 1 -W 1 "$NEW" >/dev/null || return
	sport=$(ctl m -j flow show | jq --argjson p "$([ "$what" = tcp ] && echo 6 || echo 17)" --argjson r \
		"$([ "$what" = tcp ] && echo 5000 || echo 5001)" '.[] | select(.proto == $p and ."remote-port" == $r) | ."local-port"')
	args=(eth0 "$what" "$C" "$NEW" --sport "$([ "$what" = tcp ] && echo 5000 || echo 5001)" --dport "$sport")
	errors=$(csum_errors m)
	in_ns c "$SELFTESTS/inject.py" "${args[@]}" --wrong-checksum --count 5 || return
	must "they are counted as checksum errors" slowwait 5 more_errors m $((errors + 5)) || return
	equal "checksum errors" $((errors + 5)) "$(csum_errors m)"
	in_ns c "$SELFTESTS/inject.py" "${args[@]}" --count 5 || return
	must "streams are intact afterwards" burst m 10000 || return
	equal "checksum errors afterwards" $((errors + 5)) "$(csum_errors m)"
	before=$(figure m in-translated)
	at_least "translated" 10 "$before"
	traffic_end m || return
	# The injected right packets arrived. traffic.py has not sent them, so it counts their four octets each as corrupt.
	[ "$what" = tcp ] || equal "octets of the right packets" 20 "$(jq '[.flows[] | select(.name == "udpc")][0].corrupt' "$TMP/run.m.json")"
}

more_errors() {
	[ "$(csum_errors "$1")" -ge "$2" ]
}

# zero: Checks that UDP over IPv4 without a checksum stays without one.
zero() {
	local M C NEW

	stage 4 || return
	capture c eth0 -vv "udp and port 5002 and udp[6:2] = 0" || return
	must burst burst m 7000 || return
	traffic_end m
	capture_end c eth0
	at_least "datagrams without a checksum on the wire" 10 "$(grep -c "$NEW" "$TMP/cap.c.eth0")"
}

for family in 4 6; do
	run_case "IPv$family: segments of UDP by themselves" segments $family
	run_matrix $family
	for what in udp tcp; do
		for rx in on off; do
			run_case "IPv$family: $what with a wrong checksum is refused, rx $rx" refused $family $what $rx
		done
	done
done
run_case "IPv4: a UDP checksum of zero stays zero" zero
suite_end
