#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests strangers: what a host tells them about itself, which of them it greets, and when it believes a new key for a known address.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

PRIVATE=([4]=10.77.0.1 [6]=fd00:77::1)

# several FAMILY: Builds the testbed with both networks of m up. m also has a private address on eth0.
several() {
	FAMILIES=$1 topo_testbed delay 10ms || return
	M=${ADDR[m.eth0.$1]} C=${ADDR[c.eth0.$1]} OTHER=${ADDR[m.wifi0.$1]} OWN=${PRIVATE[$1]}
	join m wifi0 200 || return
	dad "$1"
	batch m <<<"addr add $OWN/${WIDTH[$1]} dev eth0 $DAD"
}

# dump HOST INTERFACE: Captures all IHMP messages with their octets.
dump() {
	capture "$1" "$2" -x udp port 61453
}

# messages HOST INTERFACE SOURCE: Prints the payload of each captured message from SOURCE in hexadecimal, one on a line.
messages() {
	awk -v from="$3" '
		function out() { if (hex != "" && mine) print hex; hex = "" }
		/^[0-9]/ { out(); mine = index($0, " " from ".") > 0; next }
		{ sub(/^[^:]*: */, ""); gsub(/ /, ""); hex = hex $0 }
		END { out() }' "$TMP/cap.$1.$2"
}

# hex ADDR: Prints the address as it stands in a message.
hex() {
	python3 -c 'import ipaddress, sys
addr = ipaddress.ip_address(sys.argv[1])
print((b"" if addr.version == 6 else b"\0" * 10 + b"\xff" * 2).hex() + addr.packed.hex())' "$1"
}

# naming HOST INTERFACE SOURCE ADDR: Prints how many of these messages contain the address.
naming() {
	messages "$1" "$2" "$3" | cut -c "$([[ $3 == *:* ]] && echo 97 || echo 57)-" | grep -c "$(hex "$4")" || true
}

has_messages() {
	[ "$(messages "$1" "$2" "$3" | wc -l)" -ge "$4" ]
}

# stranger FAMILY: Checks that messages to a host without ihmp contain the source address and no other address.
stranger() {
	local family=$1 M C OTHER OWN

	several "$family" && dump c eth0 && agent_start m && serve c "$family" tcp:5000 || return
	traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "three HELLOs" slowwait 30 has_messages c eth0 "$M" 3 || return
	must "then it is left alone" slowwait 30 host_is m "$C" '.state == "classic"' || return
	capture_end c eth0
	equal "HELLOs that name the source" 3 "$(naming c eth0 "$M" "$M")"
	equal "that name the other network's address" 0 "$(naming c eth0 "$M" "$OTHER")"
	equal "that name the private address" 0 "$(naming c eth0 "$M" "$OWN")"
	must "traffic goes on" goes_on m 20
}

# peer FAMILY: Checks that a peer is told the other addresses in the four messages of the first contact, but no private address.
peer() {
	local family=$1 M C OTHER OWN

	several "$family" && dump c eth0 && agent_start m c && serve c "$family" tcp:5000 || return
	traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "both know each other" hosts_up m "$C" c "$M" || return
	must "c is told" slowwait 5 host_is c "$M" "any(.addr[]; .address == \"$OTHER\" and .set == \"unreachable\")" || return
	check "but of the private address" not host_is c "$M" "any(.addr[]; .address == \"$OWN\")"
	capture_end c eth0
	equal "messages" 4 "$(captured c eth0 61453)"
	equal "messages that name the other network's address" 1 "$(naming c eth0 "$M" "$OTHER")"
	must "traffic goes on" goes_on m 20 && traffic_end m && serve_end c && judge_ok m c soft 0 0 100 "$C"
}

# tell FAMILY: Checks that the administrator can choose the devices and prefixes whose addresses are told.
tell() {
	local family=$1 M C OTHER OWN

	several "$family" || return
	printf '[interfaces]\ntell = [\n  "eth*",\n  "%s/%s",\n]\n' "$OWN" "$([ "$family" = 4 ] && echo 32 || echo 128)" >"$TMP/ihmpd.m.toml"
	defer rm -f "$TMP/ihmpd.m.toml"
	dump c eth0 && agent_start m c && serve c "$family" tcp:5000 || return
	traffic m "$family" "$C" tcp:5000,rate=20000 || return
	must "both know each other" hosts_up m "$C" c "$M" || return
	must "c is told of the private address" slowwait 5 host_is c "$M" "any(.addr[]; .address == \"$OWN\")" || return
	check "but of wifi0" not host_is c "$M" "any(.addr[]; .address == \"$OTHER\")"
	leave m eth0
	must "c hears that eth0 is gone, or nothing" slowwait 5 host_is m "$C" 'all(.addr[]; .set != "local")' || return
	equal "messages from wifi0" 0 "$(messages c eth0 "$OTHER" | wc -l)"
	equal "as m's agent says" "eth*,$OWN/$([ "$family" = 4 ] && echo 32 || echo 128)" "$(agent m tell)"
	# The error names the wrong line.
	printf '[interfaces]\ntell = [\n  "eth*",\n  "10.0.0.0/40",\n]\n' >"$TMP/bad.toml"
	check "file and line" grep -q "bad.toml:4" <(in_ns m ihmpd --config "$TMP/bad.toml" --check 2>&1)
}

