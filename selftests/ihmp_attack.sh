#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# An attacker on the link forges messages by the hundred thousand. Tests that none is believed, that each is counted with its reason, that
# no table changes and memory does not grow, and that a bystander whose address is forged gets at most three times the octets that
# were sent in its name. Tests as well that a host with a key that lies about its address is found out.
#
# The figures of ihmp.json are left in $IHMP_RESULTS.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/onlink.sh"

# The numbers of messages: FORGED is of all five kinds together, GREETINGS is of HELLOs. Most of the code is the same for IPv6, so there
# are fewer. A million of each takes some minutes:
#
#   selftests/vm/run --kernel uml --timeout 1800 -- env FORGED=1000000 GREETINGS=1000000 selftests/ihmp_attack.sh
declare -A FORGED=([4]=${FORGED:-100000} [6]=20000) GREETINGS=([4]=${GREETINGS:-100000} [6]=20000)
# Messages a second: as many as an otherwise idle agent can take. In time travel computing takes no time.
RATE=${RATE:-60000}
# An agent may grow by so many KiB.
MOST_GROWTH=4096

# agent HOST FIGURE: Prints a figure of `ihmpctl agent`.
agent() {
	ihmpctl --state "$TMP/state.$1" -j agent | jq ".$2"
}

# reasons_of HOST: Prints a line "REASON MESSAGES" for each reason for which the host's agent has refused messages.
reasons_of() {
	ihmpctl --state "$TMP/state.$1" -j agent | jq -r '.refusals[] | "\(.reason) \(.messages)"'
}

# rss HOST: Prints how many KiB the host's agent has in memory.
rss() {
	awk '/^VmRSS/ { print $2 }' "/proc/${AGENT[$1]}/status"
}

# tables HOST: Prints everything that must not change: hosts without counters, flows, and keys.
tables() {
	ctl "$1" -j host show | jq -cS '[.[] | {id, state, local, remote, addr: (.addr | sort_by(.set, .address))}] | sort_by(.id)'
	ctl "$1" -j flow show | jq -cS '[.[] | del(.idle, .tx_packets, .rx_packets)] | sort_by(tostring)'
	ihmpctl --state "$TMP/state.$1" key | awk '{ print $1, $2, $3 }'
}

# all_counted HOST REFUSED SENT: Has the agent refused SENT more messages than REFUSED?
all_counted() {
	[ $(($(agent "$1" refused) - $2)) -ge "$3" ]
}

# bombarded HOST CMD...: Runs CMD, which sends forged messages to HOST. Checks that HOST has refused all of them, and that nothing
# has changed between HOST and its peer. The output of CMD is in $TMP/sent.
bombarded() {
	local host=$1 refused came tables_m tables_c sent start
	shift

	must "nothing is under way" slowwait 20 calm || return
	refused=$(agent "$host" refused) came=$(metered "$host" came packets)
	tables_m=$(tables m) tables_c=$(tables c)
	reasons_of "$host" >"$TMP/reasons"
	in_ns x "$@" >"$TMP/sent" || fail "the attacker fails: $(cat "$TMP/sent")" || return
	sent=$(jq .sent "$TMP/sent")
	came=$(($(metered "$host" came packets) - came))
	at_least "messages that came" "$sent" "$came"
	must "all are counted" slowwait 30 all_counted "$host" "$refused" "$sent" ||
		note "sent $sent, came $came, refused $(($(agent "$host" refused) - refused))"
	# The hosts' own messages came as well, and those were not refused.
	equal "refused" "$sent" $(($(agent "$host" refused) - refused))
	equal "hosts, flows and keys of m" "$tables_m" "$(tables m)"
	equal "hosts, flows and keys of c" "$tables_c" "$(tables c)"
	note "$sent messages to $host: $(reasons_of "$host" | awk 'FILENAME == ARGV[1] { old[$1] = $2; next }
		$2 > old[$1] { printf "%s%s %d", sep, $1, $2 - old[$1]; sep = ", " }' "$TMP/reasons" -)"
	must "traffic goes on" goes_on m
}

