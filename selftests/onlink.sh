# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Two hosts, and on their link an attacker x and a bystander v, for suites in which messages are forged.
#
# After "stage", M and C are the addresses of m and c, NEW is the one to which m moves, X and V are those of the attacker and the
# bystander, and the file $SEEN has the messages that the attacker saw.

# shellcheck disable=SC2034 # the suites read what is set here
declare -A MALLORY=([4]=192.0.2.66 [6]=2001:db8:1::66) VICTIM=([4]=192.0.2.77 [6]=2001:db8:1::77)

# stage calls this function with the family when the namespaces exist and nothing has been sent.
BEFORE_STAGE=:

# stage FAMILY [FLOW...]: Builds two hosts with agents and traffic, and on the same link the attacker x and the bystander v. The
# attacker has seen the messages of a move to the other address and back.
stage() {
	local family=$1
	shift

	[ $# -gt 0 ] || set -- tcp:5000,rate=20000 udpc:5001
	FAMILIES=$family topo_pair && setup_ns x v && plug s x0 x eth0 && plug s v0 v eth0 || return
	# shellcheck disable=SC2154 # keys, not variables
	ADDR[x.eth0.$family]=${MALLORY[$family]} ADDR[v.eth0.$family]=${VICTIM[$family]}
	join x eth0 && join v eth0 || return
	hub on || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	X=${MALLORY[$family]} V=${VICTIM[$family]} SEEN=$TMP/seen
	"$BEFORE_STAGE" "$family" || return
	sniff || return
	agent_start m c && serve c "$family" tcp:5000 udpc:5001 || return
	traffic m "$family" "$C" "$@" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "flows" slowwait 10 figure_at_least m flows $# || return
	move eth0 wifi0 "$NEW" && move wifi0 eth0 "$M" || return
	must "messages are seen" slowwait 10 at_least_lines 8 "$SEEN" || return
	must "of c as well" slowwait 10 has_line "$SEEN" "^$C $M " || return
	sniff_end
	# From now on the switch sends a frame only to its receiver, so that the counters show what was sent to each host.
	hub off && meters "$family"
}

# sniff: The attacker writes all messages to $SEEN, until sniff_end.
sniff() {
	rm -f "$SEEN"
	start x python3 "$SELFTESTS/attacker.py" sniff eth0 "$SEEN" >"$TMP/sniff.log" 2>&1
	SNIFFER=$BG
	slowwait 20 has_line "$TMP/sniff.log" '^ready' || fail "no attacker: $(cat "$TMP/sniff.log")"
}

sniff_end() {
	stop_process "$SNIFFER"
}

# hub on|off: Has the switch not learn addresses, so that it sends every frame to every port, or learn them again.
hub() {
	local port learning=off

	[ "$1" = on ] || learning=on
	for port in m0 m1 c0 x0 v0; do
		ipn s link set "$port" type bridge_slave learning "$learning" flood on fdb_flush || return
	done
}

at_least_lines() {
	[ "$(wc -l <"$2")" -ge "$1" ]
}

# move FROM TO ADDRESS: Makes a soft move of m.
move() {
	join m "$2" 50 || return
	must "c hears of $3" slowwait 10 host_is c "$3" "any(.addr[]; .address == \"$3\" and .set == \"active\")" || return
	must "traffic moves" goes_on m || return
	leave m "$1"
	must "c sends to $3" slowwait 10 path_is c "$3" - "$3" || return
	# The attacker has to see the last message, too.
	must "c heard the last of it" slowwait 10 has_line "$TMP/ihmpd.c.log" "event=received control=addr-down .* from=$3 " || return
	must "traffic goes on" goes_on m
}

# meters FAMILY: Counts what each host receives at the IHMP port, and what c sends to the bystander.
meters() {
	local host

	for host in m c; do
		in_ns "$host" nft -f - <<-END || return
			table inet meters {
				counter came {}
				counter went {}
				chain input { type filter hook input priority 0; udp dport 61453 counter name came; }
				chain output { type filter hook output priority 0; ip daddr ${VICTIM[4]} counter name went; ip6 daddr ${VICTIM[6]} counter name went; }
			}
		END
	done
}

# metered HOST COUNTER packets|bytes: Prints a value of such a counter.
metered() {
	in_ns "$1" nft -j list counter inet meters "$2" | jq ".nftables[] | .counter? // empty | .$3"
}

mac_of() {
	ipn "$1" -j link show eth0 | jq -r '.[0].address'
}

# lie AHEAD: A message with the key of m says that m is at the bystander's address.
lie() {
	in_ns x ihmp-attack lie eth0 "$(mac_of c)" "$C" "$TMP/copy" "$M" "$V" "$TMP/state.m" --ahead "$1" >"$TMP/lie" ||
		fail "the liar fails: $(cat "$TMP/lie")"
}
