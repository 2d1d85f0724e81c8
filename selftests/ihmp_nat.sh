#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests a host behind a masquerading NAT, without agents: its flows go on by the NAT's ports, which the test tells the module.
#
# r2 of the testbed is the NAT. It replaces the source address and the port (for echoes the identifier). m begins at r1, which changes no
# addresses. The test tells c the mappings that r2's conntrack has.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nat.sh"

# stage FAMILY: Builds m at r1, c, and r2 with the NAT; the hosts know each other.
stage() {
	local family=$1

	FAMILIES=$family
	topo_testbed delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]} N=${ADDR[r2.wan.$family]}
	introduce m "$M" c "$C" && masquerade r2 && last_resort m
}

# last_resort HOST: Adds a default route by a dummy device, as the agent does. Without it sockets have no route between two networks.
last_resort() {
	batch "$1" <<-END
		link add ihmp0 type dummy
		link set ihmp0 arp off up
		route add 0.0.0.0/0 dev ihmp0 metric 100000
		route add ::/0 dev ihmp0 metric 100000
	END
}

# acquainted: Introduces d and c to each other.
acquainted() {
	HID[d]=$(ctl d -j host add remote "$C" local "$D" | jq .id)
	HID[c.d]=$(ctl c -j host add remote "$D" local "$C" | jq .id)
	last_resort d
}

# inside HOST ID_AT_C NEW: The host goes behind the NAT. c is told the address, but not the ports.
inside() {
	leave "$1" eth0 && join "$1" wifi0 50 &&
		ctl c host set "$2" remote "$N" nat && ctl "$1" host set "${HID[$1]}" local "$3"
}

# outside HOST ID_AT_C OLD: The host comes out again.
outside() {
	leave "$1" wifi0 && join "$1" eth0 &&
		ctl c host set "$2" remote "$3" && ctl "$1" host set "${HID[$1]}" local "$3"
}

# nat_port FAMILY PROTO PRIVATE SPORT DPORT: Prints the NAT's port for a flow, from its conntrack.
nat_port() {
	in_ns r2 conntrack -L -f "ipv$1" -p "$2" 2>/dev/null |
		sed -nE "s/.* src=$3 dst=$C sport=$4 dport=$5( \[[A-Z]+\])? src=$C dst=$N sport=$5 dport=([0-9]+).*/\2/p"
}

nat_knows() {
	[ -n "$(nat_port "$@")" ]
}

declare -A PROTO=([6]=tcp [17]=udp)

# tell FAMILY HOST PRIVATE ID_AT_C [EXTRA...]: Tells c the mapping of every flow of the host that goes through the NAT.
tell() {
	local family=$1 host=$2 private=$3 id=$4 proto sport dport
	shift 4

	while read -r proto sport dport; do
		proto=${PROTO[$proto]}
		must "the NAT has a port for $proto $sport" slowwait 10 nat_knows "$family" "$proto" "$private" "$sport" "$dport" || return
		ctl c nat add "$proto" "$N" "$(nat_port "$family" "$proto" "$private" "$sport" "$dport")" "$dport" \
			port "$sport" host "$id" "$@" || return
	done < <(ctl "$host" -j flow show |
		jq -r '.[] | select(.proto == 6 or .proto == 17) | "\(.proto) \(."wire-port" // ."local-port") \(."remote-port")"')
}

# resets: Prints how many TCP resets were captured on c's link.
resets() {
	captured c eth0 'Flags \[[^]]*R'
}

