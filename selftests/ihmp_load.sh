#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What the agent costs a machine on which much goes on that is none of its business, and how soon it speaks when something
# is. In real time, with nothing beside it.
#
# Leaves ihmp.json in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

ROUTES=${ROUTES:-1000000}
PAIRS=${PAIRS:-200}
SECONDS_OF_PAIRS=${SECONDS_OF_PAIRS:-15}
EVENTS=${EVENTS:-200}
# Hundredths of a processor; microseconds.
MOST_CPU=2
MOST_CONTROL=5000

# record CASE METRIC VALUE UNIT: for ihmp.json.
record() {
	jq -nc --arg case "$1" --arg metric "$2" --argjson value "$3" --arg unit "$4" \
		'{case: $case, metric: $metric, value: $value, unit: $unit, peer: "ihmp"}' >>"$TMP/records"
}

# stage: two hosts that know each other, and a transfer that keeps them so.
stage() {
	[ "$TRAVEL" = 0 ] || { skip "computing takes no time here" && return 1; }
	FAMILIES=4 topo_pair || return
	agent_start m c && serve c 4 tcp:5000 && traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=2000 || return
	must "both hosts know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}"
}

# cpu HOST: ticks of 10 ms that its agent has used.
cpu() {
	awk '{ print $14 + $15 }' "/proc/${AGENT[$1]}/stat"
}

# quietly WHAT CMD...: the agent of m uses next to nothing while CMD runs, and sends nothing.
quietly() {
	local what=$1 start ticks ms hundredths
	shift

	capture m eth0 udp port 61453 || return
	start=$(now_ms) ticks=$(cpu m)
	"$@" || fail "$what" || return
	# What it has put off counts.
	nap 0.5
	ms=$(($(now_ms) - start)) ticks=$(($(cpu m) - ticks))
	capture_end m eth0
	hundredths=$((ticks * 100000 / ms))
	note "$what: $((ms / 1000)) s, agent $((ticks * 10)) ms"
	record "$what" cpu "$(jq -n "$ticks / $ms * 100000 | round / 100")" "%"
	record "$what" messages "$(captured m eth0 61453)" "1"
	at_most "hundredths of a per cent of a processor" $((MOST_CPU * 100)) "$hundredths"
	equal "messages" 0 "$(captured m eth0 61453)"
	must "it is still there" host_up m "${ADDR[c.eth0.4]}"
}

insert_routes() {
	awk -v n="$ROUTES" 'BEGIN { for (i = 0; i < n; i++)
		printf "route add 10.%d.%d.%d/32 dev eth0\n", i / 65536, i / 256 % 256, i % 256 }' | batch m
}

routes() {
	stage || return 0
	quietly "$ROUTES routes are inserted" insert_routes || return
	at_least "routes" "$ROUTES" "$(ipn m route show | wc -l)"
}

# pairs: in groups, which the kernel deletes at once; one by one it cannot do so many.
make_pairs() {
	local second i start rest

	for ((second = 0; second < SECONDS_OF_PAIRS; second++)); do
		start=$(now_ms)
		{
			for ((i = 0; i < PAIRS; i++)); do
				echo "link add veth$i group 7 type veth peer name vethp$i group 7"
			done
			echo "link set group 7 up"
			echo "link del group 7"
		} | batch m || return
		rest=$((1000 - $(now_ms) + start))
		[ "$rest" -le 0 ] || nap "$(printf '%d.%03d' $((rest / 1000)) $((rest % 1000)))"
	done
}

pairs() {
	stage || return 0
	quietly "$PAIRS veth pairs a second come and go" make_pairs
}

# control: from a change of addresses to the first message.
control() {
	local list

	stage || return 0
	in_ns m "$SELFTESTS/control.py" eth0 192.0.2.77/24 "$EVENTS" >"$TMP/control" || return
	list=$(jq -sc 'sort' "$TMP/control")
	for p in 50 95 99; do
		record "address event to first message" "control_ms p$p" \
			"$(jq -n --argjson l "$list" "\$l[((\$l | length) * $p / 100) | floor] / 1000 | round / 1000")" ms
	done
	note "$(jq -r 'select(.metric | startswith("control")) | "\(.metric) \(.value) ms"' "$TMP/records" | paste -sd ,)"
	equal "events" "$EVENTS" "$(jq length <<<"$list")"
	at_most "microseconds, p50" "$MOST_CONTROL" "$(jq '.[length / 2 | floor] / 1000 | floor' <<<"$list")"
}

run_case "from an address event to the first message" control
run_case "devices of containers come and go" pairs
run_case "routes are inserted" routes
[ ! -e "$TMP/records" ] || jq -s . "$TMP/records" >"${IHMP_RESULTS:-.}/ihmp.json"
suite_end
