#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests where hosts are: a host proves a new address where that is needed, both ends move at the same time, and idle hosts are forgotten.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

DELAY_MS=30 RTT_MS=60
# The limit is two round trips and a time-out of 200 ms with its jitter; the datagrams come every 20 ms.
LIMIT_MS=$((2 * RTT_MS + 250 + 20 + SLACK_MS))

# Traffic for cases that last minutes: a datagram now and then.
SLOW=("udpc:5001,interval=0.5")

# stage FAMILY FLOW...: Builds two hosts that know each other and have measured the round trip, and starts the traffic.
stage() {
	local family=$1 near far
	shift

	FAMILIES=$family topo_pair delay "${DELAY_MS}ms" && plug s c1 c wifi0 delay "${DELAY_MS}ms" || return
	ADDR[c.wifi0.4]=192.0.2.111 ADDR[c.wifi0.6]=2001:db8:1::111
	ipn c link set wifi0 up || return
	sysctl_in c net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
	M=${ADDR[m.eth0.$family]} M2=${ADDR[m.wifi0.$family]}
	C=${ADDR[c.eth0.$family]} C2=${ADDR[c.wifi0.$family]}
	agent_start m c && serve c "$family" tcp:5000 udpc:5001 udpu:5002 || return
	# A packet waits up to three seconds for the link address of a host that is gone, and TCP does not send it again meanwhile. So all
	# link addresses are known from the beginning.
	for near in eth0 wifi0; do
		for far in eth0 wifi0; do
			acquaint m "$near" c "$far" || return
		done
	done
	TRAFFIC_OPTS="--silence 0.1" traffic m "$family" "$C" "$@" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "all flows" slowwait 10 figure_at_least c flows $# || return
	must "traffic goes on" goes_on m
}

# has_active HOST PEER ADDRESS: Does HOST have this address of the peer as active?
has_active() {
	host_is "$1" "$2" "any(.addr[]; .address == \"$3\" and .set == \"active\")"
}

# probed HOST ADDRESS: Has a probe of HOST to this address been answered?
probed() {
	has_line "$TMP/ihmpd.$1.log" "event=acked control=path-probe .* by=$2 "
}

# honest FAMILY: Checks that a proof does not delay a move. m has received little, so c probes it at once (ihmp_credit.sh has the other
# case).
honest() {
	local family=$1 M M2 C C2 messages

	stage "$family" "${SLOW[@]}" || return
	leave m eth0 && join m wifi0 50 || return
	must "c sends to the new address" slowwait 5 path_is c "$M" - "$M2" || return
	must "traffic goes on" goes_on m || return
	must "it is asked" slowwait 5 probed c "$M2" || return
	check "nothing is lost for want of credit" not reason_at_least c no-credit 1
	check "and stays" has_active c "$M" "$M2"
	check "nobody is unvalidated" not has_line "$TMP/ihmpd.c.log" 'event=unvalidated'
	# m returns to an address that its first messages have proven, so no probe is sent.
	messages=$(grep -c 'event=sent control=path-probe' "$TMP/ihmpd.c.log")
	leave m wifi0 && join m eth0 || return
	must "c sends to the old address" slowwait 5 path_is c "$M" - "$M" || return
	POLL_MS=640 must "thirty seconds" goes_on m 60 40 || return
	equal "probes" "$messages" "$(grep -c 'event=sent control=path-probe' "$TMP/ihmpd.c.log")"
	traffic_end m
}

# both FAMILY WHAT LATER: Both hosts lose the address in use, c LATER seconds after m. One of them, or each, keeps an address that the other
# knows.
both() {
	local family=$1 what=$2 later=$3 M M2 C C2 DOWN UP took

	SERVE_OPTS='--silence 0.1' stage "$family" tcp:5000,rate=50000 udpc:5001 udpu:5002 || return
	join c wifi0 200 || return
	must "m knows both addresses of c" slowwait 5 has_active m "$C" "$C2" || return
	if [ "$what" = each ]; then
		join m wifi0 200 || return
		must "c knows both addresses of m" slowwait 5 has_active c "$M" "$M2" || return
	fi
	must "they send from the first ones" slowwait 5 path_is m "$C" "$M" "$C" || return
	must "traffic goes on" goes_on m 50 || return
	DOWN=$EPOCHREALTIME
	leave m eth0
	[ "$what" = each ] || join m wifi0 50 || return
	[ "$later" = 0 ] || nap "$later"
	leave c eth0
	UP=$EPOCHREALTIME
	must "m sends from and to what is left" slowwait 5 path_is m "$C" "$M2" "$C2" || return
	must "c as well" slowwait 5 path_is c "$M" "$C2" "$M2" || return
	must "traffic goes on" goes_on m || return
	traffic_end m && serve_end c && judge_ok m c hard "$DOWN" "$UP" "$LIMIT_MS" "$C"
	took=$(jq -s --argjson up "$UP" '[.[].flows[].silences[] | select(.[1] > $up) | .[1]] | (max // $up) - $up | . * 1000 | round' \
		"$TMP/run.m.json" "$TMP/serve.c.json")
	note "$took ms until all flows go on"
	figure_of "both move, $([ "$what" = each ] && echo each keeps || echo one keeps) an address, IPv$family, $later s later" recovery "$took" ms
}

# forgotten FAMILY: Checks that a host without connections is forgotten after peers.forget_after, and that its key stays for the next time.
forgotten() {
	local family=$1 M M2 C C2 since

	printf '[peers]\nforget_after = 12\n' >"$TMP/ihmpd.c.toml"
	defer rm -f "$TMP/ihmpd.c.toml"
	stage "$family" "${SLOW[@]}" || return
	POLL_MS=640 must "longer than that with connections" goes_on m 36 30 || return
	check "it is there" host_up c "$M"
	traffic_end m && serve_end c || return
	since=$(now_ms)
	POLL_MS=640 must "it goes" slowwait 300 not host_is c "$M" true || return
	at_least "ms" 10000 $(($(now_ms) - since))
	must "its key stays" sh -c "ihmpctl --state '$TMP/state.c' key | grep -q 'peer seen'" || return
	# m does not know that it is forgotten. It sends data, and both greet each other again.
	leave m eth0 && join m wifi0 50 || return
	# A flow that begins before m's agent has noticed the move would begin at the old address, which c no longer knows as m's.
	must "m moved" slowwait 10 path_is m "$C" "$M2" "$C" || return
	serve c "$family" udpc:5001 && traffic m "$family" "$C" "${SLOW[@]}" || return
	must "both hosts know each other" hosts_up m "$C" c "$M2" || return
	must "traffic goes on" goes_on m || return
	equal "keys of c" 1 "$(ihmpctl --state "$TMP/state.c" -j key | jq '[.[] | select(.kind == "peer")] | length')"
	traffic_end m
}

for family in 4 6; do
	run_case "IPv$family: a new address is proven, a known one is not asked" honest $family
	for later in 0 0.020; do
		run_case "IPv$family: both lose an address, c $later s later; each keeps one" both $family each $later
		run_case "IPv$family: m changes its only address, c loses one $later s later" both $family one $later
	done
	run_case "IPv$family: hosts without connections are forgotten" forgotten $family
done
suite_end
