#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests that memory that the module allocates is charged to the memory cgroup of the process that causes it, and that a command that
# cannot allocate changes nothing. This needs a kernel with CONFIG_MEMCG, such as that of the stock guest.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# have_cgroups: Mounts the cgroup hierarchy, if needed, and turns the memory controller on. CGROUPS is its path.
have_cgroups() {
	CGROUPS=/sys/fs/cgroup
	[ -e "$CGROUPS/cgroup.controllers" ] || mount -t cgroup2 none "$CGROUPS" 2>/dev/null || return
	grep -qw memory "$CGROUPS/cgroup.controllers" && echo +memory >"$CGROUPS/cgroup.subtree_control"
}

# a_cgroup NAME: Makes a cgroup; GROUP is its path.
a_cgroup() {
	GROUP=$CGROUPS/ihmp-$TAG-$1
	mkdir "$GROUP" && defer drop_cgroup "$GROUP"
}

drop_cgroup() {
	local process

	while read -r process; do
		stop_process "$process" KILL
	done <"$1/cgroup.procs"
	slowwait 20 rmdir "$1"
}

# slab: Prints the octets of kernel objects that are charged to the cgroup. The kernel sums up the counts of its processors every two
# seconds, hence the wait.
slab() {
	nap 3
	awk '$1 == "slab" { print $2 }' "$GROUP/memory.stat"
}

# grows MOST|LEAST OCTETS CMD...: Checks by how many octets CMD increases what is charged to the cgroup.
grows() {
	local bound=$1 octets=$2 before
	shift 2

	before=$(slab)
	"$@" || { fail "$*" || return; }
	case $bound in
	most) at_most "octets more: $*" "$octets" $(($(slab) - before)) ;;
	least) at_least "octets more: $*" "$octets" $(($(slab) - before)) ;;
	esac
}

hoard() {
	in_ns m "$SELFTESTS/hoarder.py" "$@"
}

hosts() {
	local outside before

	have_cgroups || { skip "no memory cgroups" && return; }
	setup_ns m && a_cgroup outside || return
	outside=$GROUP
	a_cgroup inside || return
	grows most 100000 hoard hosts "$outside" 1000 && equal "hosts" 1000 "$(figure m hosts)" || return
	ctl m host flush
	# The first run does not count: it includes what the program itself needs.
	hoard hosts "$GROUP" 1 && ctl m host flush || return
	before=$(slab)
	# A host and its view together have more than 512 octets.
	grows least 512000 hoard hosts "$GROUP" 1000 && equal "hosts" 1000 "$(figure m hosts)" || return
	ctl m host flush
	must "given back" slowwait 20 slab_at_most $((before + 100000))
}

slab_at_most() {
	[ "$(slab)" -le "$1" ]
}

# full: Checks that at the limit of the cgroup a command is refused, whichever of its allocations fails, and that no process is killed.
full() {
	local rounds=24 found made address

	have_cgroups || { skip "no memory cgroups" && return; }
	setup_ns m && a_cgroup full || return
	mkfifo "$TMP/go" && exec {GO}<>"$TMP/go" || return
	start m "$SELFTESTS/hoarder.py" fill "$GROUP" 200000 "$rounds" <"$TMP/go" >"$TMP/filled" 2>&1
	must "it is refused" slowwait 120 has_line "$TMP/filled" '^10\.' || { note "$(cat "$TMP/filled" "$GROUP/memory.events")" && return; }
	mapfile -t found <"$TMP/filled"
	address=${found[rounds]} made=${found[rounds - 1]%% *}
	note "${found[0]}; $made at last; next $address"
	equal "refused" "$rounds" "$(grep -c '^[0-9]* ENOMEM there is no memory$' "$TMP/filled")"
	at_least "prefixes that were refused" 10 "$(grep -c '^prefixes [0-9]* ENOMEM there is no memory$' "$TMP/filled")"
	equal "prefixes" "$(tail -n 1 "$TMP/filled" | cut -d ' ' -f 2)" "$(ctl m -j policy show | jq length)"
	at_least "hosts" 10 "${found[0]%% *}"
	equal "hosts that are there" "$made" "$(figure m hosts)"
	check "nobody has the address" not quiet ctl m host show "$address"
	equal "processes that were killed" 0 "$(awk '$1 == "oom_kill" { print $2 }' "$GROUP/memory.events")" || note "$(dmesg | tail -n 20)"
	echo >&"$GO"
	must "with memory it goes on" slowwait 60 has_line "$TMP/filled" '^ok' || { note "$(cat "$TMP/filled")" && return; }
	equal "hosts at last" $((made + 100)) "$(figure m hosts)"
}

