#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what the agent costs a machine on which much happens that does not concern it, or which is flooded with messages; how soon it
# sends when something concerns it; and what the module needs for a move with many peers. It needs real time and an otherwise idle machine.
#
# It leaves ihmp.json in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

ROUTES=${ROUTES:-1000000}
PAIRS=${PAIRS:-200}
NAMES=${NAMES:-veth}
SECONDS_OF_PAIRS=${SECONDS_OF_PAIRS:-15}
EVENTS=${EVENTS:-200}
# RUNS is in how many parts each load is measured. MOVES is how many changes of addresses happen during a load; it has to be odd.
RUNS=${RUNS:-3}
MOVES=${MOVES:-5}
HELLOS=${HELLOS:-1000000}
# Forged HELLOs a second.
RATE=${RATE:-20000}
# The same for a flood that leaves some of the processor free, and the link of the transfer beside it.
CALM_RATE=${CALM_RATE:-5000} LINK=${LINK:-20mbit}
HOSTS_OF_ALL=${HOSTS_OF_ALL:-10000}
ROUNDS=${ROUNDS:-50}
# The limits below are in hundredths of a processor, milliseconds, microseconds, hundredths of the throughput, KiB, and nanoseconds.
MOST_CPU=2
MOST_TOLD=1000
MOST_CONTROL=5000
LEAST_RATIO=90
MOST_GROWTH=4096
MOST_KERNEL=2000
PORT=5201

# record CASE METRIC VALUE UNIT: Adds a figure to ihmp.json.
record() {
	jq -nc --arg case "$1" --arg metric "$2" --argjson value "$3" --arg unit "$4" \
		'{case: $case, metric: $metric, value: $value, unit: $unit, peer: "ihmp"}' >>"$TMP/records"
}

# stage: Builds two hosts that know each other, with a transfer that keeps it so.
stage() {
	[ "$TRAVEL" = 0 ] || { skip "computing takes no time here" && return 1; }
	FAMILIES=4 topo_pair || return
	IHMPD_LOG=info agent_start m c && serve c 4 tcp:5000 && traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=2000 || return
	must "both hosts know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}"
}

# cpu HOST: Prints how many ticks of 10 ms the host's agent has used.
cpu() {
	awk '{ print $14 + $15 }' "/proc/${AGENT[$1]}/stat"
}

# used HOST: Prints how many microseconds of processor time the host's agent has used, by its CPU clock (CPUCLOCK_SCHED of
# linux/posix-timers_types.h).
used() {
	python3 -c 'import sys, time; print(time.clock_gettime_ns(~int(sys.argv[1]) << 3 | 2) // 1000)' "${AGENT[$1]}"
}

# wakes HOST: Prints how often the host's agent has woken up so far.
wakes() {
	awk '/^voluntary_ctxt/ { print $2 }' "/proc/${AGENT[$1]}/status"
}

# quietly WHAT CMD...: Checks that the agent of m uses next to no processor time while CMD runs, and sends nothing. CMD is run several
# times, each for a part of the load. A guest's processor counts as in use also while its machine runs others, so the best part counts.
quietly() {
	local what=$1 run start used wakes ms best='' hundredths list=''
	shift

	capture m eth0 udp port 61453 || return
	wakes=$(wakes m)
	for ((run = 0; run < RUNS; run++)); do
		start=$(now_ms) used=$(used m)
		"$@" "$run" "$RUNS" || fail "$what" || return
		# Work that the agent has put off counts as well.
		nap 0.5
		used=$(($(used m) - used)) ms=$(($(now_ms) - start))
		hundredths=$((used * 10 / ms))
		list+="${list:+, }$used us of $ms ms"
		[ -n "$best" ] && [ "$best" -le "$hundredths" ] || best=$hundredths
	done
	wakes=$(($(wakes m) - wakes))
	capture_end m eth0
	note "$what: agent $list; at best $best hundredths of a per cent; it woke $wakes times"
	record "$what" cpu "$(jq -n "$best / 100")" "%"
	record "$what" "times that the agent woke" "$wakes" 1
	record "$what" messages "$(captured m eth0 61453)" "1"
	at_most "hundredths of a per cent of a processor" $((MOST_CPU * 100)) "$best"
	equal "messages" 0 "$(captured m eth0 61453)"
	must "it is still there" host_up m "${ADDR[c.eth0.4]}"
}

