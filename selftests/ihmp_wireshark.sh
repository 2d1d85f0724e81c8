#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests the dissector for Wireshark by the output of tshark: for real exchanges, signed and unsigned, and for the list of good and bad
# messages that core is tested with.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# tshark does not run scripts as root, so it runs as nobody, and that user must be able to read its files.
SHARK=$(mktemp -d /tmp/shark.XXXXXX)
defer rm -rf "$SHARK"
chmod 755 "$SHARK"
cp "$SELFTESTS/../Documentation/wireshark/ihmp.lua" "$SHARK"

# shark FILE ARGUMENT...: Runs tshark in two passes, so that the answer to a request is known when the request is printed. An error in the
# script is only one line of the output, so it is searched for.
shark() {
	local file=$SHARK/$1 status
	shift

	setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$SHARK" \
		tshark -2 -n -X lua_script:"$SHARK/ihmp.lua" -r "$file" "$@" >"$TMP/shark.out" 2>"$TMP/shark.err"
	status=$?
	cat "$TMP/shark.out"
	! grep -h -m 3 -A 3 'Lua Error\|lua:' "$TMP/shark.out" "$TMP/shark.err" >&2 || fail "an error in the script"
	return "$status"
}

# table FILE FILTER FIELD...: Prints the values of the fields, one line for each message, with | between them.
table() {
	local file=$1 filter=$2 args=() field
	shift 2

	for field in "$@"; do
		args+=(-e "$field")
	done
	shark "$file" -Y "$filter" -T fields -E separator='|' -E aggregator=, "${args[@]}"
}

# wrong FILE [FILTER]: Prints what the script finds wrong with the messages. That they are unsigned does not count here.
wrong() {
	table "$1" "_ws.expert.severity >= warn${2:+ and $2}" frame.number _ws.expert.message
}

# record HOST INTERFACE FILE: Captures messages with their octets. record_end ends the capture after everything is written.
record() {
	start "$1" tcpdump -i "$2" -n -U --immediate-mode -w "$SHARK/$3" udp port 61453 2>"$TMP/record.err"
	RECORDER=$BG
	slowwait 10 has_line "$TMP/record.err" 'listening on' || fail "tcpdump does not listen"
}

