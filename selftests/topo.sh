# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Topologies, drawn and built by name. m is the host that moves; c and d are its peers.
#
# After building, ADDR[HOST.INTERFACE.FAMILY] is an address, GATE[...] the gateway of that network, WIDTH[FAMILY] the
# prefix length, and HOSTS the list of hosts. FAMILIES ("4 6" by default) is the list of IP versions that they use. Functions:
#   join HOST INTERFACE [METRIC]   makes a network usable: sets the link up, adds the addresses and the default route
#   leave HOST INTERFACE           removes the addresses and routes. The link stays up, as that of a radio does. With the link down, too,
#                                  the kernel would report a second change of carrier within a second late, which is not what is tested
#   address HOST INTERFACE FAMILY NEW [OLD]  adds the address NEW and then removes OLD

# shellcheck disable=SC2034 # lib.sh and the suites read what is set here
declare -A ADDR=() GATE=() MAC=()
declare -A WIDTH=([4]=24 [6]=64)
HOSTS=

# families_of HOST INTERFACE: Sets THEIRS to the families that the topology uses and for which the interface has an address.
families_of() {
	local f

	THEIRS=()
	for f in ${FAMILIES:-4 6}; do
		[ -z "${ADDR[$1.$2.$f]:-}" ] || THEIRS+=("$f")
	done
}

# own HOST INTERFACE FAMILY: Prints the address with its prefix length.
own() {
	echo "${ADDR[$1.$2.$3]}/${WIDTH[$3]}"
}

join() {
	local f lines="link set $2 up"$'\n'

	families_of "$1" "$2"
	for f in "${THEIRS[@]}"; do
		dad "$f"
		lines+="addr add ${ADDR[$1.$2.$f]}/${WIDTH[$f]} dev $2 $DAD"$'\n'
	done
	for f in "${THEIRS[@]}"; do
		[ -z "${GATE[$1.$2.$f]:-}" ] ||
			lines+="route add default via ${GATE[$1.$2.$f]} dev $2 metric ${3:-100}"$'\n'
	done
	# A host with an optimistic address may not ask for its router's link address (RFC 4429); the router's advertisement has it.
	[ "${OPTIMISTIC:-0}" = 0 ] || [ -z "${GATE[$1.$2.6]:-}" ] ||
		lines+="neigh replace ${GATE[$1.$2.6]} lladdr ${MAC[${GATE[$1.$2.6]}]} dev $2 nud stale"$'\n'
	batch "$1" <<<"$lines"
}

# dad FAMILY: Sets DAD to ip's options for a new address. With OPTIMISTIC=1 an IPv6 address is usable while it is checked for duplicates.
dad() {
	DAD=''
	[ "$1" = 4 ] || DAD=nodad
	[ "$1${OPTIMISTIC:-0}" != 61 ] || DAD=optimistic
}

# optimistic HOST INTERFACE: Makes the IPv6 addresses optimistic that are added there from now on.
optimistic() {
	OPTIMISTIC=1
	sysctl_in "$1" net.ipv6.conf.all.accept_dad=1 "net.ipv6.conf.$2.accept_dad=1" "net.ipv6.conf.$2.dad_transmits=1" \
		"net.ipv6.conf.$2.optimistic_dad=1" "net.ipv6.conf.$2.use_optimistic=1"
}

leave() {
	ipn "$1" addr flush dev "$2" scope global || return
	# The kernel removes the IPv4 routes with the last IPv4 address.
	ipn "$1" -6 route flush dev "$2" proto boot
}

address() {
	dad "$3"
	batch "$1" <<-END
		addr add $4/${WIDTH[$3]} dev $2 $DAD
		${5:+addr del $5/${WIDTH[$3]} dev $2}
	END
}

# switch_ns NAME: Makes a namespace with a bridge br0 that forwards at once.
switch_ns() {
	setup_ns "$1" || return
	batch "$1" <<-END
		link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		link set br0 up
	END
}