# midway WHAT CMD...: While CMD runs, m gets and loses an address by turns, and gets a new one in the end. Checks that the peer is told of
# each change within a second, and that the transfer goes on.
midway() {
	local what=$1 flood told new=192.0.2.77
	shift

	"$@" 0 1 &
	flood=$!
	defer stop_process "$flood" KILL
	must "the middle of it" slowwait 120 test -e "$TMP/midway" || return
	in_ns m "$SELFTESTS/control.py" eth0 "$new/24" "$MOVES" >"$TMP/told" || fail "a move is not told" || return
	check "$what: still" not gone "$flood"
	ipn m addr del "${ADDR[m.eth0.4]}/24" dev eth0
	must "c sends to the new address" slowwait 10 path_is c "${ADDR[m.eth0.4]}" "${ADDR[c.eth0.4]}" "$new" || return
	must "traffic goes on" goes_on m || return
	wait "$flood" || fail "$what" || return
	told=$(jq -sc 'sort' "$TMP/told")
	note "$what: the peer was told after $(jq -r 'map(. / 1e5 | round / 10) | join(", ")' <<<"$told") ms"
	record "$what" "address event to first message, p50" "$(jq '.[length / 2 | floor] / 1e5 | round / 10' <<<"$told")" ms
	record "$what" "address event to first message, the slowest of $MOVES" "$(jq 'last / 1e5 | round / 10' <<<"$told")" ms
	at_most "milliseconds, p50" "$MOST_TOLD" "$(jq '.[length / 2 | floor] / 1e6 | floor' <<<"$told")"
	at_most "milliseconds, the slowest" $((MOST_TOLD + SLACK_MS)) "$(jq 'last / 1e6 | floor' <<<"$told")"
}

# insert_routes PART PARTS: Inserts a part of the routes, and makes the file midway when half of them are there.
insert_routes() {
	local first=$((ROUTES * $1 / $2))

	in_ns m "$SELFTESTS/routes.py" eth0 "10.$((first >> 16)).$((first >> 8 & 255)).$((first & 255))" $((ROUTES / $2)) \
		"$TMP/midway"
}

routes() {
	awk -v from=$((ROUTES * $1 / $2)) -v n=$((ROUTES / $2)) -v midway="$TMP/midway" 'BEGIN {
		for (i = from; i < from + n; i++) {
			printf "route add 10.%d.%d.%d/32 dev eth0\n", i / 65536, i / 256 % 256, i % 256
			if (i == from + int(n / 2)) { print i >midway; close(midway) }
		} }' | batch m
}

routes() {
	stage || return 0
	quietly "$ROUTES routes are inserted" insert_routes
}

# make_pairs PART PARTS: Makes and deletes veth pairs as a group, because the kernel cannot delete so many one by one in this time.
make_pairs() {
	local second seconds=$((SECONDS_OF_PAIRS / $2)) i start rest

	for ((second = 0; second < seconds; second++)); do
		start=$(now_ms)
		{
			for ((i = 0; i < PAIRS; i++)); do
				echo "link add $NAMES$i group 7 type veth peer name ${NAMES}p$i group 7"
			done
			echo "link set group 7 up"
			echo "link del group 7"
		} | batch m || return
		[ "$second" -lt $((seconds / 2)) ] || : >"$TMP/midway"
		rest=$((1000 - $(now_ms) + start))
		[ "$rest" -le 0 ] || nap "$(printf '%d.%03d' $((rest / 1000)) $((rest % 1000)))"
	done
}

pairs() {
	stage || return 0
	quietly "$PAIRS veth pairs a second come and go" make_pairs
}

moving() {
	stage || return 0
	midway "$@"
}

# control: Measures the time from a change of addresses to the first message.
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

# racing: Starts a TCP stream from m to c that sends when it is told to.
racing() {
	start c "$SELFTESTS/race.py" sink "${ADDR[c.eth0.4]}" "$PORT" >"$TMP/sink"
	must "a sink" slowwait 30 has_line "$TMP/sink" ready || return
	mkfifo "$TMP/turns"
	"$SELFTESTS/race.py" run "${NS[m]}" "${ADDR[c.eth0.4]}" "$PORT" >"$TMP/race" 2>&1 <>"$TMP/turns" &
	defer stop_process $! KILL
	must "the stream" slowwait 30 has_line "$TMP/race" ready
}