record_end() {
	stop_process "$RECORDER" INT
	chmod 644 "$SHARK"/*
}

# linked FILE: Checks that each answer links to its request, and each request to its first answer, and that there are no other links.
linked() {
	local bad

	bad=$(table "$1" ihmp frame.number ihmp.code ihmp.seqno ihmp.response_in ihmp.response_to ip.src ip.dst ipv6.src ipv6.dst |
		awk -F '|' '{ code[$1] = $2; seqno[$1] = $3; in_[$1] = $4; to[$1] = $5; src[$1] = $6 $8; dst[$1] = $7 $9 }
			END { for (n in code) {
				if (code[n] == 8 && to[n] == "") print n ": an answer to nothing"
				if (code[n] != 8 && in_[n] == "") print n ": a request without an answer"
				if (code[n] != 8 && in_[n] != "" && to[in_[n]] != n) print n ": " in_[n] " does not answer it"
				r = code[n] == 8 ? to[n] : ""
				if (r != "" && (seqno[r] != seqno[n] || src[r] != dst[n] || dst[r] != src[n])) print n ": answers something else"
			} }')
	equal "messages that belong together in $1" '' "$bad"
}

# signed FAMILY: Captures the messages of the agents in a soft and a hard move, and checks what the dissector says about them.
signed() {
	local family=$1 FAMILIES=$1 M C NEW key mine seqno word

	topo_testbed delay 5ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]}
	record c eth0 "signed$family.pcap" || return
	agent_start m c && serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	join m wifi0 50 || return
	must "ADDR_UP is answered" slowwait 10 has_line "$TMP/ihmpd.m.log" 'event=acked control=addr-up ' || return
	leave m eth0
	must "ADDR_DOWN is answered" slowwait 10 has_line "$TMP/ihmpd.m.log" 'event=acked control=addr-down ' || return
	leave m wifi0 && join m eth0 || return
	must "HANDOFF is answered" slowwait 10 has_line "$TMP/ihmpd.m.log" 'event=acked control=handoff ' || return
	traffic_end m
	record_end

	set -- "signed$family.pcap"
	equal "wrong messages" '' "$(wrong "$1")"
	equal "messages that it takes for others" 0 "$(table "$1" 'not ihmp' frame.number | wc -l)"
	linked "$1"
	equal "unsigned messages" '' "$(table "$1" 'ihmp and (not ihmp.options.sg == 1 or ihmp.signature.algorithm != 1)' frame.number)"
	seqno=$(sed -nE 's/.*event=acked control=addr-up seqno=([0-9]+) .*/\1/p' "$TMP/ihmpd.m.log" | head -n 1)
	equal "ADDR_UP" "2|$M|$NEW|$NEW||$M" \
		"$(table "$1" "ihmp.seqno == $seqno and ihmp.code != 8" ihmp.code ihmp.host ihmp.source ihmp.new ihmp.old ihmp.other)"
	seqno=$(sed -nE 's/.*event=acked control=addr-down seqno=([0-9]+) .*/\1/p' "$TMP/ihmpd.m.log" | head -n 1)
	equal "ADDR_DOWN" "4|$NEW||$M" \
		"$(table "$1" "ihmp.seqno == $seqno and ihmp.code != 8" ihmp.code ihmp.source ihmp.new ihmp.old)"
	seqno=$(sed -nE 's/.*event=acked control=handoff seqno=([0-9]+) .*/\1/p' "$TMP/ihmpd.m.log" | head -n 1)
	equal "HANDOFF" "6|$NEW|$M|$M|$NEW" \
		"$(table "$1" "ihmp.seqno == $seqno and ihmp.code != 8" ihmp.code ihmp.host ihmp.source ihmp.new ihmp.old | tail -n 1)"
	at_least "HELLOs of m" 1 "$(table "$1" "ihmp.code == 0 and ihmp.source == \"$M\"" frame.number | wc -l)"
	# Filters can use prefixes; a filter for the other family's field matches nothing.
	word=$([ "$family" = 4 ] && echo 'ihmp.ip == 203.0.113.0/24 and not ihmp.ipv6' || echo 'ihmp.ipv6 == 2001:db8:3::/64 and not ihmp.ip')
	at_least "answers of c, by prefix" 4 "$(table "$1" "ihmp.code == 8 and $word" frame.number | wc -l)"
	# The key is the one that ihmpctl shows, and timestamps only grow.
	mine=$(ihmpctl --state "$TMP/state.m" -j key | jq -r '.[] | select(.kind == "own") | .key')
	key=$(table "$1" "ihmp.source == \"$M\" or ihmp.source == \"$NEW\"" ihmp.signature.key | tr -d : | sort -u)
	equal "the key of m" "$mine" "$key"
	check "timestamps of m" sort -nuc <(table "$1" "ihmp.source == \"$M\" or ihmp.source == \"$NEW\"" ihmp.signature.timestamp)
	check "a round trip" sh -c "[ 0\$(echo $(table "$1" "ihmp.code == 8 and ihmp.source == \"$C\"" ihmp.response_time |
		tail -n 1) | cut -d. -f1) = 00 ]"
}

# asked: Checks that unanswered HELLOs are repeated, and are shown as repetitions.
asked() {
	FAMILIES=4 topo_pair || return
	record m eth0 asked.pcap || return
	agent_start m && serve c 4 tcp:5000 && traffic m 4 "${ADDR[c.eth0.4]}" tcp:5000,rate=20000 || return
	must "m gives up" slowwait 30 has_line "$TMP/ihmpd.m.log" 'event=classic' || return
	traffic_end m
	record_end
	equal "HELLOs" "1|0|
2|0|1
3|0|1" "$(table asked.pcap 'ihmp and not icmp' frame.number ihmp.code ihmp.repeats)"
	equal "answers" 0 "$(table asked.pcap 'ihmp.response_in or ihmp.response_to' frame.number | wc -l)"
}

# say FROM TO OCTETS: Sends a datagram from the IHMP port, and waits for the answer.
say() {
	in_ns m python3 - "$1" "$2" "${3// /}" <<-'END'
		import socket, sys
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.bind((sys.argv[1], 61453))
		sock.settimeout(5)
		sock.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[2], 61453))
		sock.recv(512)
	END
}

