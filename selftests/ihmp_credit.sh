#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests how much is sent to an address of a host that is not validated (ihmp-wire.rst, "Proof of an address").
#
# The figures of ihmp.json are left in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/onlink.sh"

# c sends 500 datagrams of 1200 octets a second; the receiver does not answer.
STREAM=udpc:5001,source=1,interval=0.002,size=1200
# So many octets are sent in a second, with the headers of UDP and IPv4.
SECOND=614000

BEFORE_STAGE=scales

# agent HOST FIGURE: Prints a figure of `ihmpctl agent`.
agent() {
	ihmpctl --state "$TMP/state.$1" -j agent | jq ".$2"
}

# credit ID: Prints how many octets c may still send to unvalidated addresses of the host with this number.
credit() {
	ctl c -j host show "$1" | jq '.[0].credit'
}

credit_at_least() {
	[ "$(credit "$1")" -ge "$2" ]
}

credit_at_most() {
	[ "$(credit "$1")" -le "$2" ]
}

# scales FAMILY: Counts what c sends to m, and what the bystander receives, without messages. The bystander does not answer: if it did, it
# would say that it is another host, which c would believe soon.
scales() {
	in_ns c nft -f - <<-END || return
		table inet scales {
			counter taken {}
			chain output {
				type filter hook output priority 0
				udp sport 61453 return
				ip daddr { ${ADDR[m.eth0.4]:-0.0.0.1}, ${ADDR[m.wifi0.4]:-0.0.0.2} } counter name taken
				ip6 daddr { ${ADDR[m.eth0.6]:-::2}, ${ADDR[m.wifi0.6]:-::3} } counter name taken
			}
		}
	END
	in_ns v nft -f - <<-END
		table inet scales {
			counter directed {}
			chain input {
				type filter hook prerouting priority -500
				meta l4proto ipv6-icmp accept
				ip saddr ${ADDR[c.eth0.4]:-0.0.0.1} udp sport != 61453 counter name directed
				ip6 saddr ${ADDR[c.eth0.6]:-::2} udp sport != 61453 counter name directed
				ip saddr ${ADDR[c.eth0.4]:-0.0.0.1} drop
				ip6 saddr ${ADDR[c.eth0.6]:-::2} drop
			}
		}
	END
}

# taken, directed: Print how many octets c has sent to m so far, and how many the bystander has received.
taken() {
	in_ns c nft -j list counter inet scales taken | jq '.nftables[] | .counter? // empty | .bytes'
}

directed() {
	in_ns v nft -j list counter inet scales directed | jq '.nftables[] | .counter? // empty | .bytes'
}

taken_at_least() {
	[ "$(taken)" -ge "$1" ]
}

# lies HOST AHEAD: Does the same as lie, with the key of HOST, and checks that c believes the lie and finds out.
lies() {
	local count

	count=$(grep -c "event=unvalidated peer=$V" "$TMP/ihmpd.c.log")
	cp "$SEEN" "$TMP/copy"
	lie "$1" || return
	must "it is believed at first" slowwait 5 path_is c "$M" - "$V" || return
	POLL_MS=640 must "it is found out" slowwait 45 found_out "$count"
}

found_out() {
	[ "$(grep -c "event=unvalidated peer=$V" "$TMP/ihmpd.c.log")" -gt "$1" ]
}

# A host with a key has traffic for it sent to a bystander. Checks that the bystander gets no more octets than the host has received
# itself, also when the host makes another key.
liar() {
	local family=$1 M C NEW X V SEEN SNIFFER took got since

	TRAFFIC_OPTS="--seconds 100" stage "$family" "$STREAM" || return
	must "it takes a second of it" slowwait 20 taken_at_least "$SECOND" || return
	since=$(now_ms)
	lies 1 || return
	since=$(($(now_ms) - since))
	took=$(taken) got=$(directed)
	note "$took octets taken, $got directed to the bystander in $since ms; $(reason c no-credit) packets dropped"
	figure_of "a liar with a key, IPv$family" "octets taken" "$took" octets
	figure_of "a liar with a key, IPv$family" "octets to the bystander, to those taken" \
		"$(jq -n "$got / $took * 1000 | round / 1000")" 1
	at_least "octets to the bystander" 1 "$got"
	at_most "octets to the bystander" "$took" "$got"
	at_least "packets dropped for want of credit" 1 "$(reason c no-credit)"
	at_least "credit that is left is less than a packet" 1 $((1300 - $(ctl c -j host show | jq '.[0].credit')))

	# m comes back from the same network with a key that nobody knows.
	agent_stop m && rm -r "$TMP/state.m" && hub on && sniff || return
	agent_start m || return
	serve c@again "$family" udpc:5003 && TRAFFIC_OPTS="--seconds 100" traffic m@again "$family" "$C" "${STREAM/5001/5003}" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "c has another host" slowwait 10 figure_at_least c hosts 2 || return
	must "c was greeted" slowwait 10 has_line "$SEEN" "^$M $C " || return
	sniff_end && hub off || return
	must "it takes a second of it" slowwait 20 taken_at_least $((took + SECOND)) || return
	lies 1 || return
	took=$(taken) got=$(directed)
	note "with another key: $took octets taken in all, $got directed"
	at_most "octets to the bystander, by both keys" "$took" "$got"
}