# plug SWITCH PORT HOST INTERFACE [NETEM...]: Connects an interface of a host to a switch. netem applies to packets that the switch sends.
plug() {
	cable "$1" "$2" "$3" "$4" || return
	batch "$1" <<<"link set $2 master br0 up" || return
	[ $# -le 4 ] || netem "$1" "$2" "${@:5}"
}

# settled: Waits until every link with a carrier carries packets. The kernel gives a link its queue, and opens the switch's port, in
# work that runs at most once a second. Packets that are sent before are dropped without notice.
settled() {
	local name

	for name in "${!NS[@]}"; do
		must "the links of $name carry packets" slowwait 10 not has_idle_link "$name" || return
	done
}

has_idle_link() {
	local links

	# -o prints one line for each link; -d adds the state of a switch's port.
	links=$'\n'$(ip -n "${NS[$1]}" -d -o link show up) || return
	[[ $links =~ LOWER_UP[^$'\n']*(' qdisc noop '|' state '(DOWN|LOWERLAYERDOWN|disabled|blocking|listening|learning)' ') ]]
}

#   topo_pair [NETEM...]: two hosts on one link
#
#   +------ m -------+      +---- s ----+      +------ c ------+
#   | eth0  192.0.2.1|------|m0         |      |               |
#   |                |      |   br0   c0|------|eth0 192.0.2.101|
#   | wifi0 (down)   |------|m1         |      |               |
#   +----------------+      |         d0|--.   +---------------+
#                           +-----------+  |   +------ d ------+   (topo_trio)
#                                          '---|eth0 192.0.2.102|
#   IPv6: 2001:db8:1::1, ::101, ::102          +---------------+
topo_pair() {
	HOSTS="m c"
	plan
	setup_ns m c && switch_ns s || return
	plug s m0 m eth0 "$@" && plug s m1 m wifi0 "$@" && plug s c0 c eth0 "$@" || return
	ADDR[m.eth0.4]=192.0.2.1 ADDR[m.wifi0.4]=192.0.2.11 ADDR[c.eth0.4]=192.0.2.101
	ADDR[m.eth0.6]=2001:db8:1::1 ADDR[m.wifi0.6]=2001:db8:1::11 ADDR[c.eth0.6]=2001:db8:1::101
	GATE=()
	batch m <<<'link set wifi0 up'
	# Both interfaces are on one link, and each answers ARP for its own addresses only.
	sysctl_in m net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
	join m eth0 && join c eth0 && built && settled
}

topo_trio() {
	topo_pair "$@" || return
	plan
	setup_ns d && plug s d0 d eth0 "$@" || return
	HOSTS="m c d"
	ADDR[d.eth0.4]=192.0.2.102 ADDR[d.eth0.6]=2001:db8:1::102
	join d eth0 && built && settled
}

#   topo_testbed [NETEM...]: the testbed of Fig. 10 of the first paper; the netem applies to all packets that cross the switch
#
#                               +------- r1 --------+
#   +------- m --------+   .----|lan 192.0.2.1     |      +---- s ----+
#   | eth0  192.0.2.10 |---'    |wan 203.0.113.1   |------|p1         |      +-------- c --------+
#   |                  |        +-------------------+      |   br0   pc|------|eth0 203.0.113.10  |
#   | wifi0 198.51.100.10|-.    +------- r2 --------+      |           |      +-------------------+
#   +------------------+   '----|lan 198.51.100.1  |------|p2         |
#                               |wan 203.0.113.2   |      +-----------+
#                               +-------------------+
#   IPv6: 2001:db8:1::10 and 2001:db8:1::1, 2001:db8:2::10 and ::1, on the switch 2001:db8:3::1, ::2, ::10
#
# Hosts on the switch know each other's link addresses, as in a network in use; the mobile host and its routers do not.
topo_testbed() {
	local r n link f

	HOSTS="m c"
	plan
	setup_ns m c r1 r2 && switch_ns s || return
	cable m eth0 r1 lan && cable m wifi0 r2 lan || return
	plug s p1 r1 wan "$@" && plug s p2 r2 wan "$@" && plug s pc c eth0 "$@" || return
	GATE=()
	ADDR[m.eth0.4]=192.0.2.10 GATE[m.eth0.4]=192.0.2.1
	ADDR[m.wifi0.4]=198.51.100.10 GATE[m.wifi0.4]=198.51.100.1
	ADDR[m.eth0.6]=2001:db8:1::10 GATE[m.eth0.6]=2001:db8:1::1
	ADDR[m.wifi0.6]=2001:db8:2::10 GATE[m.wifi0.6]=2001:db8:2::1
	ADDR[c.eth0.4]=203.0.113.10 ADDR[c.eth0.6]=2001:db8:3::10
	for n in 1 2; do
		r=r$n link=eth0
		[ $n = 1 ] || link=wifi0
		sysctl_in $r net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		ADDR[$r.lan.4]=${GATE[m.$link.4]} ADDR[$r.lan.6]=${GATE[m.$link.6]}
		ADDR[$r.wan.4]=203.0.113.$n ADDR[$r.wan.6]=2001:db8:3::$n
		OPTIMISTIC=0 FAMILIES='4 6' join $r lan && OPTIMISTIC=0 FAMILIES='4 6' join $r wan || return
		MAC[${ADDR[$r.lan.6]}]=${HARDWARE[$r.lan]}
	done
	batch m <<<'link set wifi0 up'
	OPTIMISTIC=0 join c eth0 && join m eth0 || return
	families_of c eth0
	for f in "${THEIRS[@]}"; do
		case $f in
		4) batch c <<<$'route add 192.0.2.0/24 via 203.0.113.1\nroute add 198.51.100.0/24 via 203.0.113.2\n' ;;
		6) batch c <<<$'route add 2001:db8:1::/64 via 2001:db8:3::1\nroute add 2001:db8:2::/64 via 2001:db8:3::2\n' ;;
		esac
	done
	acquaint c eth0 r1 wan && acquaint c eth0 r2 wan && acquaint r1 wan r2 wan && built && settled
}