# mapped ADDRESS: Prints an IPv4 address as it stands in a message.
mapped() {
	local IFS=.

	# shellcheck disable=SC2046,SC2086 # four numbers
	printf '00000000000000000000ffff%02x%02x%02x%02x' $1
}

# unsigned: The test itself is a host without a key, and an agent that accepts unsigned messages answers it.
unsigned() {
	local C m n

	FAMILIES=4 topo_testbed || return
	C=${ADDR[c.eth0.4]}
	printf '[security]\nmode = "unsigned"\n' >"$TMP/ihmpd.c.toml"
	defer rm -f "$TMP/ihmpd.c.toml"
	m=$(mapped 192.0.2.10) n=$(mapped 198.51.100.10)
	join m wifi0 50 || return
	agent_start c && record c eth0 unsigned.pcap || return
	must "HELLO" say 192.0.2.10 "$C" "00 00 0064 $m $m" || return
	must "ADDR_UP" say 198.51.100.10 "$C" "02 00 0065 $m $n $n $m" || return
	must "ADDR_DOWN" say 198.51.100.10 "$C" "04 00 0066 $n $n $m" || return
	must "HANDOFF" say 192.0.2.10 "$C" "06 08 0067 $n $m $m $n" || return
	must "a wrong number" say 192.0.2.10 "$C" "02 00 9999 $m $m $m" || return
	record_end
	linked unsigned.pcap
	equal "signed messages" 0 "$(table unsigned.pcap ihmp.signature frame.number | wc -l)"
	equal "messages" "0|100|0x00|192.0.2.10|192.0.2.10|||
8|100|0x00|$C|$C|||
2|101|0x00|192.0.2.10|198.51.100.10|198.51.100.10||192.0.2.10
8|101|0x00|$C|$C|||
4|102|0x00|198.51.100.10|198.51.100.10||192.0.2.10|
8|102|0x00|$C|$C|||
6|103|0x08|198.51.100.10|192.0.2.10|192.0.2.10|198.51.100.10|
8|103|0x00|$C|$C|||
2|39321|0x00|192.0.2.10|192.0.2.10|192.0.2.10||
8|39321|0x10|$C|$C|||" \
		"$(table unsigned.pcap "frame.number <= 10" ihmp.code ihmp.seqno ihmp.options ihmp.host ihmp.source ihmp.new ihmp.old ihmp.other)"
	equal "in one word" "HANDOFF 103, [OU], new 192.0.2.10, old 198.51.100.10, by 198.51.100.10" \
		"$(table unsigned.pcap "ihmp.code == 6" _ws.col.info)"
	equal "an ACK with IS stands out" 10 "$(table unsigned.pcap "ihmp.incorrect-seqno" frame.number)"
}

# forge FILE SOURCE SOURCE_PORT: Makes a capture of messages from standard input, the octets of one on a line.
forge() {
	sed -E 's/ //g; s/../ &/g; s/^/0000 /' >"$TMP/forge.txt"
	text2pcap -q -4 "$2,203.0.113.10" -u "$3,61453" "$TMP/forge.txt" "$SHARK/$1" 2>"$TMP/forge.err" ||
		fail "text2pcap: $(cat "$TMP/forge.err")" || return
	chmod 644 "$SHARK/$1"
}

# listed: Checks that the dissector calls malformed what core refuses, for the same reason, and nothing that core accepts.
listed() {
	local list=$SELFTESTS/../core/tests/messages.txt

	sed '/^#/d; /^$/d; s/^[^ ]* //' "$list" | forge listed.pcap 198.51.100.7 61453 || return
	# If there are several reasons, the first one counts.
	diff -u <(sed '/^#/d; /^$/d; s/ .*//' "$list" | grep -n .) \
		<(table listed.pcap frame frame.number _ws.expert.message _ws.malformed | awk -F '|' '{
			n = split($2, all, ","); first = "ok"
			for (i = n; i > 0; i--) {
				split(all[i], word, ":")
				if (word[1] ~ /^(short|unknown-control|reserved-option|bad-signature-block|ragged-payload|too-many-addresses)$/)
					first = word[1]
			}
			print $1 ":" first }') >"$TMP/diff" || fail "$(cat "$TMP/diff")"
}