# rows FAMILY: Checks who is charged for the rows that a socket's packets make, in both directions.
rows() {
	local family=$1 M C before

	have_cgroups || { skip "no memory cgroups" && return; }
	FAMILIES=$family topo_pair && a_cgroup receiver || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	start m socat -u "UDP$family-RECV:5002" OPEN:/dev/null
	# shellcheck disable=SC2016 # the inner shell's
	start m bash -c 'echo $$ >"$1/cgroup.procs" && exec socat -u "UDP'"$family"'-RECV:5003" OPEN:/dev/null' - "$GROUP"
	must "receivers" slowwait 20 receives m 5002 && must "in a cgroup, too" slowwait 20 receives m 5003 || return
	in_ns c ping -q -c 1 -W 2 "$M" >/dev/null && nap 1
	grows most 100000 flood "$C" "$M" 5003 && equal "rows without hosts" 0 "$(figure m flows)" || return
	introduce m "$M" c "$C" || return
	before=$(slab)
	grows most 100000 flood "$C" "$M" 5002 && equal "rows of another's socket" 4000 "$(figure m flows)" || return
	ctl m flow flush
	grows least 600000 flood "$C" "$M" 5003 && equal "rows" 4000 "$(figure m flows)" || return
	ctl m flow flush
	must "given back" slowwait 20 slab_at_most $((before + 100000)) || return
	a_cgroup sender && ctl m host del "${HID[m]}" && hoard datagrams "$GROUP" "$C" 1 || return
	grows most 100000 hoard datagrams "$GROUP" "$C" 4000 && equal "rows without hosts" 0 "$(figure m flows)" || return
	HID[m]=$(ctl m -j host add remote "$C" local "$M" | jq .id)
	grows least 600000 hoard datagrams "$GROUP" "$C" 4000 && equal "rows" 4000 "$(figure m flows)"
}

# strangers FAMILY: Sends datagrams from many ports to a socket that is connected to nobody and whose cgroup is full. Checks that some rows
# go beyond its limit, and that the others are not made.
strangers() {
	local family=$1 M C round flows used count=12000

	have_cgroups || { skip "no memory cgroups" && return; }
	FAMILIES=$family topo_pair && a_cgroup receiver || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]}
	# shellcheck disable=SC2016 # the inner shell's
	start m bash -c 'echo $$ >"$1/cgroup.procs" && exec socat -u "UDP'"$family"'-RECV:5003" OPEN:/dev/null' - "$GROUP"
	must "a receiver in a cgroup" slowwait 20 receives m 5003 || return
	in_ns c ping -q -c 1 -W 2 "$M" >/dev/null
	introduce m "$M" c "$C" && used=$(cat "$GROUP/memory.current") || return
	flood "$C" "$M" 5003 "$count" && equal "rows without a limit" "$count" "$(figure m flows)" || return
	for round in 1 2; do
		ctl m flow flush && ctl m stats flush || return
		must "the memory of the rows is given back" slowwait 30 uses_at_most $((used + 400000)) || return
		cat "$GROUP/memory.current" >"$GROUP/memory.max" || return
		flood "$C" "$M" 5003 "$count" || return
		flows=$(figure m flows)
		at_least "rows at the limit, round $round" 64 "$flows"
		# The kernel charges by the page, and lets what else a row takes go beyond the limit, so many find room.
		at_most "rows at the limit, round $round" $((count - 500)) "$flows"
		note "rows at the limit: $flows, octets beyond it: $(($(cat "$GROUP/memory.current") - $(cat "$GROUP/memory.max")))"
		equal "rows that were not made" $((count - flows)) "$(reason m no-memory)"
		equal "processes that were killed" 0 "$(awk '$1 == "oom_kill" { print $2 }' "$GROUP/memory.events")"
		echo max >"$GROUP/memory.max"
	done
	ctl m flow flush && flood "$C" "$M" 5003 "$count" && equal "rows without a limit again" "$count" "$(figure m flows)"
}

# uses_at_most OCTETS: Are at most so many octets charged to the cgroup?
uses_at_most() {
	[ "$(cat "$GROUP/memory.current")" -le "$1" ]
}

receives() {
	in_ns "$1" ss -Huln "sport = :$2" | grep -q .
}

# flood FROM TO PORT [COUNT]: Sends a datagram from each of so many ports, 4000 by default.
flood() {
	in_ns c "$SELFTESTS/inject.py" eth0 udp "$1" "$2" --sport 20000 --dport "$3" --ports "${4:-4000}"
}

run_case "hosts are charged to who makes them" hosts
run_case "a command is refused at the limit of its cgroup, and nothing is half made" full
for family in 4 6; do
	run_case "IPv$family: few rows that strangers make go beyond the limit of a cgroup" strangers $family
	run_case "IPv$family: rows are charged to the socket whose packets make them" rows $family
done
suite_end