# Checks a stream, datagrams in both directions, and a ping: they go behind the NAT, out, and in again by the same mappings.
all_kinds() {
	local family=$1 M C NEW N UP DOWN LAST

	stage "$family" && serve c "$family" tcp:5000 udpc:5001 udpu:5002 || return
	traffic m "$family" "$C" tcp:5000,rate=50000 udpc:5001 udpu:5002 ping || return
	must "flows at m" slowwait 5 figure_at_least m flows 4 || return
	must "flows at c" slowwait 5 figure_at_least c flows 3 || return
	capture c eth0 tcp || return
	DOWN=$EPOCHREALTIME
	inside m "${HID[c]}" "$NEW" && tell "$family" m "$NEW" "${HID[c]}" || return
	UP=$EPOCHREALTIME
	must "goes on behind the NAT" goes_on m 20 || return
	check "path at c" path_is c "$(address_of c)" "$C" "$N"
	equal "mappings" 3 "$(figure c nats)"
	equal "the NAT's ports are others" 0 "$(ctl c -j nat show | jq '[.[] | select(."nat-port" == .port)] | length')"
	equal "and they are used" 3 "$(jq -n --argjson nat "$(ctl c -j nat show)" --argjson flow "$(ctl c -j flow show)" \
		'[$nat[] | . as $n | select(any($flow[]; .proto == $n.proto and ."remote-port" == $n.port))] | length')"
	equal "flows at c" 3 "$(figure c flows)"
	outside m "${HID[c]}" "$M" || return
	must "goes on outside" goes_on m 20 || return
	check "path at c is the first one" path_is c "$M" "$C" "$M"
	equal "the mappings stay" 3 "$(figure c nats)"
	inside m "${HID[c]}" "$NEW" || return
	must "goes on inside, without another word" goes_on m 20 || return
	outside m "${HID[c]}" "$M" || return
	LAST=$EPOCHREALTIME
	must "and outside at the end" goes_on m || return
	traffic_end m && serve_end c || return
	capture_end c eth0
	equal "resets" 0 "$(resets)"
	# In a hard move through a NAT, both ends lose packets that were sent meanwhile; the flows are the same as before.
	ALSO=$N judge_ok m c hard "$DOWN" "$LAST" 3000 "$C"
	equal "wrong checksums" "0 0" "$(csum_errors m) $(csum_errors c)"
	# Packets that were in flight when m left the NAT arrive late.
	equal "reasons at c" nat-unmapped "$(reasons c | cut -d' ' -f1 | grep -vx late | xargs)"
	note "  $CASE: from leaving to mapped $(((${UP/./} - ${DOWN/./}) / 1000)) ms, nat-unmapped $(reason c nat-unmapped)"
}

# address_of NAME: Prints an alias address by which NAME's first host entry is found.
address_of() {
	ctl "$1" -j host show | jq -r '[.[0].addr[] | select(.set == "alias") | .address][0]'
}

# Checks that without mappings c drops packets in both directions and sends no error, and that connections survive. The datagrams are for a
# connected socket of c, because an unconnected one would accept those of another client.
unmapped() {
	local family=$1 M C NEW N before

	stage "$family" && serve c "$family" tcp:5000 && serve m "$family" udpc:5001 || return
	traffic m "$family" "$C" tcp:5000,rate=50000 || return
	TRAFFIC_OPTS='--seconds 300' traffic c "$family" "$M" udpc:5001,source=1 || return
	must "flows" slowwait 5 figure_at_least c flows 2 || return
	capture c eth0 "tcp or icmp or icmp6" || return
	inside m "${HID[c]}" "$NEW" || return
	must "packets are refused" slowwait 20 reason_at_least c nat-unmapped 50 || return
	must "TCP stands" slowwait 10 stands m tcp || return
	must "UDP stands" slowwait 10 stands c udpc || return
	# One mapping is removed again, so the UDP flow still waits.
	tell "$family" m "$NEW" "${HID[c]}" || return
	# shellcheck disable=SC2046 # words
	ctl c nat del $(ctl c nat show | sed -nE 's/^(udp [^ ]+ [0-9]+ [0-9]+) .*/\1/p') || return
	before=$(reason c nat-unmapped)
	must "TCP goes on" goes_on m || return
	must "UDP is refused" slowwait 15 reason_at_least c nat-unmapped $((before + 20)) || return
	must "UDP stands still" slowwait 10 stands c udpc || return
	# Packets that come from the NAT after its address belongs to no host do not count.
	capture_end c eth0
	outside m "${HID[c]}" "$M" || return
	must "TCP goes on outside" goes_on m || return
	must "and UDP" goes_on c || return
	traffic_end m && traffic_end c || return
	equal "resets" 0 "$(resets)"
	equal "unreachables" '' "$(grep unreachable "$TMP/cap.c.eth0")"
	equal "errors of sockets" '' "$(jq -r '.flows[].errors | select(. != {}) | tojson' "$TMP/run.m.json" "$TMP/run.c.json")"
}