# by_hand FAMILY: Builds c and m, and d in the same network as m, with host entries and without agents.
by_hand() {
	local family=$1

	FAMILIES=$family topo_trio && setup_ns v x && plug s v0 v eth0 && plug s x0 x eth0 || return
	ADDR[x.eth0.$family]=${MALLORY[$family]} ADDR[v.eth0.$family]=${VICTIM[$family]}
	join x eth0 && join v eth0 || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]} D=${ADDR[d.eth0.$family]}
	V=${VICTIM[$family]} X=${MALLORY[$family]}
	scales "$family" || return
	ONE=$(ctl c -j host add remote "$M" local "$C" | jq .id) && TWO=$(ctl c -j host add remote "$D" local "$C" | jq .id)
}

# Two hosts of a network receive one after the other. Checks that their credit together is what the network has received in 30 seconds.
network() {
	local family=$1 M C NEW D V X ONE TWO one two before got

	by_hand "$family" || return
	serve c "$family" udpc:5001 udpc:5002 udpc:5003 || return
	took m "$family" 5001 && took d "$family" 5002 || return
	# This traffic is the one that will be sent to the bystander.
	TRAFFIC_OPTS="--seconds 60" traffic m "$family" "$C" "udpc:5003,source=1,interval=0.01,size=1200" || return
	one=$(credit "$ONE") two=$(credit "$TWO") before=$(directed)
	note "m may have $one octets sent to others, d $two"
	at_least "m has half a minute of it" $((2900 * 1228)) "$one"
	at_least "d has most of that" $((2000 * 1228)) "$two"
	must "m is said to be at the bystander's" ctl c host set "$ONE" remote "$V" unvalidated || return
	POLL_MS=640 must "its credit is spent" slowwait 60 reason_at_least c no-credit 1 || return
	got=$(($(directed) - before))
	note "$got octets directed; then d may have $(credit "$TWO")"
	at_most "octets to the bystander" "$one" "$got"
	at_least "octets to the bystander, less a packet" $((one - 1300)) "$got"
	# d has received as much in its own half minute, but their network has used the credit up.
	at_most "what d may have sent now" 130000 "$(credit "$TWO")"
	must "d is said to be at the attacker's" ctl c host set "$TWO" remote "$X" unvalidated || return
	at_most "what it has then" 130000 "$(credit "$TWO")"
}

# took HOST FAMILY PORT: The host receives a packet of 1200 octets every 10 ms for a minute, and nothing afterwards.
took() {
	TRAFFIC_OPTS="--seconds 61" traffic "$1" "$2" "$C" "udpc:$3,source=1,interval=0.01,size=1200" || return
	POLL_MS=640 traffic_wait "$1" 90
}

# Checks that packets beyond the credit of a host that has received little wait until its address is validated, and go on then.
short() {
	local family=$1 M C NEW D V X ONE TWO dropped woken

	by_hand "$family" || return
	serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,send=0,rate=200000 || return
	ctl m host add remote "$C" local "$M" >/dev/null || return
	must "it takes something" slowwait 10 credit_at_least "$ONE" 200000 || return
	# m has both addresses, so that it receives what c sends to the new one.
	join m wifi0 50 || return
	ctl c host set "$ONE" remote "$NEW" unvalidated || return
	ctl m host set 1 local "$NEW" && leave m eth0 || return
	equal "c says that it is not validated" "$NEW" \
		"$(ctl c -j host show "$ONE" | jq -r '.[0].addr[] | select(.unvalidated).address')"
	check "and so does the text" grep -q "remote $NEW unvalidated" <(ctl c host show "$ONE")
	must "it goes on at first" goes_on m || return
	equal "nothing is dropped so far" 0 "$(reason c no-credit)"
	must "then packets are dropped" slowwait 20 reason_at_least c no-credit 1 || return
	must "and the traffic stands" slowwait 20 stands_still m c || return
	must "the credit is spent" credit_at_most "$ONE" 70000 || return
	woken=$(figure c tcp-woken)
	must "validated" ctl c host set "$ONE" remote "$NEW" || return
	at_least "sockets woken" $((woken + 1)) "$(figure c tcp-woken)"
	dropped=$(reason c no-credit)
	must "it goes on" slowwait 1 not has_still m c || return
	must "it goes on and on" goes_on m 50 || return
	equal "nothing is dropped any more" "$dropped" "$(reason c no-credit)"
	traffic_end m && serve_end c
}