# asked HOST: Has the host asked a peer?
asked() {
	figure_at_least "$1" discovered 1
}

# meet FAMILY NAME: m opens a connection to c and closes it when both know each other; then both forget.
meet() {
	traffic m@"$2" "$1" "$C" tcp:5000,rate=20000 || return
	must "both know each other" hosts_up m "$C" c "$M" || return
	part "$2"
}

# part NAME: Ends the connection, and makes both hosts forget each other, as they would five minutes later.
part() {
	traffic_end m@"$1"
	ctl m host flush && ctl c host flush
	must "forgotten by m" slowwait 5 figure_is m hosts 0 && must "and by c" slowwait 5 figure_is c hosts 0
}

# keys FAMILY MODE: m and c meet. Then another machine, with another key, is at c's address.
keys() {
	local family=$1

	FAMILIES=$family topo_pair delay 5ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	printf '[security]\nmode = "%s"\n[peers]\nretry_after = 2\n' "$2" >"$TMP/ihmpd.m.toml"
	defer rm -f "$TMP/ihmpd.m.toml"
	agent_start m c && serve c "$family" tcp:5000 && meet "$family" first || return
	# Control: c has the same key again.
	meet "$family" again || return
	equal "warnings" 0 "$(warnings)"
	agent_stop c && rm -rf "$TMP/state.c" && agent_start c
}

warnings() {
	grep -c 'WARN.*event=key-changed' "$TMP/ihmpd.m.log" || true
}

# agent HOST FIGURE: Prints a figure of `ihmpctl agent`.
agent() {
	ihmpctl --state "$TMP/state.$1" -j agent | jq -r ".[\"$2\"]"
}

key_in() {
	ihmpctl --state "$TMP/state.m" -j key show | jq -e "any(.[]; $1)" >/dev/null
}

# changed FAMILY: Checks that with first-use another key at a known address is believed, with a warning.
changed() {
	local M C

	keys "$1" first-use || return
	traffic m "$1" "$C" tcp:5000,rate=20000 || return
	must "the other one is believed" hosts_up m "$C" c "$M" || return
	must "with a warning" equal "warnings" 1 "$(warnings)" || return
	equal "its key at the host" "$(ihmpctl --state "$TMP/state.c" -j key show | jq -r '.[] | select(.kind == "own").fingerprint') false" \
		"$(ihmpctl --netns "${NS[m]}" --state "$TMP/state.m" -j host show "$C" | jq -r '"\(.[0].key) \(.[0]."key-listed")"')"
	check "which the keys show" key_in ".kind == \"changed\" and .address == \"$C\" and .outcome == \"believed\""
	check "and the host" equal outcome believed "$(ihmpctl --netns "${NS[m]}" --state "$TMP/state.m" -j host show "$C" | jq -r '.[0]."key-changed".outcome')"
	ihmpctl --state "$TMP/state.m" key accept "$C" >/dev/null
	check "until it is accepted" not key_in '.kind == "changed"'
}

# pinned FAMILY: Checks that with pin another key is refused until the administrator accepts it.
pinned() {
	local M C

	keys "$1" pin || return
	traffic m "$1" "$C" tcp:5000,rate=20000 || return
	equal "mode" pin "$(agent m mode)"
	must "the other one is refused" slowwait 30 host_is m "$C" '.state == "classic"' || return
	equal "warnings" 1 "$(warnings)"
	figure_of "another key, mode pin, IPv$1" warnings "$(warnings)" 1
	check "which the keys show" key_in ".kind == \"changed\" and .address == \"$C\" and .outcome == \"refused\""
	must "the connection is as any" goes_on m || return
	traffic_end m
	ihmpctl --state "$TMP/state.m" key accept "$C" >/dev/null || return
	must "the entry expires" slowwait 10 not host_is m "$C" true || return
	traffic m "$1" "$C" tcp:5000,rate=20000 || return
	must "and is believed after that" hosts_up m "$C" c "$M" || return
	equal "warnings" 1 "$(warnings)"
}