# turns KIND: Lets the stream send for half a second, and adds the octets a second of the turns in the middle to $TMP/rates.KIND.
turns() {
	local lines

	lines=$(wc -l <"$TMP/race")
	echo 10 >"$TMP/turns"
	must "ten turns" slowwait 300 longer "$lines" || return
	tail -n 1 "$TMP/race" | jq -c 'flatten | sort | .[length / 2 | floor]' >>"$TMP/rates.$1"
}

longer() {
	[ "$(wc -l <"$TMP/race")" -gt "$1" ]
}

agent() {
	ihmpctl --state "$TMP/state.c" -j agent | jq "$1"
}

# ratio A B: Prints the median of the ratios of neighbours in $TMP/rates.A and .B, in thousandths.
ratio() {
	jq -n --slurpfile a "$TMP/rates.$1" --slurpfile b "$TMP/rates.$2" \
		'[$a, $b] | transpose | map(select(all(. != null)) | .[0] / .[1]) | sort | .[length / 2 | floor] * 1000 | round'
}

# joined_by_attacker: Adds a host x to the link.
joined_by_attacker() {
	setup_ns x && plug s x0 x eth0 || return
	ADDR[x.eth0.4]=192.0.2.66
	join x eth0 && settled
}

# greetings RATE: Starts x sending HELLOs to c, so many a second.
greetings() {
	start x ihmp-attack greet eth0 "${HARDWARE[c.eth0]}" "${ADDR[c.eth0.4]}" --count "$HELLOS" --rate "$1" >"$TMP/sent" 2>&1
}

# flood: Sends a million HELLOs, a quarter of them with good signatures by throw-away keys, during a transfer. Sender, network and receiver
# share one processor. So a second and a half of the transfer is compared with the next one, under the same flood, in which the agent is
# stopped and the kernel drops what the socket has no room for. The difference is what the agent takes. What the flood itself takes
# is printed.
flood() {
	local what="$HELLOS forged HELLOs, $RATE a second" attacker ticks=0 rss before start ms read us

	stage || return 0
	joined_by_attacker && racing || return
	for ((start = 0; start < 20; start++)); do
		turns quiet || return
	done
	before=$(agent .refused)
	rss=$(awk '/^VmRSS/ { print $2 }' "/proc/${AGENT[c]}/status")
	start=$(now_ms)
	greetings "$RATE"
	attacker=$BG
	until gone "$attacker"; do
		# The first half second after a change is not typical, so it does not count.
		ticks=$((ticks - $(cpu c)))
		turns waking && turns awake && turns awake && turns awake || return
		ticks=$((ticks + $(cpu c)))
		kill -STOP "${AGENT[c]}"
		turns waking && turns asleep && turns asleep && turns asleep || return
		kill -CONT "${AGENT[c]}"
	done
	ms=$(($(now_ms) - start))
	equal "sent" "$HELLOS" "$(jq .sent "$TMP/sent")"
	must "all are counted" slowwait 60 counted $((before + HELLOS)) || return
	equal "refused" "$HELLOS" $(($(agent .refused) - before))
	equal "hosts of the module" 1 "$(figure c hosts)"
	rss=$(($(awk '/^VmRSS/ { print $2 }' "/proc/${AGENT[c]}/status") - rss))
	read=$((HELLOS - $(agent '[.refusals[] | select(.reason == "not-received") | .messages] | add // 0')))
	us=$(jq -n "$ticks * 10000 / $read | round")
	note "$((HELLOS * 1000 / ms)) HELLOs a second; throughput with the agent awake: $(ratio awake asleep) thousandths of what it is" \
		"with the agent asleep, $(ratio awake quiet) of what it is without a flood"
	note "the agent read $read of $HELLOS, took $us us for each while it was awake, and grew by $rss KiB"
	record "$what" "throughput, to that with the agent asleep" "$(jq -n "$(ratio awake asleep) / 1000")" 1
	record "$what" "throughput, to that without a flood on the same processor" "$(jq -n "$(ratio awake quiet) / 1000")" 1
	record "$what" "sent in a second" $((HELLOS * 1000 / ms)) 1
	record "$what" "agent's time for one that it read" "$us" us
	record "$what" "growth of the agent" $((rss * 1024)) octets
	at_least "thousandths" $((LEAST_RATIO * 10)) "$(ratio awake asleep)"
	at_most "KiB that the agent grew" "$MOST_GROWTH" "$rss"
	must "both hosts still know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}"
}

