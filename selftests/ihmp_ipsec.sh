#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests IPsec and moves. Policies for outgoing packets apply to the addresses on the wire, for each packet, whichever flow has filled the
# path's route cache. Policies for incoming packets apply to identifiers.
#
# m and c have ESP states in transport mode for each pair of their addresses. The policies are about port 5001, and not about port 5002. A
# flow to 5002 begins first, so that the route of the path is in the cache.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

declare -A LENGTH=([4]=32 [6]=128) ANY=([4]=0.0.0.0 [6]=::)
KEY=0x$(printf '%040d' 61453)

# stage FAMILY: Builds m and c, sets M, NEW and C, and adds states for both directions between c and each address of m.
stage() {
	FAMILY=$1
	FAMILIES=$1 topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$1]} C=${ADDR[c.eth0.$1]} NEW=${ADDR[m.eth0.$1]}0
	states "$M" "$C" 0x101 && states "$C" "$M" 0x102 && states "$NEW" "$C" 0x201 && states "$C" "$NEW" 0x202
}

# states SRC DST SPI: Adds states for ESP from SRC to DST.
states() {
	local host

	for host in m c; do
		ipn "$host" xfrm state add src "$1" dst "$2" proto esp spi "$3" mode transport \
			aead 'rfc4106(gcm(aes))' "$KEY" 128 2>"$TMP/xfrm" || { skip "no ESP in this kernel: $(cat "$TMP/xfrm")" && return 1; }
	done
}

# policy NAME DIR SRC DST [SELECTOR...] -- [ACTION...]: Adds a policy in a namespace; the action "esp" requires ESP.
policy() {
	local name=$1 dir=$2 selector=(src "$3/${LENGTH[$FAMILY]}" dst "$4/${LENGTH[$FAMILY]}")
	shift 4

	while [ "$1" != -- ]; do
		selector+=("$1")
		shift
	done
	shift
	[ "$*" != esp ] || set -- tmpl src "${ANY[$FAMILY]}" dst "${ANY[$FAMILY]}" proto esp mode transport
	ipn "$name" xfrm policy add "${selector[@]}" dir "$dir" "$@"
}

# both_ways LOCAL SELECTOR...: Requires ESP for packets of m from LOCAL to port 5001 of c, and for the answers.
both_ways() {
	local local=$1
	shift

	policy m out "$local" "$C" proto udp dport 5001 "$@" -- esp && policy c out "$C" "$local" proto udp sport 5001 -- esp
}

# flows OPTION...: Starts a flow that no policy is about, and then one to port 5001.
flows() {
	serve c "$FAMILY" udpc:5001 udpu:5002 || return
	traffic m@other "$FAMILY" "$C" "udpu:5002,bind=$FROM" && traffic m "$FAMILY" "$C" "udpc:5001,bind=$FROM$1"
}

# go HOW: m goes to its new address. The other flow uses the path's route before the captures begin.
go() {
	case $1 in
	hard) address m eth0 "$FAMILY" "$NEW" "$M" && moved m c "$NEW" ;;
	soft)
		address m eth0 "$FAMILY" "$NEW" && ctl c path add host "${HID[c]}" remote "$NEW" &&
			ctl m path add host "${HID[m]}" local "$NEW" && ctl m path set host "${HID[m]}" local "$M" preference 20 left
		;;
	esac
	must "the other flow goes on" goes_on m@other
}

# seen: Captures on the wire from now on.
seen() {
	capture m eth0 "host $C and (ip proto 50 or ip6 proto 50 or udp)"
}

# on_wire WHAT WANT [FROM]: Checks how many packets of the flow to port 5001 were captured, "some" or 0. WHAT is esp or clear.
on_wire() {
	local pattern='ESP\(' count

	[ "$1" = esp ] || pattern='[.]5001( >|:)'
	count=$(captured m eth0 "$pattern")
	case $2 in
	some) at_least "packets of 5001, $1" 20 "$count" ;;
	*) equal "packets of 5001, $1" "$2" "$count" ;;
	esac
}

# end [ERRORS]: Ends the flows, and checks that the flow to port 5001 had these errors and the other flow none.
end() {
	traffic_end m && traffic_end m@other || return
	equal "errors of the other flow" '{}' "$(jq -c '.flows[0].errors' "$TMP/run.m@other.json")"
	equal "errors" "${1:-}" "$(jq -r '.flows[0].errors | keys[]' "$TMP/run.m.json" | xargs)"
}

