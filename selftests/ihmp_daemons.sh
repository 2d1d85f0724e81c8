#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests servers that many machines run: a name server (bind9), a time server (chrony) and a file server (the kernel's NFS). Until a host
# moves, they and their clients send the same packets as without agents: the same work is done twice, and captures.py compares. A mounted
# file system goes on when its client moves.
#
# The topology is the testbed of topo.sh; m has both networks and a second address, c has a second address.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/paired.sh"
. "$(dirname "$0")/compared.sh"

# shellcheck disable=SC2054 # captures.py's commas
KINDS=(names=udp/53,tcp/53 times=udp/123)
NFS='vers=4.2,sec=sys,timeo=100,noresvport'
# The size of a file in octets, and how many files there are.
OCTETS=20000 FILES=4

# arrive FAMILY: Adds the second addresses, and m's second network.
arrive() {
	FAMILIES=$1 join m wifi0 200 && address m eth0 "$1" "$M2" && address c eth0 "$1" "$C2" || return
	ipn m "-$1" route add default via "${GATE[m.wifi0.$1]}" dev wifi0 table 100 && ipn m "-$1" rule add from "$N" lookup 100
}

# name_server HOST: Starts a name server. One of its answers is small, and one does not fit into a datagram.
name_server() {
	local dir=$TMP/named.$1

	mkdir -p "$dir" && cat >"$dir/conf" <<-END
		options {
			directory "$dir";
			pid-file none;
			session-keyfile none;
			recursion no;
			dnssec-validation no;
			listen-on { any; };
			listen-on-v6 { any; };
			interface-interval 0;
		};
		controls { };
		zone "example" { type primary; file "$dir/zone"; };
	END
	{
		# shellcheck disable=SC2016 # the zone's own
		printf '$TTL 60\n@ IN SOA ns root 1 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.1\nsmall IN A 192.0.2.2\n'
		printf 'large IN TXT'
		printf ' "%0200d"' {1..12}
		echo
	} >"$dir/zone"
	start "$1" named -f -n 1 -c "$dir/conf" 2>"$dir/err" >"$dir/out"
}

# asks HOST ARGUMENT...: Prints the answers, one on a line. No query is sent twice.
asks() {
	in_ns "$1" dig +noall +answer +nocookie +tries=1 +time=5 +short "${@:2}"
}

names() {
	local from to

	for to in "$C" "$C2"; do
		equal "a small answer of $to" 192.0.2.2 "$(asks m "@$to" small.example A)"
		equal "a large one, by TCP" 2424 "$(asks m "@$to" large.example TXT | tr -d '\n ' | wc -c)"
		equal "a small one by TCP" 192.0.2.2 "$(asks m "@$to" +tcp small.example A)"
	done
	for from in "$M2" "$N"; do
		equal "an answer to $from" 192.0.2.2 "$(asks m "@$C" -b "$from" small.example A)"
	done
	for to in "$M" "$M2" "$N"; do
		equal "an answer of m at $to" 192.0.2.2 "$(asks c "@$to" small.example A)"
	done
}

# time_server HOST: Starts a time server for everybody, with a clock that nothing sets.
time_server() {
	local dir=$TMP/chrony.$1

	mkdir -p "$dir" && printf '%s\n' "local stratum 8" "allow all" "cmdport 0" "bindcmdaddress /" "pidfile $dir/pid" >"$dir/conf"
	start "$1" chronyd -x -d -u root -f "$dir/conf" >"$dir/out" 2>&1
}

