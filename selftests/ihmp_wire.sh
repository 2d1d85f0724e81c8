#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests who sees which addresses: the wire, conntrack and nft see locators, and sockets see identifiers.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# stage FAMILY WHO [RULES]: Starts traffic between m and c, and agents, and waits until both ends know each other. RULES is a function that
# loads rulesets. It runs before the traffic begins, because conntrack takes a packet in flight for the first one of its connection.
#
# ping waits busily for the last 10 ms before its next request, so its interval is well above the round trip of 10 ms.
stage() {
	local family=$1
	local flows=("tcp:5000,rate=50000" udpc:5001 udpu:5002 "ping,interval=0.05")

	[ ${#FLOWS[@]} = 0 ] || flows=("${FLOWS[@]}")
	FAMILIES=$family topo_testbed delay 5ms || return
	roles "$2" "$family"
	"${3:-true}" || return
	agent_start m c && serve "$server" "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic "$client" "$family" "$TARGET" "${flows[@]}" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "flows" slowwait 10 figure_at_least "$client" flows ${#flows[@]} || return
	# The server has no flow for the ping, which is last.
	must "flows of the server" slowwait 10 figure_at_least "$server" flows $((${#flows[@]} - 1))
}
FLOWS=()

go() {
	join m wifi0 50 || return
	must "m uses the new address" slowwait 10 path_is m "$C" "$NEW" "$C" || return
	must "goes on from there" goes_on "$client" || return
	leave m eth0
	must "goes on" goes_on "$client" 20
}

wire() {
	local family=$1 client server M C NEW

	stage "$family" "$2" && go || return
	must "the move is over" path_is c "$M" "$C" "$NEW" || return
	capture m wifi0 not udp port 61453 && capture r2 wan not udp port 61453 && capture c eth0 not udp port 61453 || return
	must "goes on with captures" goes_on "$client" 30 || return
	traffic_end "$client"
	for where in m.wifi0 r2.wan c.eth0; do
		capture_end "${where%.*}" "${where#*.}"
		at_least "packets with the locators at $where" 100 "$(captured "${where%.*}" "${where#*.}" "(${NEW}[. ].*${C}|${C}[. ].*${NEW})")"
		equal "packets with the old address at $where" 0 "$(captured "${where%.*}" "${where#*.}" " ${M}[.: ]")"
	done
}

# sockets FAMILY WHO: Checks that ss shows the addresses with which the connection began.
sockets() {
	local family=$1 client server M C NEW host

	stage "$family" "$2" && go || return
	for host in m c; do
		in_ns "$host" ss -tunH state established >"$TMP/ss.$host"
		at_least "connections of $host by identifiers" 2 "$(grep -cF "$M" "$TMP/ss.$host")"
		equal "locators in the sockets of $host" 0 "$(grep -cF "$NEW" "$TMP/ss.$host")"
	done
}

# watch: Starts conntrack at both ends.
watch() {
	local host

	for host in m c; do
		in_ns "$host" nft -f - <<-END || return
			table inet watch {
				chain in {
					type filter hook input priority 0;
					ct state new,established counter
				}
				chain out {
					type filter hook output priority 0;
					ct state new,established counter
				}
			}
		END
	done
}

# tracked FAMILY WHO: Checks that conntrack has one entry for a flow, which has seen both directions, with the new address only.
tracked() {
	local family=$1 client server M C NEW host kind crossed

	stage "$family" "$2" watch && go || return
	# A ping that was in flight to the old address is answered from the new one, for which conntrack knows no request. Within a round
	# trip there is one such answer at most.
	[ "$2" = server ] && crossed=1 || crossed=0
	for host in m c; do
		in_ns "$host" conntrack -L -f ipv"$family" >"$TMP/ct.$host" 2>/dev/null || return
		for kind in tcp udp icmp; do
			at_least "$host: $kind entries on locators" 1 "$(grep -E "^$kind" "$TMP/ct.$host" | grep -cF "$NEW ")"
			equal "$host: $kind entries that mix both addresses" 0 \
				"$(grep -E "^$kind" "$TMP/ct.$host" | grep -F "$NEW " | grep -cF "$M ")"
		done
		equal "$host: tcp entries on locators" 1 "$(grep -E '^tcp' "$TMP/ct.$host" | grep -F 'port=5000 ' | grep -cF "$NEW ")"
		equal "$host: entries without an answer" 0 "$(grep -F "$NEW " "$TMP/ct.$host" | grep -vF 61453 | grep -cF UNREPLIED)"
		at_most "$host: invalid" "$crossed" "$(in_ns "$host" conntrack -S 2>/dev/null | grep -o 'invalid=[0-9]*' | cut -d= -f2 | awk '{ s += $1 } END { print s + 0 }')"
	done
}

# guard: Loads an ordinary stateful firewall on the host that moves. It makes no allowance for ihmp but for the port of IHMP messages.
guard() {
	in_ns m nft -f - <<-END
		table inet fw {
			chain input {
				type filter hook input priority 0; policy drop;
				ct state established,related accept
				meta l4proto ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
				udp dport 61453 accept
				counter comment "dropped"
			}
		}
	END
}

# firewall FAMILY: Checks that it drops nothing, before the move and after it.
firewall() {
	local family=$1 client server M C NEW

	stage "$family" client guard || return
	must "goes on behind the firewall" goes_on m 10 || return
	go || return
	traffic_end m && serve_end c || return
	equal "packets that the firewall dropped" 0 \
		"$(in_ns m nft -j list chain inet fw input | jq '[.. | .counter? // empty | .packets?] | add')"
	equal "errors" 0 "$(jq '[.flows[].errors[]] | add // 0' "$TMP/run.m.json")"
}

# strict: Loads a firewall on the host that does not move. It lets that host begin nothing, and conntrack runs from the beginning.
strict() {
	in_ns c nft -f - <<-END
		table inet fw {
			counter begun { }
			chain input {
				type filter hook input priority 0;
				ct state new,established accept
			}
			chain output {
				type filter hook output priority 0; policy drop;
				ct state established,related accept
				udp dport 61453 accept
				meta l4proto { tcp, udp } counter name begun drop
				meta l4proto { icmp, ipv6-icmp } accept
			}
		}
	END
}

# held FAMILY: Checks that packets that wait until the agent has heard of the move are tracked like others, so that answers to them begin no
# new connection.
held() {
	local family=$1 client server M C NEW

	stage "$family" client strict || return
	must "goes on behind the firewall" goes_on m 10 || return
	leave m eth0
	kill -STOP "${AGENT[c]}"
	join m wifi0 || return
	must "packets wait" slowwait 5 reason_at_least c held 2
	kill -CONT "${AGENT[c]}"
	[ -z "$CASE_STATUS" ] || return
	must "goes on" goes_on m 10 || return
	equal "packets that did not answer any" 0 "$(in_ns c nft -j list counter inet fw begun | jq '.nftables[1].counter.packets')"
}

# as_documented: Loads the first ruleset of firewall.rst at c and the second one at m, with another port and a counter.
as_documented() {
	local host n=0

	for host in c m; do
		n=$((n + 1))
		sed -n '/^  table inet filter {$/,/^  }$/p' "$SELFTESTS/../Documentation/firewall.rst" |
			awk -v n="$n" '/^  table/ { i++ } i == n' |
			sed 's/{ 22, 443 }/5000/; s/^  table .*/&\ncounter dropped { }/; s/invalid drop/invalid counter name dropped drop/' |
			in_ns "$host" nft -f - || return
		in_ns "$host" nft add rule inet filter input meta l4proto '{ tcp, udp }' counter name dropped || return
		# Connections that come back to this network need this.
		sysctl_in "$host" net.netfilter.nf_conntrack_tcp_be_liberal=1
	done
}

# documented FAMILY: Checks that the documented rulesets do what the page says.
documented() {
	local family=$1 client server M C NEW host
	local FLOWS=("tcp:5000,rate=50000" "ping,interval=0.05")

	stage "$family" client as_documented && go || return
	for host in m c; do
		equal "packets that $host dropped" 0 "$(in_ns "$host" nft -j list counter inet filter dropped | jq '.nftables[1].counter.packets')"
	done
	# m goes back by a hard move.
	leave m wifi0 && join m eth0 || return
	must "goes on where it came from" goes_on m 20 || return
	leave m eth0 && join m wifi0 || return
	must "goes on after a hard move" goes_on m 20 || return
	traffic_end m && serve_end c
	equal "errors" 0 "$(jq '[.flows[].errors[]] | add // 0' "$TMP/run.m.json")"
}

# by_locator FAMILY: Checks that nft rules apply to locators: one for the old network does not match packets from the new one.
by_locator() {
	local family=$1 client server M C NEW net word

	stage "$family" client || return
	net=$([ "$family" = 4 ] && echo 192.0.2.0/24 || echo 2001:db8:1::/64)
	word=$([ "$family" = 4 ] && echo ip || echo ip6)
	in_ns c nft -f - <<-END || return
		table inet fw {
			counter old { }
			counter new { }
			chain input {
				type filter hook input priority 0;
				tcp dport 5000 $word saddr $net counter name old accept
				tcp dport 5000 $word saddr $NEW counter name new drop
			}
		}
	END
	must "goes on in the old network" goes_on m 10 || return
	at_least "packets from the old network" 1 "$(in_ns c nft -j list counter inet fw old | jq '.nftables[1].counter.packets')"
	in_ns c nft reset counter inet fw old >/dev/null
	join m wifi0 50 && leave m eth0 || return
	must "refused from the new one" slowwait 10 rule_hit || return
	in_ns c nft reset counter inet fw old >/dev/null
	must "the connection stands" slowwait 10 stands m tcp || return
	equal "packets from the old network" 0 "$(in_ns c nft -j list counter inet fw old | jq '.nftables[1].counter.packets')"
	in_ns c nft flush chain inet fw input || return
	must "goes on when the rule is gone" goes_on m 5 || return
	traffic_end m && serve_end c
	equal "errors" 0 "$(jq '[.flows[].errors[]] | add // 0' "$TMP/run.m.json")"
}

rule_hit() {
	[ "$(in_ns c nft -j list counter inet fw new | jq '.nftables[1].counter.packets')" -gt 0 ]
}

for family in 4 6; do
	for who in client server; do
		run_case "IPv$family, $who moves: locators only on the wire" wire $family $who
		run_case "IPv$family, $who moves: identifiers only in ss" sockets $family $who
		run_case "IPv$family, $who moves: conntrack sees one consistent tuple" tracked $family $who
	done
	run_case "IPv$family: a stateful firewall lets a moved connection on" firewall $family
	run_case "IPv$family: the documented rulesets let a moved connection on" documented $family
	run_case "IPv$family: a packet that waits for the move is tracked" held $family
	run_case "IPv$family: nft rules are about locators" by_locator $family
done
suite_end