# meet HOW: Adds the host entries. With "without" there are none, as without ihmp, and the flows begin at the new address.
meet() {
	FROM=$M
	if [ "$1" = without ]; then
		address m eth0 "$FAMILY" "$NEW" && FROM=$NEW
	else
		introduce m "$M" c "$C"
	fi
}

# A policy of the namespace names the locators and the ports of one flow. Checks that all of this flow is in ESP, in both directions.
selective() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" && both_ways "$NEW" && flows '' || return
	[ "$2" = without ] || go "$2" || return
	seen && must "goes on" goes_on m 40 || return
	must "the other flow goes on" goes_on m@other && capture_end m eth0 || return
	on_wire esp some && on_wire clear 0
	at_least "packets of 5002" 10 "$(captured m eth0 '[.]5002( >|:)')"
	end
}

# The same with a policy that names the device as well. For IPv6 the kernel compares it with the device to which the socket is bound.
by_device() {
	local M C NEW FAMILY FROM bound=''

	[ "$1 $2" != '6 without' ] || bound=,dev=eth0
	stage "$1" && meet "$2" && both_ways "$NEW" dev eth0 && flows "$bound" || return
	[ "$2" = without ] || go "$2" || return
	seen && must "goes on" goes_on m 40 && capture_end m eth0 || return
	on_wire esp some && on_wire clear 0
	end
}

# Checks that the policy of a socket applies to that socket, before a move and after it.
own() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" && flows ,ipsec=esp || return
	policy c in "$FROM" "$C" proto udp dport 5001 -- esp || return
	seen && must "goes on from where it began" goes_on m 40 && capture_end m eth0 || return
	at_least "packets in ESP" 20 "$(captured m eth0 'ESP\(')"
	[ "$2" != without ] || { end && return; }
	go "$2" && seen && must "goes on" goes_on m 40 && capture_end m eth0 || return
	at_least "packets in ESP" 20 "$(captured m eth0 "$NEW > .*ESP\(")"
	# The answers are in the clear in each case.
	equal "packets in the clear" 0 "$(captured m eth0 '> .*[.]5001:')"
	end
}

# Checks that packets that a policy blocks are not sent. The sender sees no error, as without a path.
blocked() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" || return
	if [ "$2" = without ]; then
		flows '' || return
		seen && policy m out "$NEW" "$C" proto udp dport 5001 -- action block || return
		must "stands" slowwait 10 stands m udpc || return
	else
		policy m out "$NEW" "$C" proto udp dport 5001 -- action block && flows '' && go "$2" && seen || return
		must "refused" slowwait 10 reason_at_least m no-route 20 || return
		at_least "packets of the other flow" 10 "$(captured m eth0 '[.]5002( >|:)')"
	fi
	capture_end m eth0
	[ "$2" = without ] || equal "packets that left" 0 "$(captured m eth0 '> .*[.]5001:')"
	if [ "$2" = without ]; then
		end "send EPERM"
	else
		end
	fi
}

# Checks that packets are blocked that no policy allows, while a policy allows the other flow.
default_blocked() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" || return
	policy m out "$M" "$C" -- action allow && policy m out "$NEW" "$C" proto udp dport 5002 -- action allow &&
		flows '' && go "$2" && ipn m xfrm policy setdefault out block && seen || return
	must "refused" slowwait 10 reason_at_least m no-route 20 || return
	must "the other flow goes on" goes_on m@other && capture_end m eth0 || return
	equal "packets that left" 0 "$(captured m eth0 '> .*[.]5001:')"
	end
}

# Checks that a policy that names identifiers applies before a move. After it the flow is in the clear, unless another policy blocks it.
by_identifiers() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" && both_ways "$M" && flows '' || return
	seen && must "goes on at home" goes_on m 40 && capture_end m eth0 || return
	on_wire esp some && on_wire clear 0
	go "$2" && seen && must "goes on" goes_on m 40 && capture_end m eth0 || return
	on_wire esp 0 && on_wire clear some
	policy m out "$NEW" "$C" proto udp dport 5001 -- action block priority 10 && seen || return
	must "refused" slowwait 10 reason_at_least m no-route 20 && capture_end m eth0 || return
	equal "packets that left" 0 "$(captured m eth0 '> .*[.]5001:')"
	end
}