STRANGERS=50

# crowd FAMILY: Gives m an address for each of many strangers; they are in CROWD.
crowd() {
	local i lines=''

	CROWD=()
	dad "$1"
	for ((i = 0; i < STRANGERS; i++)); do
		case $1 in
		4) CROWD+=("192.0.2.$((150 + i))") ;;
		6) CROWD+=("2001:db8:1::7:$i") ;;
		esac
		lines+="addr add ${CROWD[i]}/${WIDTH[$1]} dev eth0 $DAD"$'\n'
	done
	batch m <<<"$lines"
}

# visit FAMILY ADDR BACKLOG PORT: Starts a server at c that listens with this backlog. Each address of the crowd connects to it, and an
# octet goes there and back.
visit() {
	start c python3 - "$1" "$3" "$4" >"$TMP/server.log" 2>&1 <<-'END'
		import socket, sys
		family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
		server = socket.socket(family)
		server.bind(("", int(sys.argv[3])))
		server.listen(int(sys.argv[2]))
		print("ready", flush=True)
		while True:
		    peer, _ = server.accept()
		    peer.sendall(peer.recv(1))
		    peer.recv(1)
		    peer.close()
	END
	slowwait 20 has_line "$TMP/server.log" '^ready' || fail "no server: $(cat "$TMP/server.log")" || return
	in_ns m python3 - "$1" "$2" "$4" "${CROWD[@]}" <<-'END'
		import socket, sys
		family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
		for own in sys.argv[4:]:
		    client = socket.socket(family)
		    client.bind((own, 0))
		    client.connect((sys.argv[2], int(sys.argv[3])))
		    client.sendall(b"x")
		    assert client.recv(1) == b"x"
		    client.close()
	END
}

# visited FAMILY BACKLOG: Checks that a server greets none of fifty clients, because greeting is left to clients. It greets hosts to
# which it connects.
visited() {
	local family=$1 M C

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	crowd "$family" && agent_start c && capture m eth0 udp port 61453 && visit "$family" "$C" "$2" 5100 || return
	equal "asked about" 0 "$(figure c discovered)"
	equal "hosts" 0 "$(figure c hosts)"
	equal "messages" 0 "$(captured m eth0 61453)"
	figure_of "a server with $STRANGERS strangers, backlog $2, IPv$family" "greetings" "$(captured m eth0 61453)" 1
	serve m "$family" tcp:5000 && traffic c "$family" "$M" tcp:5000,rate=20000 || return
	must "control: it asks about a server of its own" slowwait 5 asked c || return
	must "and greets it" slowwait 5 has_line "$TMP/cap.m.eth0" "IP6? $C" || return
	ctl c host flush
	ctl c policy add "$M" auto-in && visit "$family" "$C" "$2" 5101 || return
	must "by policy it greets clients, too" slowwait 5 figure_at_least c discovered 2
	figure_of "the same with the policy auto-in, backlog $2, IPv$family" "hosts asked" "$(($(figure c discovered) - 1))" 1
}

# datagrams FAMILY: Checks that a service that answers datagrams greets nobody, and that a program that sends first does.
datagrams() {
	local family=$1 M C

	FAMILIES=$family topo_pair delay 1ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	agent_start c && capture m eth0 udp && ask "$family" "$C" 5200 || return
	equal "asked about" 0 "$(figure c discovered)"
	equal "messages" 0 "$(captured m eth0 61453)"
	# This service answers from a new port, as TFTP does (here: the services on odd ports).
	ask "$family" "$C" 5201 || return
	equal "asked about" 0 "$(figure c discovered)"
	equal "messages" 0 "$(captured m eth0 61453)"
	figure_of "a service that answers 20 datagrams, IPv$family" "messages to whom it answers" "$(captured m eth0 61453)" 1
	# Nor does the service greet if the policy says that clients are greeted, because the source of a datagram can be forged.
	ctl c policy add "$M" auto-in && ask "$family" "$C" 5202 && ask "$family" "$C" 5203 || return
	equal "asked about, by the policy auto-in" 0 "$(figure c discovered)"
	capture_end m eth0
	equal "octets of messages" 0 "$(octets m "$C" 61453)"
	check "control: octets of datagrams" test "$(octets m "$M" 520)" -ge 40
	figure_of "the same with the policy auto-in, IPv$family" "octets to whom it answers, to those that came in his name" \
		"$(jq -n "$(octets m "$C" 61453) / $(octets m "$M" 520)")" 1
	# Control: c sends first.
	in_ns c python3 - "$family" "$M" <<-'END'
		import socket, sys
		family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
		with socket.socket(family, socket.SOCK_DGRAM) as sock:
		    for _ in range(3):
		        sock.sendto(b"x", (sys.argv[2], 5300))
	END
	must "control: it asks about whom it speaks to" slowwait 5 asked c
}