# Checks two hosts behind one address that use the same ports: each keeps its own flows.
two_hosts() {
	local family=$1 M C NEW N D NEW_D

	stage "$family" && second "$family" 1ms && acquainted && serve c "$family" tcp:5000 udpu:5001 || return
	traffic m "$family" "$C" "tcp:5000,rate=50000,bind=$M,sport=7000" "udpu:5001,bind=$M,sport=7001" || return
	traffic d "$family" "$C" "tcp:5000,rate=50000,bind=$D,sport=7000" "udpu:5001,bind=$D,sport=7001" || return
	must "flows" slowwait 5 figure_at_least c flows 4 || return
	inside m "${HID[c]}" "$NEW" && inside d "${HID[c.d]}" "$NEW_D" || return
	tell "$family" m "$NEW" "${HID[c]}" && tell "$family" d "$NEW_D" "${HID[c.d]}" || return
	must "m goes on" goes_on m 20 || return
	must "d goes on" goes_on d 20 || return
	equal "mappings" "2 2" "$(ctl c -j nat show host "${HID[c]}" | jq length) $(ctl c -j nat show host "${HID[c.d]}" | jq length)"
	equal "ports of the hosts" "7000 7001" "$(ctl c -j nat show | jq -r '.[].port' | sort -u | xargs)"
	equal "ports of the NAT" 4 "$(ctl c -j nat show | jq '[.[] | "\(.proto) \(."nat-port")"] | unique | length')"
	outside m "${HID[c]}" "$M" || return
	must "m goes on outside" goes_on m 20 || return
	must "d goes on inside" goes_on d 20 || return
	outside d "${HID[c.d]}" "$D" || return
	must "d goes on outside" goes_on d 20 || return
	traffic_end m && traffic_end d && serve_end c || return
	unharmed m c
	unharmed d c
}

# Checks that a connection that begins behind the NAT is not translated until it moves, and that it goes on outside when its mapping
# is known.
begun_inside() {
	local family=$1 M C NEW N

	stage "$family" && serve c "$family" tcp:5000 udpc:5001 || return
	inside m "${HID[c]}" "$NEW" || return
	traffic m "$family" "$C" tcp:5000,rate=50000 udpc:5001 || return
	must "goes on without a mapping" goes_on m || return
	equal "flows at c" 0 "$(figure c flows)"
	equal "nothing is refused" 0 "$(reason c nat-unmapped)"
	tell "$family" m "$NEW" "${HID[c]}" || return
	must "goes on with it" goes_on m 20 || return
	equal "flows with the port of the host" 2 "$(ctl c -j flow show host "${HID[c]}" |
		jq --arg n "$N" '[.[] | select(."host-port" != ."remote-port" and ."host-port" != null and .remote == $n)] | length')"
	outside m "${HID[c]}" "$M" || return
	must "goes on outside" goes_on m 20 || return
	inside m "${HID[c]}" "$NEW" || return
	must "and inside again" goes_on m 20 || return
	traffic_end m && serve_end c || return
	unharmed m c
}

# c has opened the flow and sends echo requests, and the NAT forwards both to m. An unreachable error from inside reaches the right socket.
from_outside() {
	local family=$1 M C NEW N id port icmp=icmp ip=ip

	[ "$family" = 4 ] || icmp=icmpv6 ip=ip6
	stage "$family" && serve m "$family" udpc:5001 || return
	in_ns r2 nft -f - <<-END || return
		table inet nat {
			chain prerouting {
				type nat hook prerouting priority dstnat; policy accept;
				iifname "wan" $icmp type echo-request dnat $ip to $NEW
				iifname "wan" udp dport 6001 dnat $ip to $([ "$family" = 4 ] && echo "$NEW" || echo "[$NEW]"):5001
			}
		}
	END
	traffic c "$family" "$M" udpc:5001 ping || return
	must "flows" slowwait 5 figure_at_least c flows 2 || return
	id=$(ctl c -j flow show | jq '.[] | select(.proto == 1 or .proto == 58) | ."local-port"')
	port=$(ctl c -j flow show | jq '.[] | select(.proto == 17) | ."local-port"')
	inside m "${HID[c]}" "$NEW" || return
	ctl c nat add "$icmp" "$N" 0 "$id" port 0 host "${HID[c]}" || return
	ctl c nat add udp "$N" 6001 "$port" port 5001 host "${HID[c]}" || return
	must "goes on behind the NAT" goes_on c 20 || return
	stop_process "${SERVER[m]}" KILL
	must "c translates the unreachable" slowwait 10 figure_at_least c icmp-in 1 || return
	nap 0.1
	traffic_end c || return
	at_least "ECONNREFUSED" 1 "$(jq '[.flows[].errors | to_entries[] | select(.key | endswith(" ECONNREFUSED")) | .value] | add // 0' \
		"$TMP/run.c.json")"
	equal "corrupt" 0 "$(jq '[.flows[].corrupt // 0] | add' "$TMP/run.c.json")"
}