# For incoming packets: a policy that names the identifiers accepts packets that came in ESP, from any address, and refuses the rest.
incoming() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" && both_ways "$NEW" && both_ways "$M" || return
	policy c in "$M" "$C" proto udp dport 5001 -- esp && policy m in "$C" "$M" proto udp sport 5001 -- esp || return
	flows '' && must "goes on at home" goes_on m 40 && go "$2" || return
	must "goes on" goes_on m 40 || return
	ipn m xfrm policy delete src "$NEW/${LENGTH[$FAMILY]}" dst "$C/${LENGTH[$FAMILY]}" proto udp dport 5001 dir out && seen || return
	must "what comes in the clear is refused" slowwait 10 stands m udpc || return
	capture_end m eth0
	at_least "packets that were sent in the clear" 1 "$(captured m eth0 "${NEW}[.].*> .*[.]5001:")"
	end
}

# The same for a policy that names the locators, as it would be without ihmp.
incoming_by_locators() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" && flows '' || return
	[ "$2" = without ] || go "$2" || return
	must "goes on" goes_on m && policy c in "$NEW" "$C" proto udp dport 5001 -- esp || return
	must "what comes in the clear is refused" slowwait 10 stands m udpc || return
	[ "$2" = without ] || must "and counted" slowwait 10 reason_at_least c ipsec 10 || return
	both_ways "$NEW" && must "in ESP it goes on" goes_on m 40 || return
	must "the other flow goes on" goes_on m@other || return
	end
}

# A program's own policy accepts packets that the policy of the namespace refuses, as for key exchange. The socket's policy is asked first.
let_in() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" && flows ,ipsec=let-in || return
	[ "$2" = without ] || go "$2" || return
	must "goes on" goes_on m && policy m in "$C" "$NEW" proto udp sport 5001 -- esp &&
		policy m in "$C" "$NEW" proto udp sport 5002 -- esp || return
	must "what has no policy of its own is refused" slowwait 10 stands m@other udpu || return
	must "what has one goes on" goes_on m 40 || return
	[ "$2" = without ] || must "and the other is counted" slowwait 10 reason_at_least m ipsec 10
}

# Checks that a stream whose segments fill the path's MTU goes on where ESP needs some of it.
stream() {
	local M C NEW FAMILY FROM

	stage "$1" && meet "$2" || return
	policy m out "$NEW" "$C" proto tcp -- esp && policy c out "$C" "$NEW" proto tcp -- esp && serve c "$1" tcp:5000 || return
	traffic m "$1" "$C" "tcp:5000,rate=1000000,bind=$FROM" && must "goes on" goes_on m 20 || return
	[ "$2" = without ] || { address m eth0 "$1" "$NEW" "$M" && moved m c "$NEW"; } || return
	capture m eth0 "host $C and (ip proto 50 or ip6 proto 50 or tcp)"
	must "goes on" goes_on m 100 && capture_end m eth0 || return
	at_least "packets in ESP" 20 "$(captured m eth0 'ESP\(')"
	equal "packets in the clear" 0 "$(captured m eth0 '[.]5000( >|:)')"
	traffic_end m && serve_end c || return
	equal "what is wrong" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {} or .closed != true) | tojson' "$TMP/run.m.json")"
}

for family in 4 6; do
	for how in without hard soft; do
		run_case "IPv$family, $how: a policy for the ports of one flow" selective $family $how
	done
	for how in without hard; do
		run_case "IPv$family, $how: a policy that names the device" by_device $family $how
		run_case "IPv$family, $how: a policy of the socket's own" own $family $how
		run_case "IPv$family, $how: a policy that blocks" blocked $family $how
		run_case "IPv$family, $how: a policy for what comes in, by locators" incoming_by_locators $family $how
		run_case "IPv$family, $how: a policy of the socket's own for what comes in" let_in $family $how
		run_case "IPv$family, $how: a long stream" stream $family $how
	done
	run_case "IPv$family: what no policy allows is blocked" default_blocked $family hard
	run_case "IPv$family: a policy that names identifiers" by_identifiers $family hard
	run_case "IPv$family: policies for what comes in" incoming $family hard
done
suite_end