# bounded: Sends the same HELLOs at a rate that leaves some of the processor free, during a transfer that is limited by its link, as most
# are. The throughput is compared with that without a flood.
bounded() {
	local what="$HELLOS forged HELLOs, $CALM_RATE a second, and a link of $LINK" attacker quiet loud

	stage || return 0
	joined_by_attacker || return
	in_ns m tc qdisc add dev eth0 root tbf rate "$LINK" burst 64kb latency 50ms || return
	quiet=$(transfer 20) || return
	greetings "$CALM_RATE"
	attacker=$BG
	loud=$(transfer $((HELLOS / CALM_RATE - 5))) || return
	check "the flood went on all the time" not gone "$attacker"
	wait "$attacker"
	equal "sent" "$HELLOS" "$(jq .sent "$TMP/sent")"
	note "$quiet bit/s without, $loud bit/s under the flood"
	record "$what" "throughput, to that without a flood" "$(jq -n "$loud * 1000 / $quiet | round / 1000")" 1
	at_least "thousandths" $((LEAST_RATIO * 10)) $((loud * 1000 / quiet))
	must "both hosts still know each other" hosts_up m "${ADDR[c.eth0.4]}" c "${ADDR[m.eth0.4]}"
}

# transfer SECONDS: Prints how many bits a second came from m to c.
transfer() {
	start c iperf3 --forceflush --server --one-off --bind "${ADDR[c.eth0.4]}" --port "$PORT" >"$TMP/iperf3.server" 2>&1
	must "iperf3 listens" slowwait 30 has_line "$TMP/iperf3.server" listening || return
	in_ns m iperf3 --client "${ADDR[c.eth0.4]}" --port "$PORT" --time "$1" --json >"$TMP/iperf3.json" || return
	jq '.end.sum_received.bits_per_second | round' "$TMP/iperf3.json"
}

# counted LEAST: Has the agent refused at least so many messages?
counted() {
	[ "$(agent .refused)" -ge "$1" ]
}

# kernel: Measures the time that the module needs for a move with many hosts, with a listener for events as the agent is.
kernel() {
	local what="a move with $HOSTS_OF_ALL hosts" figures net

	[ "$TRAVEL" = 0 ] || { skip "computing takes no time here" && return; }
	# With HOSTS empty, a failure does not print all of these hosts.
	HOSTS=
	setup_ns m && in_ns m "$SELFTESTS/batch.py" "$HOSTS_OF_ALL" "$ROUNDS" --listen >"$TMP/batch" || return
	figures=$(cat "$TMP/batch")
	net=$(jq '.beyond.best | round' <<<"$figures")
	note "$(jq -r '"nanoseconds for a host beyond a request that names none: \(.beyond.best | round) in the best round,
		\(.beyond.middle | round) in the middle one; for a host: p50 \(.host.p50 | round), mean \(.host.mean | round);
		for a request that names none: p50 \(.nothing.p50 | round)" | gsub("\\s+"; " ")' <<<"$figures")"
	record "$what" "kernel p50, beyond a request that names no host" "$net" ns
	record "$what" "the same, of the round in the middle" "$(jq '.beyond.middle | round' <<<"$figures")" ns
	for p in p50 mean; do
		record "$what" "kernel $p, with the request" "$(jq ".host.$p | round" <<<"$figures")" ns
		record "$what" "request that names no host, $p" "$(jq ".nothing.$p | round" <<<"$figures")" ns
	done
	at_most "nanoseconds" "$MOST_KERNEL" "$net"
}

run_case "from an address event to the first message" control
run_case "devices of containers come and go" pairs
run_case "routes are inserted" routes
run_case "a move while devices of containers come and go" moving "$PAIRS veth pairs a second, and a move" make_pairs
run_case "a move while routes are inserted" moving "$ROUTES routes, and a move" insert_routes
run_case "greetings from everywhere while a transfer goes on" flood
run_case "greetings from everywhere while a transfer has all of its link" bounded
run_case "a move with many hosts, in the kernel" kernel
[ ! -e "$TMP/records" ] || jq -s . "$TMP/records" >"${IHMP_RESULTS:-.}/ihmp.json"
suite_end
