#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# transfer.sh NAME: Runs one transfer as a case, in a testbed of its own, and measures it at the receiver. NAME is tcp4-soft,
# server-tcp6-hard, udp4-hard (with ping), tcp4-plain ...: the transport, the family, and how the host moves. With "server-" the sender
# moves.
#
# The testbed is topo_testbed with both families. Each port of the switch adds 60 ms and then is a link of 10 Mb/s.
#
# When everything is ready, the script writes NAME to the fifo $DEMO/ready, and reads the time of the start from $DEMO/NAME.start, in ms.
# It writes NAME.progress in $DEMO during the transfer. At the end there are NAME.run.json (times, and the counters of both hosts),
# .client.json and .server.json (findings of traffic.py), .observer.json (of observer.py), and the agents' logs.

. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../topo.sh"

# The testbed has both families, whichever one the transfer uses.
FAMILIES='4 6'
# The transfer ends after LASTS seconds. The networks change after FIRST and after SECOND.
LASTS=15 FIRST=5 SECOND=10
# Received octets are counted in bins of so many seconds.
BIN=0.25
# At the end, data that is in flight or queued has so many seconds to arrive.
DRAIN=30
# Each port has 60 ms of delay and then a link of 10 Mb/s, on which every flow has a queue of its own. The queue marks packets (RFC 3168)
# that wait longer than a round trip, before it is full. So losses come from moves, and not from TCP filling the queue.
PORT_QDISCS=('root handle 1: netem delay 60ms limit 1000' 'parent 1:1 handle 2: tbf rate 10mbit burst 32kb limit 1mb'
	'parent 2:1 handle 3: fq_codel target 120ms interval 240ms')

bottleneck() {
	local port qdisc dev

	for port in p1 p2 pc; do
		for qdisc in "${PORT_QDISCS[@]}"; do
			echo "qdisc add dev $port $qdisc"
		done
	done | tc -n "${NS[s]}" -batch - || return
	# The queue of the bottleneck has a limit in packets, so no packet may be larger than those on the wire.
	for dev in eth0 wifi0; do
		in_ns m ethtool -K $dev tso off gso off || return
	done
	in_ns c ethtool -K eth0 tso off gso off
}

# old_goes, new_comes: Change the networks of m. The link of the new network is up half a second before, as a radio associates first.
old_goes() {
	nap_until $((T0 + $1 * 1000))
	batch m <<<$'addr flush dev eth0 scope global\nlink set eth0 down'
}

new_comes() {
	nap_until $((T0 + $1 * 1000 - 500))
	batch m <<<'link set wifi0 up' || return
	nap_until $((T0 + $1 * 1000))
	join m wifi0 50
}

# observe: Starts observer.py, which runs until the transfer is over.
observe() {
	local f own=()

	for f in 4 6; do
		own+=("${ADDR[m.eth0.$f]}" "${ADDR[m.wifi0.$f]}")
	done
	start m "$SELFTESTS/demo/observer.py" "$DEMO/$CASE.observer.json" eth0 wifi0 "${own[@]}" >"$TMP/observer" 2>&1
	OBSERVER=$BG
	slowwait 60 has_line "$TMP/observer" '^ready' || fail "no observer: $(cat "$TMP/observer")"
}

# known: Sends one datagram from a connected socket, which makes the hosts send HELLOs, and waits until they know each other.
known() {
	in_ns m bash -c "echo hello >/dev/udp/$C/9" && hosts_up m "$C" c "$M"
}

# counted HOST: Prints its hosts and counters.
counted() {
	jq -nc --argjson stats "$(ctl "$1" -j stats show)" --argjson host "$(ctl "$1" -j host show)" '{stats: $stats, host: $host}'
}

transfer() {
	# shellcheck disable=SC2034 # NEW is for roles to set
	local who=client family=4 what=udp move=${CASE##*-} client server M C NEW TARGET T0 t0 flows services

	[[ $CASE != server-* ]] || who=server
	[[ $CASE != *6-* ]] || family=6
	[[ $CASE != *tcp* ]] || what=tcp
	topo_testbed && bottleneck || return
	roles "$who" "$family"
	batch m <<<'link set wifi0 down' || return
	sysctl_in m net.ipv4.tcp_ecn=1 && sysctl_in c net.ipv4.tcp_ecn=1 && optimistic m wifi0 || return
	agent_start m c && must "the hosts meet" known || return
	case $what in
	tcp) services=(tcp:5001) flows=("tcp:5001,send=0") ;;
	# The server sends from an unconnected socket. UDP has no bulk transfer beside it, which would delay its datagrams.
	udp) services=(udpu:5002) flows=("udpc:5002,name=udp,source=1,interval=0.01,size=136,wait=0" "ping,interval=0.01,wait=0") ;;
	esac
	serve "$server" "$family" "${services[@]}" && observe || return
	echo "$CASE" >"$DEMO/ready"
	read -r T0 <"$DEMO/$CASE.start"
	printf -v t0 '%d.%03d' $((T0 / 1000)) $((T0 % 1000))
	ln -s "$DEMO/$CASE.progress" "$TMP/run.$client.progress"
	TRAFFIC_OPTS="--start $t0 --seconds $LASTS --epoch $t0 --bins $BIN --arrivals --grace 0.5" \
		traffic "$client" "$family" "$TARGET" "${flows[@]}" || return
	case $move in
	plain) ;;
	soft) new_comes $FIRST && old_goes $SECOND || return ;;
	hard) old_goes $FIRST && new_comes $SECOND || return ;;
	*) fail "there is no such move" || return ;;
	esac
	nap_until $((T0 + LASTS * 1000))
	case $what in
	tcp) traffic_wait "$client" $DRAIN ;;
	# A ping would go on until it has sent all of its requests.
	udp) traffic_end "$client" ;;
	esac && serve_end "$server" || return
	nap_until $((T0 + LASTS * 1000 + 500))
	stop_process "$OBSERVER"
	check "the observer's findings" test -s "$DEMO/$CASE.observer.json"
	jq -n --arg t0 "$t0" --argjson lasts $LASTS --argjson first $FIRST --argjson second $SECOND --argjson bin $BIN \
		--argjson m "$(counted m)" --argjson c "$(counted c)" \
		'{t0: ($t0 | tonumber), lasts: $lasts, first: $first, second: $second, bin: $bin, m: $m, c: $c}' >"$DEMO/$CASE.run.json"
	cp "$TMP/run.$client.json" "$DEMO/$CASE.client.json"
	cp "$TMP/serve.$server.json" "$DEMO/$CASE.server.json"
}

# logged NAME: Runs the transfer and keeps its logs, whether it succeeds or fails.
logged() {
	local host status=0

	transfer || status=$?
	for host in m c; do
		[ ! -e "$TMP/ihmpd.$host.log" ] || cp "$TMP/ihmpd.$host.log" "$DEMO/$CASE.$host.log"
	done
	return $status
}

run_case "$1" logged
suite_end
