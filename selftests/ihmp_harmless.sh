#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests that until a host moves, a machine with an agent sends packet for packet what it sends without: the same mixed traffic runs twice
# in the same network, and captures.py compares what every interface of every host saw.
#
# The topology is the testbed of topo.sh with additions. m has both networks, a second address, a VPN to r2, a service address on its
# loopback, and a container k, for which it is a NAT on its second network. c has a second address. d is on c's link, has no agent, and
# has a thousand addresses, which count as a thousand hosts.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/speaker.sh"
. "$(dirname "$0")/paired.sh"
. "$(dirname "$0")/compared.sh"

# r2's WireGuard port.
VPN_PORT=5021
# Each kind of traffic has a port at c or m.
# shellcheck disable=SC2054 # captures.py's commas
KINDS=(
	fragments=udp/5008,fragment
	tcp=tcp/5000
	second-address=tcp/5001,udp/5001
	udp-connected=udp/5002
	udp-unconnected=udp/5003
	bound=tcp/5004,udp/5004
	refused=tcp/5005,udp/5005
	transparent=tcp/5006,udp/5006
	own-header=udp/5007
	udp-gso=udp/5009
	sctp=sctp/5010
	mptcp=tcp/5011
	"vpn=dev/wg0,udp/$VPN_PORT,tcp/5012,udp/5012"
	container=tcp/5013,udp/5013
	direct-return=tcp/5014,udp/5014
	opened-by-peer=tcp/5015,udp/5015
	name-server=udp/53
	same-port=udp/5016
	crowd=tcp/5020,udp/5020
	translated=tcp/5017,tcp/5018,tcp/5019
	echo=icmp
)

# world FAMILY: Builds all of this, with servers.
world() {
	local family=$1 port

	CABLES=0
	FAMILIES=$family topo_testbed delay 2ms && plan || return
	setup_ns d k && plug s d0 d eth0 delay 2ms && cable m veth0 k eth0 || return
	HOSTS="m c d"
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	case $family in
	4) D=203.0.113.20 K=10.8.0.2 V=10.9.0.2 W=10.9.0.1 S=192.0.2.99 SINGLE=32 ICMP=ip CROWD=198.18. CROWDS=16 ;;
	6) D=2001:db8:3::20 K=fd08::2 V=fd09::2 W=fd09::1 S=2001:db8:1::99 SINGLE=128 ICMP=ip6 CROWD=2001:db8:18: CROWDS=48 ;;
	esac
	# The second addresses, and an address that no host has.
	M2=${M%10}20 C2=${C%10}30 X=${M%10}66
	ADDR[d.eth0.$family]=$D
	FAMILIES=$family join d eth0 || return
	dad "$family"
	sysctl_in m net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	batch m <<-END
		addr add $S/$SINGLE dev lo
		addr add ${K%2}1/${WIDTH[$family]} dev veth0 $DAD
		link set veth0 up
		link add wg0 type wireguard
		addr add $V/${WIDTH[$family]} dev wg0 $DAD
		route add ${K%2}0/${WIDTH[$family]} dev veth0 table 100
		route add local $X dev lo
	END
	batch c <<-END
		route add ${V%2}0/${WIDTH[$family]} via ${ADDR[r2.wan.$family]}
	END
	batch d <<-END
		route add local $(of_crowd 0 0)/$CROWDS dev lo
		route add ${M%10}0/${WIDTH[$family]} via ${ADDR[r1.wan.$family]}
		route add ${N%10}0/${WIDTH[$family]} via ${ADDR[r2.wan.$family]}
	END
	batch k <<-END
		addr add $K/${WIDTH[$family]} dev eth0 $DAD
		link set eth0 up
		route add default via ${K%2}1
	END
	batch r1 <<-END
		route add $S via $M
		route add $X via $M
		route add $(of_crowd 0 0)/$CROWDS via $D
	END
	batch c <<<"route add $S via ${ADDR[r1.wan.$family]}" || return
	batch r2 <<-END
		route add ${M%10}0/${WIDTH[$family]} via ${ADDR[r1.wan.$family]}
		link add wg0 type wireguard
		addr add $W/${WIDTH[$family]} dev wg0 $DAD
	END
	built && settled && tunnel && translators || return
	speakers "$family"
}

# of_crowd PART NUMBER: Prints one of the thousand addresses of d.
of_crowd() {
	case $CROWD in
	*.) echo "$CROWD$1.$2" ;;
	*) echo "$CROWD$1::$2" ;;
	esac
}