# roles WHO FAMILY: m is the client or the server. Sets client and server; M and C, the addresses under which they know each other;
# TARGET, the server's address; and NEW, the address of m in its other network.
roles() {
	case $1 in
	client) client=m server=c ;;
	server) client=c server=m ;;
	esac
	M=${ADDR[m.eth0.$2]} C=${ADDR[c.eth0.$2]} NEW=${ADDR[m.wifi0.$2]} TARGET=${ADDR[$server.eth0.$2]}
}

#   topo_micro [NETEM...]: one router between two networks of a mobile host and the rest, and a third network of the mobile host that
#   does not belong to the router; the netem applies to all packets that cross the switch
#
#   +-------- m --------+        +-------- r ---------+      +---- s ----+
#   | eth0  192.0.2.10  |--------|lan1 192.0.2.1      |      |           |      +-------- c --------+
#   | wifi0 198.51.100.10|-------|lan2 198.51.100.1   |      |   br0   pc|------|eth0 203.0.113.10  |
#   |                   |        |wan  203.0.113.1    |------|pr         |      +-------------------+
#   | usb0  203.0.113.77|--------------------------------- --|pm         |
#   +-------------------+        +--------------------+      +-----------+
#   IPv6: 2001:db8:1::10, 2001:db8:2::10, 2001:db8:3::77; the router's ::1; 2001:db8:3::10
topo_micro() {
	local f n link

	HOSTS="m c"
	plan
	setup_ns m c r && switch_ns s || return
	cable m eth0 r lan1 && cable m wifi0 r lan2 || return
	plug s pr r wan "$@" && plug s pc c eth0 "$@" && plug s pm m usb0 "$@" || return
	GATE=()
	ADDR[m.eth0.4]=192.0.2.10 GATE[m.eth0.4]=192.0.2.1
	ADDR[m.wifi0.4]=198.51.100.10 GATE[m.wifi0.4]=198.51.100.1
	ADDR[m.usb0.4]=203.0.113.77
	ADDR[m.eth0.6]=2001:db8:1::10 GATE[m.eth0.6]=2001:db8:1::1
	ADDR[m.wifi0.6]=2001:db8:2::10 GATE[m.wifi0.6]=2001:db8:2::1
	ADDR[m.usb0.6]=2001:db8:3::77
	ADDR[c.eth0.4]=203.0.113.10 ADDR[c.eth0.6]=2001:db8:3::10
	ADDR[r.wan.4]=203.0.113.1 ADDR[r.wan.6]=2001:db8:3::1
	for n in 1 2; do
		link=eth0
		[ $n = 1 ] || link=wifi0
		for f in 4 6; do
			ADDR[r.lan$n.$f]=${GATE[m.$link.$f]}
		done
	done
	sysctl_in r net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	for n in lan1 lan2 wan; do
		FAMILIES='4 6' join r $n || return
	done
	# m keeps an address on another device after it has left a link; it must not answer ARP for that address on this link.
	sysctl_in m net.ipv4.conf.all.arp_ignore=1
	batch m <<<$'link set wifi0 up\nlink set usb0 up'
	join c eth0 && join m eth0 || return
	families_of c eth0
	for f in "${THEIRS[@]}"; do
		case $f in
		4) batch c <<<$'route add 192.0.2.0/24 via 203.0.113.1\nroute add 198.51.100.0/24 via 203.0.113.1\n' ;;
		6) batch c <<<$'route add 2001:db8:1::/64 via 2001:db8:3::1\nroute add 2001:db8:2::/64 via 2001:db8:3::1\n' ;;
		esac
	done
	acquaint c eth0 r wan && built && settled
}

# acquaint A INTERFACE_A B INTERFACE_B: Adds permanent neighbour entries for each other, for both families.
acquaint() {
	know "$1" "$2" "$3" "$4" && know "$3" "$4" "$1" "$2"
}

know() {
	local f lines=''

	for f in 4 6; do
		[ -z "${ADDR[$3.$4.$f]:-}" ] ||
			lines+="neigh replace ${ADDR[$3.$4.$f]} lladdr ${HARDWARE[$3.$4]} dev $2 nud permanent"$'\n'
	done
	batch "$1" <<<"$lines"
}

# drop_topo: Removes all namespaces, so that a case can build another topology.
drop_topo() {
	cleanup_all_ns
	HOSTS=''
}
