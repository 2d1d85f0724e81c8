#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests a host that goes behind a masquerading NAT without an agent: it has another network as well, or has none, or begins there.
#
# r2 of the testbed is the NAT, with a private network behind it. The agents run on m and c only.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# stage FAMILY: Builds the testbed, and r2 with the NAT.
stage() {
	local family=$1

	FAMILIES=$family
	topo_testbed delay 10ms || return
	ADDR[m.wifi0.4]=192.168.77.10 GATE[m.wifi0.4]=192.168.77.1 ADDR[r2.lan.4]=192.168.77.1
	ADDR[m.wifi0.6]=fd00:77::10 GATE[m.wifi0.6]=fd00:77::1 ADDR[r2.lan.6]=fd00:77::1
	ipn r2 addr flush dev lan scope global && OPTIMISTIC=0 join r2 lan || return
	MAC[${ADDR[r2.lan.6]}]=${HARDWARE[r2.lan]}
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]} N=${ADDR[r2.wan.$family]}
	# The NAT changes the source port of IHMP messages, too.
	in_ns r2 nft -f - <<-END
		table inet nat {
			chain postrouting {
				type nat hook postrouting priority srcnat; policy accept;
				iifname "lan" oifname "wan" meta l4proto { tcp, udp } masquerade to :20000-29999
				iifname "lan" oifname "wan" masquerade
			}
		}
	END
}

# known FAMILY FLOW...: Starts these flows, and waits until m and c know each other.
known() {
	local family=$1
	shift

	agent_start m c && serve c "$family" tcp:5000 udpc:5001 udpu:5002 && traffic m "$family" "$C" "$@" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "flows" slowwait 10 figure_at_least m flows $# || return
}

# flagged FAMILY FLAG: Prints a capture filter for messages with this bit in Options.
flagged() {
	[ "$1" = 4 ] && echo "udp port 61453 and udp[9] & $2 != 0" || echo "udp port 61453 and ip6[49] & $2 != 0"
}

# watch_nat: Captures data that c exchanges with the NAT's address.
watch_nat() {
	capture c eth0 "host $N and (tcp or udp) and not port 61453"
}

has() {
	host_is "$1" "$2" "any(.addr[]; .address == \"$3\" and .set == \"$4\" and .nat == $5)"
}

no_path() {
	host_is "$1" "$2" '.local == null'
}

logs() {
	grep -cE "$2" "$TMP/ihmpd.$1.log" || true
}

# soft FAMILY: m keeps its other network, and its routes prefer that one. The NAT changes all packets that leave through it, whichever
# source address they have, so m must use the other network.
soft() {
	local M C NEW N before UP

	stage "$1" && known "$1" tcp:5000,rate=50000 udpc:5001 udpu:5002 ping || return
	capture m wifi0 "$(flagged "$1" 0x40)" && watch_nat || return
	before=$EPOCHREALTIME
	join m wifi0 200 || return
	must "m hears of the NAT" slowwait 10 has m "$C" "$NEW" local true || return
	must "c has the address, and does not use it" slowwait 10 has c "$M" "$NEW" unreachable false || return
	check "c does not have the NAT's" not has c "$M" "$N" active true
	must "goes on" goes_on m 30 || return
	check "path at m" path_is m "$C" "$M" "$C"
	check "path at c" path_is c "$M" "$C" "$M"
	leave m wifi0 || return
	must "c forgets the address" slowwait 10 not has c "$M" "$NEW" unreachable false || return
	UP=$EPOCHREALTIME
	must "goes on" goes_on m 20 || return
	traffic_end m && serve_end c && judge_ok m c soft "$before" "$UP" $((60 + SLACK_MS)) "$C"
	capture_end m wifi0 && capture_end c eth0
	at_least "ACKs with ND" 1 "$(captured m wifi0 61453)"
	equal "data by the NAT" 0 "$(captured c eth0 .)"
	equal "hosts at c" 1 "$(figure c hosts)"
	# When m moves on, it does not announce again what its peer knows already.
	at_most "messages of m" 8 "$(logs m 'event=sent .* attempt=1')"
}