# tunnel: Makes a VPN from m to r2.
tunnel() {
	[ -e "$TMP/key.m" ] || (umask 077 && wg genkey >"$TMP/key.m" && wg genkey >"$TMP/key.r2") || return
	in_ns m wg set wg0 private-key "$TMP/key.m" peer "$(wg pubkey <"$TMP/key.r2")" allowed-ips 0.0.0.0/0,::/0 \
		endpoint "$(bracket "${ADDR[r2.wan.$family]}"):$VPN_PORT" || return
	in_ns r2 wg set wg0 private-key "$TMP/key.r2" listen-port "$VPN_PORT" peer "$(wg pubkey <"$TMP/key.m")" allowed-ips 0.0.0.0/0,::/0 || return
	ipn m link set wg0 up && ipn r2 link set wg0 up && ipn m "-$family" rule add from "$V" lookup 101 &&
		ipn m "-$family" route add default dev wg0 table 101
}

# translators: m masquerades its container, and redirects its own packets to two ports. c accepts established connections only.
translators() {
	in_ns m nft -f - <<-END
		table inet nat {
			chain postrouting {
				type nat hook postrouting priority srcnat;
				iifname "veth0" masquerade
			}
			chain output {
				type nat hook output priority -100;
				$ICMP daddr $C tcp dport 5017 dnat $ICMP to $(bracket "$C"):5000
				tcp dport 5018 redirect to :5019
			}
		}
	END
	in_ns m sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1
}

# speakers FAMILY: Starts servers for all kinds of traffic.
speakers() {
	local family=$1 host port

	for host in m m@near c d k; do
		speaker "$host" "$family" || return
	done
	for port in 5000 5001 5004 5006 5013; do
		server c "t$port" tcp "$(any "$family")" "$port" c || return
	done
	for port in 5001 5002 5003 5004 5006 5008 5009 5013 5016; do
		server c "u$port" udp "$(any "$family")" "$port" c || return
	done
	server d t tcp "$(any "$family")" 5000 d && server d u udp "$(any "$family")" 5002 d || return
	server d crowd tcp "$(any "$family")" 5020 d && says d ok ucrowd udp && says d ok ucrowd freebind &&
		says d 5020 ucrowd bind "$(any "$family")" 5020 && says d ok ucrowd greet d || return
	for port in 5014 5015; do
		server m "t$port" tcp "$(any "$family")" "$port" m && server m "u$port" udp "$(any "$family")" "$port" m || return
	done
	server m@near t5019 tcp "$(any "$family")" 5019 near || return
	server m dns udp "$(any "$family")" 53 m || return
	server c "t5012" tcp "$(any "$family")" 5012 c && server c u5012 udp "$(any "$family")" 5012 c || return
	says c ok x sctp && says c 5010 x bind "$C" 5010 && says c ok x listen || return
	says c ok y mptcp && says c 5011 y bind "$(any "$family")" 5011 && says c ok y listen || return
	in_ns m ip mptcp limits set subflow 2 add_addr_accepted 2 && in_ns c ip mptcp limits set subflow 2 add_addr_accepted 2
}

# arrive FAMILY: Adds the second addresses and m's second network. Hosts that know each other are told.
arrive() {
	FAMILIES=$1 join m wifi0 200 && address m eth0 "$1" "$M2" && address c eth0 "$1" "$C2" || return
	ipn m "-$1" route add default via "${GATE[m.wifi0.$1]}" dev wifi0 table 100 && ipn m "-$1" rule add from "$N" lookup 100 &&
		ipn m "-$1" rule add iif veth0 lookup 100 && in_ns m ip mptcp endpoint add "$N" dev wifi0 subflow
}

# echoed HOST ADDR PORT [WORD]...: HOST sends datagrams from a connected socket and hears them back.
echoed() {
	local host=$1 addr=$2 port=$3

	says "$host" ok s udp && ask "$host" s connect "$addr" "$port" && says "$host" 5 s talk 5 "${@:4}"
}

# Each of the following functions makes one kind of traffic, by its name in KINDS.
do_tcp() {
	says m "c 5" v visits "$C" 5000 5 && says m "c 2" v visits "$C" 5000 2 size=20000 && says m "d 3" v visits "$D" 5000 3 || return
	says m ok s tcp && ask m s connect "$C" 5000 && says m 20 s talk 20 && says m 3 s talk 3 30000
	says m ok s close
}