# times: m asks c's server at both of its addresses, and c asks m's server at each of its addresses.
times() {
	local client to

	for client in m:"$C" m:"$C2" c:"$M" c:"$M2" c:"$N"; do
		to=${client#*:} client=${client%%:*}
		in_ns "$client" chronyd -x -Q -t 20 -u root -f /dev/null "pidfile $TMP/once" "cmdport 0" "bindcmdaddress /" \
			"server $to iburst maxsamples 1" >"$TMP/once.out" 2>&1
		must "$client has the time of $to" has_line "$TMP/once.out" 'System clock wrong by' || note "$(cat "$TMP/once.out")"
	done
}

# has_files: Does this kernel have NFS? The uml kernel does not.
has_files() {
	[ "$IHMP_KERNEL" = stock ]
}

# file_server HOST: Starts NFS with version 4 only, which needs no other service.
file_server() {
	mkdir -p "$TMP/export" /var/lib/nfs/v4recovery && mount -t tmpfs export "$TMP/export" && defer umount "$TMP/export" || return
	in_ns "$1" mount -t nfsd nfsd /proc/fs/nfsd && defer umount /proc/fs/nfsd || return
	{ in_ns "$1" exportfs -o rw,sync,fsid=0,no_root_squash,insecure,no_subtree_check "*:$TMP/export" >"$TMP/exports" 2>&1 &&
		defer in_ns "$1" exportfs -ua && start "$1" rpc.mountd --foreground --no-nfs-version 3 --no-udp >>"$TMP/exports" 2>&1 &&
		in_ns "$1" rpc.nfsd --no-nfs-version 3 --grace-time 10 --lease-time 10 2 2>>"$TMP/exports" && defer in_ns "$1" rpc.nfsd 0; } ||
		fail "no file server: $(cat "$TMP/exports")"
}

# mounted HOST ADDR: Mounts what is exported at this address at $TMP/files.
mounted() {
	local proto=tcp

	[[ $2 != *:* ]] || proto=tcp6
	mkdir -p "$TMP/files" || return
	in_ns "$1" mount -t nfs4 -o "$NFS,proto=$proto" "$(bracket "$2"):/" "$TMP/files" 2>"$TMP/mount" ||
		fail "not mounted: $(cat "$TMP/mount")"
}

# files: Writes and reads files at both addresses of c.
files() {
	local to n

	for to in "$C" "$C2"; do
		mounted m "$to" || return
		for ((n = 0; n < FILES; n++)); do
			head -c "$OCTETS" /dev/urandom >"$TMP/original" && cp "$TMP/original" "$TMP/files/$n" && sync "$TMP/files/$n"
			must "file $n is right" cmp "$TMP/original" "$TMP/export/$n" && rm "$TMP/files/$n"
		done
		umount "$TMP/files"
	done
}

daemons() {
	local host

	for host in m c; do
		name_server "$host" && time_server "$host" || return
	done
	! has_files || file_server c || return
	for host in m c; do
		must "bind9 answers at $host" slowwait 30 serves_names "$host" && must "chrony answers at $host" slowwait 30 serves_time "$host" || return
	done
}

serves_names() {
	[ "$(in_ns "$1" ss -Hltn "sport = :53" | wc -l)" -ge 3 ]
}

serves_time() {
	[ "$(in_ns "$1" ss -Hlun "sport = :123" | wc -l)" -ge 1 ]
}

# work FAMILY WHEN FOLDER: Does the work and captures it. With "known", the hosts know each other and all their addresses before.
work() {
	local family=$1

	FAMILIES=$family topo_testbed delay 2ms || return
	M=${ADDR[m.eth0.$family]} C=${ADDR[c.eth0.$family]} N=${ADDR[m.wifi0.$family]}
	M2=${M%10}20 C2=${C%10}30
	agents m c || return
	if [ "$2" = known ]; then
		serve c "$family" tcp:5000 && traffic m "$family" "$C" tcp:5000,rate=20000 && acquainted m "$C" c "$M" || return
		arrive "$family" && knows c "$M" "$M2" && knows c "$M" "$N" && knows m "$C" "$C2" || return
		traffic_end m && serve_end c || return
	else
		arrive "$family" || return
	fi
	daemons && recorded "$3" "m c r1 r2" all_daemons
}

all_daemons() {
	names
	times
	! has_files || files
}

# compared FAMILY WHEN AGENTS: Compares the work without agents and with them, or two runs without agents.
compared() {
	local M C N M2 C2 AGENTS

	twice "$3" work "$1" "$2"
}

# moves FAMILY: Checks that a client that has mounted a file system and is writing a file can move; it writes another file afterwards. (A
# server cannot move: the kernel's closes the connections of an address that goes, nfsd_inetaddr_event().)
moves() {
	local client server M C TARGET NEW family=$1 writer

	has_files || { skip "this kernel has no NFS" && return; }
	FAMILIES=$family topo_testbed delay 2ms || return
	roles client "$family"
	agents m c && file_server "$server" && mounted "$client" "$TARGET" && defer umount -fl "$TMP/files" || return
	acquainted m "$C" c "$M" || return
	head -c $((40 * OCTETS)) /dev/urandom >"$TMP/original"
	slowly <"$TMP/original" >"$TMP/files/slow" &
	writer=$!
	must "it is being written" slowwait 20 test -s "$TMP/export/slow" || return
	leave m eth0 && join m wifi0 50 || return
	must "it is written" slowwait 60 gone "$writer" && wait "$writer" || fail "the writer: status $?" || return
	must "it is right" cmp "$TMP/original" "$TMP/export/slow" || return
	cp "$TMP/original" "$TMP/files/second" && sync "$TMP/files/second" && must "so is another" cmp "$TMP/original" "$TMP/export/second" || return
	check "c goes on with m at the new address" path_is c "$M" "$C" "$NEW"
}

# slowly: Writes standard input piece by piece, and each piece to the disk before the next.
slowly() {
	dd bs="$OCTETS" oflag=sync status=none
}

! has_files || KINDS+=(files~=tcp/2049)
names=$(printf '%s ' "${KINDS[@]%%=*}")
names=${names//\~/}
for family in 4 6; do
	run_cases "control without agents, IPv$family, two runs" "$names other traffic" compared $family strangers 0
	for when in strangers known; do
		run_cases "IPv$family, $when, without agents and with them" "$names other traffic" compared $family $when 1
	done
	run_case "IPv$family: a mounted file system, its client moves" moves $family
done
suite_end