# Packets must be smaller behind the NAT, and the NAT sends the errors.
path_mtu() {
	local family=$1 M C NEW N

	stage "$family" && serve c "$family" tcp:5000 || return
	traffic m "$family" "$C" tcp:5000,rate=200000 || return
	must "flow" slowwait 5 figure_at_least c flows 1 || return
	ipn r2 link set lan mtu 1300 && ipn m link set wifi0 mtu 1300 || return
	inside m "${HID[c]}" "$NEW" && tell "$family" m "$NEW" "${HID[c]}" || return
	must "goes on" goes_on m 100 || return
	at_least "errors translated at c" 1 "$(figure c icmp-in)"
	check "c's socket knows" has_pmtu c 1300
	traffic_end m && serve_end c || return
	equal "corrupt" 0 "$(jq '[.flows[].corrupt] | add' "$TMP/run.m.json" "$TMP/serve.c.json" | sort -u | xargs)"
}

has_pmtu() {
	in_ns "$1" ss -tinH state established | grep -q " pmtu:$2 "
}

# Checks that mappings end with their lifetime and with their host, and that monitors are told.
ends() {
	local family=$1 M C N=203.0.113.2 log=$TMP/monitor.c

	[ "$family" = 4 ] || N=2001:db8:3::2
	FAMILIES=$family topo_pair || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	introduce m "$M" c "$C" || return
	start c ihmpctl monitor >"$log" 2>&1
	must "the monitor listens" slowwait 20 touched "$log" || return
	ctl c host set "${HID[c]}" remote "$N" nat || return
	equal "the host's words" "remote $N nat" "$(ctl c host show "${HID[c]}" | sed -n 's/^ *\(remote .*\)/\1/p')"
	ctl c nat add tcp "$N" 20001 80 port 40000 host "${HID[c]}" expires 3 || return
	ctl c nat add udp "$N" 20002 53 port 40000 host "${HID[c]}" || return
	equal "words" "tcp $N 20001 80 port 40000 host ${HID[c]} expires" "$(ctl c nat show | sed -nE 's/^(tcp .* expires) [0-9.]+s$/\1/p')"
	equal "words without an end" "udp $N 20002 53 port 40000 host ${HID[c]}" "$(ctl c nat get udp "$N" 20002 53)"
	equal "JSON" '[1,6,20001,40000,80,true]' "$(ctl c -j nat get tcp "$N" 20001 80 | jq -c \
		'.[0] | [."host-id", .proto, ."nat-port", .port, ."local-port", ."expires-in" > 0]')"
	must "the monitor tells" slowwait 10 has_line "$log" "^nat tcp $N 20001 80 port 40000 host [0-9]+ expires " || return
	must "one ends with its time" slowwait 10 figure_is c nats 1 || return
	must "the monitor tells that, too" slowwait 10 has_line "$log" "^deleted nat tcp $N 20001 80 port 40000 host [0-9]+$" || return
	equal "the other is there" 1 "$(ctl c -j nat show | jq length)"
	ctl c host del "${HID[c]}" || return
	equal "and goes with the host" "0 []" "$(figure c nats) $(ctl c -j nat show)"
	equal "refused" "Error: ihmp: there is no host 4711 (host-id)." "$(ctl c nat add tcp "$N" 1 2 port 3 host 4711 2>&1)"
	equal "refused" "Error: ihmp: there is no such port mapping." "$(ctl c nat del tcp "$N" 1 2 2>&1)"
}

touched() {
	ctl c host add name probe remote 198.18.0.1 >/dev/null && ctl c host del "$(ctl c -j host show name probe | jq '.[0].id')"
	[ -s "$1" ]
}