do_second_address() {
	says m "c 3" v visits "$C2" 5001 3 && says m "c 3" v visits "$C" 5001 3 && echoed m "$C2" 5001
	says m ok b tcp && ask m b bind "$M2" && ask m b connect "$C2" 5001 && says m 5 b talk 5
}

do_udp_connected() {
	echoed m "$C" 5002 && echoed m "$C" 5002 1200 && echoed m "$D" 5002
}

do_udp_unconnected() {
	local _

	says m ok s udp || return
	for _ in 1 2 3 4; do
		says m ok s say "$C" 5003 a && says m "c a $C 5003" s hear && says m ok s say "$C2" 5003 b &&
			says m "c b $C2 5003" s hear || return
	done
	says m ok s say-from "$M2" "$C" 5003 e && says m "c e $C 5003" s hear
}

do_bound() {
	local from

	for from in "$M" "$M2" "$N"; do
		says m "c 2" v visits "$C" 5004 2 "bind=$from" || return
		says m ok s udp && ask m s bind "$from" && ask m s connect "$C" 5004 && says m 3 s talk 3 || return
	done
	says m "c 2" v visits "$C" 5004 2 dev=wifi0 && says m ok s udp wifi0 && ask m s connect "$C" 5004 && says m 3 s talk 3 || return
	says m ok s udp && says m ok s unicast-if wifi0 && says m ok s say "$C" 5004 a && says m "c a $C 5004" s hear || return
	says m ok s udp && says m ok s say-by wifi0 "$C" 5004 && says m "c speaker $C 5004" s hear
}

do_refused() {
	says m "ECONNREFUSED 3" v visits "$C" 5005 3 && says m "ECONNREFUSED 3" v visits "$C2" 5005 3 &&
		says c "ECONNREFUSED 3" v visits "$N" 5005 3 || return
	says m ok s udp && ask m s connect "$C" 5005 && says m ok s write && says m ECONNREFUSED s hear
	says m ok s udp && ask m s connect "$C2" 5005 && says m ok s write && says m ECONNREFUSED s hear
}

do_transparent() {
	says m ok s tcp && says m ok s transparent && ask m s bind "$X" && ask m s connect "$C" 5006 && says m 3 s talk 3 || return
	says m ok s udp && says m ok s transparent && ask m s bind "$X" && ask m s connect "$C" 5006 && says m 3 s talk 3
}

do_own_header() {
	says m ok s header && says m ok s forge "$X" "$C" udp 5007 && says m ok s forge "$M2" "$C" udp 5007 &&
		says m ok s forge "$M" "$C" echo 5007
}

do_fragments() {
	echoed m "$C" 5008 4000 && echoed m "$C" 5008 1464
	says m ok s udp && ask m s bind "$N" && ask m s connect "$C" 5008 && says m 3 s talk 3 4000
}

do_udp_gso() {
	says m ok s udp && ask m s connect "$C" 5009 && says m ok s segment 500 && says m ok s write 5000 &&
		says m "502 $C 5009" s hear && says m "502 $C 5009" s hear
	says m ok s udp && ask m s connect "$C" 5009 && says m ok s cork 1 && says m ok s write 300 && says m ok s write 300 &&
		says m ok s cork 0 && says m "602 $C 5009" s hear
}

do_sctp() {
	says m ok s sctp && ask m s connect "$C" 5010 && says c ok x accept x1 || return
	says m ok s write 500 && says c 500 x1 hear && says c ok x1 write 700 && says m 700 s hear && says m ok s close &&
		says c end x1 hear
	says c ok x1 close
}

do_mptcp() {
	says m ok s mptcp && ask m s connect "$C" 5011 && says c ok y accept y1 || return
	says m ok s write 500 && says c 500 y1 hear && says c ok y1 write 700 && says m 700 s hear || return
	says m ok s write 900 && says c 900 y1 hear && says m ok s close && says c end y1 hear && says c ok y1 close
}

do_vpn() {
	says m "c 3" v visits "$C" 5012 3 "bind=$V" && says m ok s udp && ask m s bind "$V" && ask m s connect "$C" 5012 &&
		says m 5 s talk 5 || return
	quiet in_ns m ping -qnc 3 -i 0.05 -W 1 -I "$V" "$C"
}

do_container() {
	says k "c 3" v visits "$C" 5013 3 && says k "c 1" v visits "$C" 5013 1 size=20000 && echoed k "$C" 5013 || return
	quiet in_ns k ping -qnc 3 -i 0.05 -W 1 "$C"
}