# hard FAMILY: m has no other network. Old connections wait, and new ones work, as without ihmp.
hard() {
	local M C NEW N before UP

	stage "$1" && known "$1" tcp:5000,rate=50000 udpc:5001 || return
	before=$EPOCHREALTIME
	leave m eth0 && join m wifi0 50 || return
	must "m hears of the NAT" slowwait 10 has m "$C" "$NEW" local true || return
	must "c hears that the other address is gone" slowwait 10 not has c "$M" "$M" active false || return
	must "no path at c" slowwait 10 no_path c "$M" || return
	watch_nat || return
	must "TCP stands" slowwait 10 stands m tcp || return
	must "UDP stands" slowwait 10 stands m udpc || return
	capture_end c eth0
	equal "data by the NAT" 0 "$(captured c eth0 .)"
	serve c@new "$1" tcp:5010 && traffic m@new "$1" "$C" tcp:5010,rate=50000 || return
	must "a new connection works" goes_on m@new 20 || return
	must "TCP still stands" slowwait 10 stands m tcp || return
	check "m still knows c" host_up m "$C"
	traffic_end m@new && serve_end c@new || return
	equal "corrupt" 0 "$(jq '[.flows[].corrupt] | add' "$TMP/run.m@new.json")"
	leave m wifi0 && join m eth0 || return
	UP=$EPOCHREALTIME
	must "goes on outside" goes_on m 20 30 || return
	must "c sends there" slowwait 10 path_is c "$M" "$C" "$M" || return
	traffic_end m && serve_end c && judge_ok m c hard "$before" "$UP" $((1000 + SLACK_MS)) "$C"
	equal "resets that m's sockets got" '' "$(jq -r '.flows[].errors | select(. != {}) | tojson' "$TMP/run.m.json")"
}

# begun FAMILY: m begins behind the NAT. Nothing can move, and both agents log the reason. Outside, m asks c again.
begun() {
	local M C NEW N

	stage "$1" && leave m eth0 && join m wifi0 50 || return
	agent_start m c && serve c "$1" tcp:5000 udpc:5001 || return
	# With this policy c sends HELLOs to its clients, which it would not do by itself.
	ctl c policy add "$N" auto-in || return
	capture m wifi0 "$(flagged "$1" 0x20)" || return
	traffic m "$1" "$C" tcp:5000,rate=50000 udpc:5001 || return
	must "m leaves c alone" slowwait 20 host_is m "$C" '.state == "classic"' || return
	must "m says why" slowwait 10 has_line "$TMP/ihmpd.m.log" "event=classic peer=$C reason=nat$" || return
	must "c leaves the NAT alone" slowwait 20 host_is c "$N" '.state == "classic"' || return
	must "c says why" slowwait 10 has_line "$TMP/ihmpd.c.log" "event=classic peer=$N reason=nat-forced$" || return
	must "goes on" goes_on m 20 || return
	capture_end m wifi0
	at_least "HELLOs with NF" 1 "$(captured m wifi0 61453)"
	equal "hosts at c that take part" 0 "$(ctl c -j host show | jq '[.[] | select(.state == "up")] | length')"
	traffic_end m || return
	equal "corrupt" 0 "$(jq '[.flows[].corrupt] | add' "$TMP/run.m.json")"
	leave m wifi0 && join m eth0 || return
	must "m forgets that" slowwait 10 has_line "$TMP/ihmpd.m.log" "event=gone peer=$C reason=network-changed$" || return
	traffic m "$1" "$C" tcp:5000,rate=50000 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	traffic_end m && serve_end c
}

# restarted FAMILY: The agents are started again while m is behind the NAT.
restarted() {
	local M C NEW N host

	stage "$1" && known "$1" tcp:5000,rate=50000 || return
	leave m eth0 && join m wifi0 50 || return
	must "m hears of the NAT" slowwait 10 has m "$C" "$NEW" local true || return
	must "no path at c" slowwait 10 no_path c "$M" || return
	for host in m c; do
		agent_stop "$host" KILL && agent_start "$host" || return
	done
	must "m still knows" has m "$C" "$NEW" local true || return
	leave m wifi0 && join m eth0 || return
	must "goes on outside" goes_on m 20 30 || return
	equal "hosts at m" 1 "$(figure m hosts)"
	equal "hosts at c" 1 "$(figure c hosts)"
	traffic_end m && serve_end c
}

for family in 4 6; do
	run_case "IPv$family: behind a NAT with another network: nothing moves, and nothing is lost" soft $family
	run_case "IPv$family: only behind a NAT: connections wait, new ones work" hard $family
	run_case "IPv$family: a connection that begins behind a NAT is left alone" begun $family
	run_case "IPv$family: agents begin anew while the host is behind a NAT" restarted $family
done
suite_end