# meant: Checks messages that can be parsed but make no sense.
meant() {
	local s o key

	key=$(printf '07%.0s' {1..32})
	s=$(mapped 198.51.100.7) o=$(mapped 192.0.2.1)
	forge meant.pcap 198.51.100.7 61453 <<-END || return
		00 00 0001 $o
		06 00 0002 $o $s $s
		06 00 0003 $o $s $o $o
		02 00 0004 $o $s $o
		03 00 0005 $o $s $s
		04 00 0006 $o $s $s
		07 00 0007 $o $s $o $(mapped 192.0.2.2)
		08 10 0008 $o $s
		00 04 0009 09000000 $o $s
		01 00 000a $o $s
		09 00 000b $o $s
		00 00 000c $o $o
		09 00 000d $s $s $o $(mapped 192.0.2.2) $(mapped 203.0.113.10) 012c0000000000000000000000000000
		09 00 000e $s $s $o $(mapped 192.0.2.2) $(mapped 203.0.113.10) 012c0000000000000000000000000001
		09 00 0014 $s $s $o $(mapped 192.0.2.2) $(mapped 203.0.113.10) 012c0100000000000000000000000000
		09 00 0015 $s $s $o $(mapped 192.0.2.2) $(mapped 203.0.113.10) 00000100000000000000000000000000
		09 00 0016 $s $s $o $(mapped 192.0.2.2) $(mapped 203.0.113.10) 012c0200000000000000000000000000
		09 00 0017 $s $s $o $(mapped 192.0.2.2) $(mapped 203.0.113.10) 00000000000000000000000000000000
		0a 00 000f $s
		0a 00 0010 $s $s $(mapped 192.168.1.7) $key 0600 4e21 9c40 0016 0258 000000000000
		0a 00 0011 $s $s $(mapped 192.168.1.7) $key 0001 4e21 9c40 0016 0258 000000000000
		0a 00 0012 $s $s $s $key 0600 4e21 9c40 0016 0258 000000000000
		0a 00 0013 $s $o $(mapped 192.168.1.7) $key 0600 4e21 9c40 0016 0258 000000000000
	END
	# The findings do not include that a message is unsigned, and that an ACK has IS.
	equal "findings" "bad-payload bad-payload bad-payload bad-payload bad-payload bad-payload ok ok unknown-algorithm ok bad-payload nat-detected ok bad-payload ok bad-payload bad-payload ok bad-payload ok bad-payload bad-payload nat-detected" \
		"$(table meant.pcap frame _ws.expert.message | awk -F , '{
			found = "ok"
			for (i = NF; i > 0; i--) { split($i, word, ":"); if (word[1] ~ /^[a-z-]+$/ && word[1] != "unsigned") found = word[1] }
			print found }' | paste -sd ' ')"
	equal "what a router says" "13|300|0
20|300|1
23|0|0" "$(table meant.pcap 'ihmp.code == 9 and not ihmp.bad-payload' ihmp.seqno ihmp.lifetime ihmp.outcome)"
	equal "in one word" 1 "$(table meant.pcap 'ihmp.seqno == 20' _ws.col.info | grep -c 'terms rejected 300 s')"
	equal "what a NAT says" "198.51.100.7|192.168.1.7|6|20001|40000|22|600" "$(table meant.pcap "ihmp.seqno == 16" ihmp.source \
		ihmp.inside ihmp.nat.proto ihmp.nat.nat_port ihmp.nat.port ihmp.nat.peer ihmp.lifetime)"
	printf '%s\n' "00 00 0001 $s $s" | forge port.pcap 198.51.100.7 1024 || return
	equal "another port" 1 "$(table port.pcap ihmp.source-port frame.number)"
	# A message that the capture has cut off does not count as malformed.
	editcap -s 60 "$SHARK/meant.pcap" "$SHARK/cut.pcap" && chmod 644 "$SHARK/cut.pcap" || return
	equal "findings in what was cut off" 0 "$(table cut.pcap '_ws.expert.group == "Malformed" and not ihmp.seqno == 10' frame.number | wc -l)"
}

for family in 4 6; do
	run_case "IPv$family: a signed exchange" signed $family
done
run_case "an unsigned exchange" unsigned
run_case "requests without an answer" asked
run_case "well-formed and malformed messages, as core has them" listed
run_case "messages that make no sense" meant
suite_end