do_direct_return() {
	says c "m 3" v visits "$S" 5014 3 && echoed c "$S" 5014
}

do_opened_by_peer() {
	local to

	for to in "$M" "$M2" "$N"; do
		says c "m 2" v visits "$to" 5015 2 && echoed c "$to" 5015 || return
	done
	says d "m 2" v visits "$M" 5015 2 && says c "m 2" v visits "$M2" 5015 2 "bind=$C2"
}

do_name_server() {
	local to

	for to in "$M" "$M2" "$N"; do
		says c ok s udp && says c ok s say "$to" 53 question && says c "m question $to 53" s hear || return
	done
}

do_same_port() {
	local name

	for name in a b; do
		says m ok "$name" udp && says m ok "$name" share && says m 7000 "$name" bind "$M" 7000 || return
	done
	says m 7000 a connect "$C" 5016 && says m 7000 b connect "$C2" 5016 && says m 3 a talk 3 && says m 3 b talk 3 && says m 3 a talk 3
}

do_crowd() {
	local part

	for part in 0 1 2 3 4; do
		says m "d+d 200" v roams "$(of_crowd "$part" '')" 1 200 5020 || return
	done
}

do_translated() {
	says m "c 3" v visits "$C" 5017 3 && says m "near 3" v visits "$C" 5018 3
}

do_echo() {
	local how

	for how in "$C" "$C2" "-I wifi0 $C" "-I $N $C" "-I $M2 $C" "-s 3000 $C" "$D"; do
		# shellcheck disable=SC2086 # options
		quiet in_ns m ping -qnc 3 -i 0.05 -W 1 $how || fail "ping $how" || return
	done
	for how in "$M" "$M2" "$N" "-I $C2 $M"; do
		# shellcheck disable=SC2086 # options
		quiet in_ns c ping -qnc 3 -i 0.05 -W 1 $how || fail "ping $how" || return
	done
	# A router on the way answers these.
	quiet in_ns m ping -qnc 2 -i 0.05 -W 1 -t 1 "$C"
	quiet in_ns m ping -qnc 2 -i 0.05 -W 1 -t 2 "$C"
}

# record FAMILY WHEN FOLDER: Makes the traffic and captures it. With "known", the hosts know each other and all their addresses before.
record() {
	local family=$1

	world "$family" && agents m c || return
	[ "$2" = strangers ] || meet || return
	arrive "$family" || return
	[ "$2" = strangers ] || told || return
	# The last acknowledgements of that exchange are still in flight.
	POLL_MS=1000 slowwait 60 passed "$(now_ms)" 1000
	recorded "$3" "m c d k r1 r2" all_kinds
}

all_kinds() {
	local kind name

	for kind in "${KINDS[@]}"; do
		name=${kind%%=*}
		"do_${name//-/_}" || fail "$name: the traffic itself" || true
	done
	# A tunnel answers packets after 10 s at the latest, and that is to be captured, too.
	POLL_MS=1000 slowwait 60 passed "$(now_ms)" 15000
}

# meet: Opens the connections by which the hosts come to know each other.
meet() {
	says m ok old tcp && ask m old connect "$C" 5000 && says m 5 old talk 5 || return
	says m ok old3 tcp && ask m old3 connect "$D" 5000 && says m 5 old3 talk 5 || return
	acquainted m "$C" c "$M" || return
	! taking_part || must "d is found not to take part" slowwait 30 host_is m "$D" '.state == "classic"'
}

# told: Waits until they know each other's second addresses.
told() {
	knows c "$M" "$M2" && knows c "$M" "$N" && knows m "$C" "$C2" || return
	says m ok old2 tcp && ask m old2 connect "$C2" 5001 && says m 5 old2 talk 5
}

# compared FAMILY WHEN AGENTS: Compares the traffic without agents and with them, or two runs without agents.
compared() {
	local M C N M2 C2 D K V W S X SINGLE ICMP CROWD CROWDS AGENTS

	twice "$3" record "$1" "$2"
}

names=$(printf '%s ' "${KINDS[@]%%=*}")
for family in 4 6; do
	run_cases "control without agents, IPv$family, two runs" "$names other traffic" compared $family strangers 0
	for when in strangers known; do
		run_cases "IPv$family, $when, without agents and with them" "$names other traffic" compared $family $when 1
	done
done
suite_end