# octets HOST SOURCE PORT: Prints the octets of the captured datagrams from SOURCE whose source or destination port begins with PORT.
octets() {
	awk -v from="$2." -v port="$3" 'index($3, from) == 1 && (index($3, from port) == 1 || index($5, "." port)) {
		for (i = 6; i < NF; i++) if ($i == "length") sum += $(i + 1) } END { print sum + 0 }' "$TMP/cap.$1.eth0"
}

# ask FAMILY ADDR PORT: m sends ten datagrams to a service at c, and gets their answers.
ask() {
	start c python3 - "$1" "$3" >"$TMP/service.log" 2>&1 <<-'END'
		import socket, sys
		family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
		service = socket.socket(family, socket.SOCK_DGRAM)
		service.bind(("", int(sys.argv[2])))
		print("ready", flush=True)
		while True:
		    data, peer = service.recvfrom(100)
		    if int(sys.argv[2]) % 2:
		        with socket.socket(family, socket.SOCK_DGRAM) as own:
		            own.connect(peer)
		            own.send(data)
		    else:
		        service.sendto(data, peer)
	END
	slowwait 20 has_line "$TMP/service.log" '^ready' || fail "no service: $(cat "$TMP/service.log")" || return
	in_ns m python3 - "$1" "$2" "$3" <<-'END'
		import socket, sys
		family = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
		with socket.socket(family, socket.SOCK_DGRAM) as sock:
		    sock.settimeout(10)
		    for number in range(10):
		        sock.sendto(b"%d" % number, (sys.argv[2], int(sys.argv[3])))
		        assert sock.recv(100) == b"%d" % number
	END
}

# temporary: Checks that a connection from a temporary address moves to another one, and that no message contains a stable address.
temporary() {
	local C stable=2001:db8:1::10 next=2001:db8:2::10 first second addr

	FAMILIES=6 topo_testbed delay 10ms || return
	C=${ADDR[c.eth0.6]}
	leave m eth0
	sysctl_in m net.ipv6.conf.eth0.use_tempaddr=2 net.ipv6.conf.wifi0.use_tempaddr=2
	managed eth0 "$stable" "${GATE[m.eth0.6]}" || return
	first=$TEMPORARY
	dump c eth0 && agent_start m c && serve c 6 tcp:5000 && traffic m 6 "$C" tcp:5000,rate=20000 || return
	must "both know each other" hosts_up m "$C" c "$first" || return
	leave m eth0
	managed wifi0 "$next" "${GATE[m.wifi0.6]}" || return
	second=$TEMPORARY
	must "c sends to the temporary address" slowwait 20 path_is c "$second" - "$second" || return
	must "traffic goes on" goes_on m 20 || return
	capture_end c eth0
	for addr in "$stable" "$next"; do
		equal "messages that name $addr" 0 "$(($(naming c eth0 "$first" "$addr") + $(naming c eth0 "$second" "$addr")))"
		equal "messages from $addr" 0 "$(messages c eth0 "$addr" | wc -l)"
	done
}

# managed INTERFACE ADDR GATEWAY: Adds an address for which the kernel makes a temporary one; TEMPORARY is that.
managed() {
	batch m <<-END || return
		addr add $2/64 dev $1 mngtmpaddr nodad
		route add default via $3 dev $1
	END
	must "a temporary address" slowwait 20 has_temporary "$1" || return
	TEMPORARY=$(temporary_of "$1")
}

temporary_of() {
	ipn m -j -6 addr show dev "$1" temporary | jq -r '[.[].addr_info[]? | select(.tentative | not) | .local] | .[0] // empty'
}

has_temporary() {
	[ -n "$(temporary_of "$1")" ]
}

for family in 4 6; do
	run_case "IPv$family: a stranger reads the source and no other address" stranger $family
	run_case "IPv$family: a peer is told the rest in the first four messages" peer $family
	run_case "IPv$family: the administrator says which addresses are told" tell $family
	run_case "IPv$family: a server does not greet its clients" visited $family 5
	run_case "IPv$family: nor one with a backlog of 0" visited $family 0
	run_case "IPv$family: nor does a service that answers datagrams" datagrams $family
	run_case "IPv$family: another key where one was is worth a warning" changed $family
	run_case "IPv$family: or is refused until it is accepted" pinned $family
done
run_case "IPv6: a connection on a temporary address moves to temporary addresses" temporary
suite_end