# Checks that credit lasts for ten minutes.
expires() {
	local family=$1 M C NEW D V X ONE TWO since

	by_hand "$family" || return
	serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,burst=1 || return
	must "it takes something" burst m 1000000 || return
	must "and has credit for it" slowwait 5 credit_at_least "$ONE" 1000000 || return
	since=$(now_ms)
	POLL_MS=5000 must "nine minutes" slowwait 600 passed "$since" 540000 || return
	at_least "credit after nine minutes" 1000000 "$(credit "$ONE")"
	POLL_MS=5000 must "eleven minutes" slowwait 200 passed "$since" 660000 || return
	equal "credit after eleven minutes" 0 "$(credit "$ONE")"
	traffic_end m && serve_end c
}

# honest FAMILY FLOW PROBED LIMIT: m makes a hard move during FLOW. Checks that c sends PROBED probes at once, that no packet is dropped for
# lack of credit, and that silence ends at most LIMIT ms after the new address is there.
DELAY_MS=30
honest() {
	local family=$1 flow=$2 probed=$3 limit=$4 M C DOWN UP before

	FAMILIES=$family topo_testbed delay "${DELAY_MS}ms" || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	agent_start m c && serve c "$family" tcp:5000 || return
	traffic m "$family" "$C" "$flow" || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "traffic has gone on for a while" slowwait 20 passes c 1000 || return
	before=$(agent c probes)
	DOWN=$EPOCHREALTIME
	leave m eth0
	must "traffic stands in the gap" slowwait 10 stands_still m c || return
	note "c has a credit of $(ctl c -j host show | jq '.[0].credit') for m"
	join m wifi0 50 || return
	UP=$EPOCHREALTIME
	must "traffic goes on after the move" slowwait 10 not has_still m c || return
	must "c sends to the new address" path_is c "$M" "$C" "${ADDR[m.wifi0.$family]}" || return
	must "m hears the answer" slowwait 10 host_is m "$C" "all(.addr[]; .unvalidated | not)" || return
	equal "probes that c sent" "$probed" $(($(agent c probes) - before))
	must "unvalidated are $((1 - probed)) addresses" slowwait 2 host_is c "${ADDR[m.wifi0.$family]}" \
		"([.addr[] | select(.unvalidated)] | length) == $((1 - probed))" || return
	equal "packets dropped for want of credit" 0 "$(reason c no-credit)"
	traffic_end m && serve_end c || return
	judge_ok m c hard "$DOWN" "$UP" "$limit" "$C"
}

# passes HOST PACKETS: Have so many packets passed between the host and its peer?
passes() {
	[ "$(ctl "$1" -j host show | jq '.[0] | ."tx-packets" + ."rx-packets"')" -ge "$2" ]
}

# stands_still CLIENT SERVER: Has neither end received anything for a while?
stands_still() {
	has_still "$@" && return 0
	LAST_SEEN=$(cat "$TMP/run.$1.progress" "$TMP/serve.$2.progress")
	nap 0.3
	return 1
}

has_still() {
	[ "$(cat "$TMP/run.$1.progress" "$TMP/serve.$2.progress")" = "$LAST_SEEN" ]
}

RTT_MS=$((2 * DELAY_MS))
for family in 4 6; do
	run_case "IPv$family: a host with a key directs no more to a bystander than it took, with another key as little" liar $family
	run_case "IPv$family: hosts of one network have 30 seconds' worth together" network $family
	run_case "IPv$family: what there is no credit for goes on when the host is validated" short $family
	run_case "IPv$family: what was taken counts for ten minutes" expires $family
	run_case "IPv$family: a download moves within a round trip, and nobody is asked" \
		honest $family tcp:5000,send=0,rate=300000 0 $((RTT_MS + SLACK_MS + 20))
	run_case "IPv$family: an upload moves within two" \
		honest $family tcp:5000,recv=0,rate=300000 1 $((2 * RTT_MS + SLACK_MS + 20))
done
suite_end