# calm: Has no message passed for a moment? This is a condition for slowwait.
calm() {
	local now

	now="$(metered m came packets) $(metered c came packets)"
	[ "$now" = "$LAST_SEEN" ] && return 0
	LAST_SEEN=$now
	nap 0.5
	return 1
}

# forge FAMILY HOST PEER COUNT: Sends forged messages to HOST in the name of PEER.
forge() {
	local family=$1 host=$2 peer=$3 count=$4 from to

	from=${ADDR[$peer.eth0.$family]} to=${ADDR[$host.eth0.$family]}
	cp "$SEEN" "$TMP/copy"
	bombarded "$host" ihmp-attack forge eth0 "$(mac_of "$host")" "$to" "$TMP/copy" "$from" "$X" "$V" --count "$count" --rate "$RATE"
}

# forged FAMILY: Checks that none of these is believed: HELLO, ADDR_UP, HANDOFF, ACK and ROUTER_ACK with numbers that were seen or guessed,
# replayed or reflected, with every kind of signature that can be made without the key.
forged() {
	local family=$1 M C NEW X V SEEN before sent went

	stage "$family" || return
	before=$(rss c)
	forge "$family" c m "${FORGED[$family]}" || return
	equal "kinds" "ack addr-up handoff hello router-ack" "$(jq -r '.kinds | keys | join(" ")' "$TMP/sent")"
	at_most "KiB that the agent grew" "$MOST_GROWTH" $(($(rss c) - before))
	# Both counts are of messages, without the headers of UDP and IP.
	sent=$(jq .bystander "$TMP/sent") went=$(bystander)
	at_most "octets to the bystander" $((3 * sent)) "$went"
	figures "forged messages, IPv$family" "$(accepted)"
	figure_of "forged messages, IPv$family" "octets in the name of a bystander" "$sent" octets
	figure_of "forged messages, IPv$family" "octets to a bystander" "$went" octets
	figure_of "forged messages, IPv$family" "octets to a bystander / in his name" "$(jq -n "$went / $sent * 1000 | round / 1000")" 1
	figure_of "forged messages, IPv$family" "growth of the agent" $((($(rss c) - before) * 1024)) octets
	forge "$family" m c 20000 || return
	# Real messages are still accepted.
	move eth0 wifi0 "$NEW" || return
	equal "hosts at c" 1 "$(figure c hosts)"
	traffic_end m && serve_end c && ALLOW=5 judge_ok m c soft 0 0 1000 "$C"
}

# figures CASE ACCEPTED: Records what was sent and what was believed: in all, by kind, and by way. If ACCEPTED is 0, it is 0 for each kind.
figures() {
	local name sent

	figure_of "$1" sent "$(jq .sent "$TMP/sent")" 1
	figure_of "$1" accepted "$2" 1
	while read -r name sent; do
		figure_of "$1, $name" sent "$sent" 1
		[ "$2" != 0 ] || figure_of "$1, $name" accepted 0 1
	done < <(jq -r '(.kinds, .ways) | to_entries[] | "\(.key) \(.value)"' "$TMP/sent")
}

# bystander: Prints the octets of the messages that c sent to the bystander, without the headers of IP and UDP.
bystander() {
	local packets head=28

	[ "${V//:/}" = "$V" ] || head=48
	packets=$(metered c went packets)
	echo $(($(metered c went bytes) - packets * head))
}

# accepted: Prints how many messages were sent and not refused.
accepted() {
	local new

	new=$(reasons_of c | awk 'FILENAME == ARGV[1] { old[$1] = $2; next } { sum += $2 - old[$1] } END { print sum }' "$TMP/reasons" -)
	echo $(($(jq .sent "$TMP/sent") - new))
}