# own_nat FAMILY: Makes r2 a stateless NAT for one SCTP association: m's port 7000 is port 20007 of r2 outside. So an association may come
# from elsewhere. nft does not correct SCTP's checksum and marks it as not to be checked, so tc computes it, as it comes from a wire.
own_nat() {
	local ip=ip

	[ "$1" = 4 ] || ip=ip6
	in_ns r2 tc qdisc add dev wan clsact && in_ns r2 tc filter add dev wan egress matchall action csum sctp || return
	in_ns r2 nft -f - <<-END
		table inet stateless {
			chain out {
				type filter hook forward priority filter; policy accept;
				oifname "wan" $ip saddr $NEW sctp sport 7000 sctp sport set 20007 $ip saddr set $N
			}
			chain in {
				type filter hook prerouting priority mangle; policy accept;
				iifname "wan" $ip daddr $N sctp dport 20007 sctp dport set 7000 $ip daddr set $NEW
			}
		}
	END
}

# sctp_errors NAME: Prints how many SCTP packets were dropped because of their checksum.
sctp_errors() {
	# shellcheck disable=SC2016 # awk's
	in_ns "$1" awk '$1 == "SctpChecksumErrors" { print $2 }' /proc/net/sctp/snmp
}

# SCTP's checksum covers the ports. The device computes none here, so each receiver checks it.
sctp() {
	local family=$1 M C NEW N device from

	python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)' 2>/dev/null ||
		{ skip "this kernel has no sctp" && return; }
	FAMILIES=$family
	topo_testbed delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} NEW=${ADDR[m.wifi0.$family]} N=${ADDR[r2.wan.$family]} from=$M
	last_resort m && own_nat "$family" || return
	for device in m.eth0 m.wifi0 r2.lan r2.wan c.eth0; do
		in_ns "${device%.*}" ethtool -K "${device#*.}" tx-checksum-sctp off tx-sctp-segmentation off || return
	done
	if [ "$2" = without ]; then
		leave m eth0 && join m wifi0 50 && from=$NEW || return
	else
		introduce m "$M" c "$C" || return
	fi
	serve c "$family" sctp:5000 && traffic m "$family" "$C" "sctp:5000,rate=50000,bind=$from,sport=7000" || return
	must "goes on" goes_on m || return
	if [ "$2" != without ]; then
		ctl c nat add sctp "$N" 20007 5000 port 7000 host "${HID[c]}" && inside m "${HID[c]}" "$NEW" || return
		# Over IPv4, SCTP does not send from an address that is gone.
		[ "$family" = 6 ] || ipn m addr add "$M/32" dev ihmp0 || return
	fi
	start c tcpdump -i eth0 -n -U --immediate-mode -Z root -w "$TMP/sctp.pcap" sctp 2>"$TMP/sctp.err"
	device=$BG
	must "tcpdump listens" slowwait 10 has_line "$TMP/sctp.err" 'listening on' || return
	must "goes on behind the NAT" goes_on m 50 30
	stop_process "$device" INT
	at_least "packets to the NAT" 20 "$(sctp_packets "sctp.dstport == 20007")"
	equal "wrong checksums on the wire" 0 "$(sctp_packets "sctp.checksum.status == 0")"
	equal "right ones" "$(sctp_packets sctp)" "$(sctp_packets "sctp.checksum.status == 1")"
	equal "wrong checksums at m and c" "0 0" "$(sctp_errors m) $(sctp_errors c)"
	traffic_end m && serve_end c || return
	equal "what is wrong" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {}) | tojson' "$TMP/run.m.json")"
}

# sctp_packets FILTER: Prints how many of the captured packets match.
sctp_packets() {
	tshark -r "$TMP/sctp.pcap" -o "sctp.checksum:CRC 32c" -Y "$1" 2>/dev/null | wc -l
}

for family in 4 6; do
	run_case "IPv$family: without ihmp, SCTP goes through a NAT with another port" sctp $family without
	run_case "IPv$family: SCTP goes on by another port of the NAT" sctp $family moved
	run_case "IPv$family: all kinds of traffic go on behind a NAT, outside, and inside again" all_kinds $family
	run_case "IPv$family: without a mapping packets vanish, and no connection breaks" unmapped $family
	run_case "IPv$family: two hosts behind one address, from the same ports" two_hosts $family
	run_case "IPv$family: a connection that began behind the NAT goes on outside" begun_inside $family
	run_case "IPv$family: opened from outside, echoes, and an unreachable from inside" from_outside $family
	run_case "IPv$family: the path behind the NAT has a smaller MTU" path_mtu $family
	run_case "IPv$family: mappings end with their time and their host" ends $family
done
suite_end