# flooded FAMILY: Sends more messages at once than the socket has room for, and checks that those that the kernel drops are counted with
# a reason, too. Then sends HELLOs from all addresses; every fourth has a good signature by a key of its own.
flooded() {
	local family=$1 M C NEW X V SEEN before keys

	stage "$family" || return
	cp "$SEEN" "$TMP/copy"
	kill -STOP "${AGENT[c]}"
	in_ns x ihmp-attack forge eth0 "$(mac_of c)" "$C" "$TMP/copy" "$M" "$X" "$V" --count 2000 --rate 0 >"$TMP/sent" || return
	kill -CONT "${AGENT[c]}"
	bombarded c ihmp-attack forge eth0 "$(mac_of c)" "$C" "$TMP/copy" "$M" "$X" "$V" --count 20000 --rate 0 || return
	at_least "without room" 1 "$(reasons_of c | awk '$1 == "not-received" { print $2 }')"
	# The first flood does not count: an agent may keep the memory that it needs for floods.
	bombarded c ihmp-attack greet eth0 "$(mac_of c)" "$C" --count 20000 --rate "$RATE" || return
	before=$(rss c) keys=$(agent c keys)
	bombarded c ihmp-attack greet eth0 "$(mac_of c)" "$C" --count "${GREETINGS[$family]}" --rate "$RATE" || return
	at_most "KiB that the agent grew" "$MOST_GROWTH" $(($(rss c) - before))
	at_most "answers that are awaited" 1024 "$(agent c challenges)"
	equal "keys" "$keys" "$(agent c keys)"
	equal "hosts of the module" 1 "$(figure c hosts)"
	figure_of "forged HELLOs, IPv$family" sent "${GREETINGS[$family]}" 1
	figure_of "forged HELLOs, IPv$family" accepted "$(accepted)" 1
	figure_of "forged HELLOs, IPv$family" "growth of the agent" $((($(rss c) - before) * 1024)) octets
	figure_of "forged HELLOs, IPv$family" "hosts of the module" "$(figure c hosts)" 1
}

# liar FAMILY: A host with a key has its traffic sent to a bystander who does not answer. Checks that this lasts for a limited time, and
# does not work a second time.
liar() {
	local family=$1 most=34 M C NEW X V SEEN since octets packets

	# One packet now and then is enough for c to send them to the other address.
	stage "$family" udpc:5001,interval=0.1 || return
	cp "$SEEN" "$TMP/copy"
	# If the bystander answered, it would say that it is another host, which c would believe soon.
	in_ns v nft -f - <<-END || return
		table inet silent {
			chain input { type filter hook input priority -500; ip saddr ${ADDR[c.eth0.4]:-0.0.0.1} drop; ip6 saddr ${ADDR[c.eth0.6]:-::2} meta l4proto != ipv6-icmp drop; }
		}
	END
	octets=$(bystander)
	since=$(now_ms)
	lie 1 || return
	must "it is believed at first" slowwait 5 path_is c "$M" - "$V" || return
	POLL_MS=640 must "it is found out" slowwait $((most + 10)) has_line "$TMP/ihmpd.c.log" "event=unvalidated peer=$V" || return
	since=$(($(now_ms) - since)) octets=$(($(bystander) - octets))
	note "for $since ms, $octets octets of data to the bystander, for one message of $(jq .octets "$TMP/lie")"
	at_most "ms until it is found out" $((most * 1000 + SLACK_MS)) "$since"
	at_least "octets until then" 1 "$octets"
	figure_of "a liar with a key, IPv$family" "until it is found out" "$since" ms
	figure_of "a liar with a key, IPv$family" "octets to the bystander" "$octets" octets
	must "c does not send there any more" host_is c "$M" "[.addr[] | select(.set == \"active\")] == []" || return
	packets=$(metered c went packets) since=$(now_ms)
	lie 2 || return
	must "it is not believed again" slowwait 5 counts c unvalidated 1 || return
	POLL_MS=640 must "ten seconds" slowwait 20 passed "$since" 10000 || return
	# These are a few probes, and the answer to the second lie.
	at_most "messages to the bystander in ten seconds" 8 $(($(metered c went packets) - packets))
}

# counts HOST REASON LEAST: Has the host's agent refused at least so many messages for this reason?
counts() {
	[ "$(reasons_of "$1" | awk -v reason="$2" '$1 == reason { print $2 }')" -ge "$3" ] 2>/dev/null
}

for family in 4 6; do
	run_case "IPv$family: ${FORGED[$family]} forged messages" forged $family
	run_case "IPv$family: more than there is room for, and ${GREETINGS[$family]} greetings from everywhere" flooded $family
	run_case "IPv$family: a host with a key lies about its address" liar $family
done
suite_end
