#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests ordinary programs that know nothing of ihmp: a shell by ssh, a download by curl, and iperf3 with TCP and UDP. All of them begin
# before a host moves, and go on after it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

RTT_MS=20
# Octets, octets a second and bits a second: each transfer takes some six seconds.
SIZE=3000000 RATE=500000
BITS=4000000
DATAGRAMS=200 LENGTH=500
# iperf3 has two connections for each test, one of them for control.
FLOWS=$((1 + 1 + 2 + 2))
HTTP_PORT=80 TCP_PORT=5201 UDP_PORT=5202

prepare() {
	mkdir -p /run/sshd "$TMP/www" && ssh-keygen -q -t ed25519 -N '' -f "$TMP/key" &&
		head -c "$SIZE" /dev/urandom >"$TMP/www/file"
}

# servers: Starts the servers on $server.
servers() {
	cat >"$TMP/sshd" <<-END
		ListenAddress $TARGET
		HostKey $TMP/key
		AuthorizedKeysFile $TMP/key.pub
		StrictModes no
		UsePAM no
		PidFile none
	END
	echo "$TARGET $(cut -d ' ' -f 1,2 "$TMP/key.pub")" >"$TMP/known"
	start "$server" /usr/sbin/sshd -De -f "$TMP/sshd" 2>"$TMP/sshd.log"
	start "$server" python3 -m http.server --bind "$TARGET" --directory "$TMP/www" "$HTTP_PORT" >"$TMP/http.log" 2>&1
	start "$server" iperf3 --server --one-off --bind "$TARGET" --port "$TCP_PORT" >"$TMP/iperf3.log" 2>&1
	start "$server" iperf3 --server --one-off --bind "$TARGET" --port "$UDP_PORT" >"$TMP/iperf3u.log" 2>&1
	must "the servers listen" slowwait 20 listening 4
}

listening() {
	[ "$(in_ns "$server" ss -Htln | wc -l)" = "$1" ]
}

# clients: Starts the clients on $client; PROGRAM has their process IDs.
clients() {
	mkfifo "$TMP/typed" "$TMP/unasked" && exec {TYPED}<>"$TMP/typed" {UNASKED}<>"$TMP/unasked" || return
	# The remote shell answers each line, and prints what comes on a fifo there.
	start "$client" ssh -F none -i "$TMP/key" -o UserKnownHostsFile="$TMP/known" -o BatchMode=yes "$TARGET" \
		"head -n 1 $TMP/unasked & while read -r line && [ \$line != end ]; do echo got \$line; done" \
		<"$TMP/typed" >"$TMP/shell" 2>"$TMP/ssh.log"
	PROGRAM[ssh]=$BG
	start "$client" curl --silent --show-error --limit-rate "$RATE" --output "$TMP/file" \
		"http://$(bracket "$TARGET"):$HTTP_PORT/file" 2>"$TMP/curl.log"
	PROGRAM[curl]=$BG
	start "$client" iperf3 --client "$TARGET" --port "$TCP_PORT" --bitrate "$BITS" --bytes "$SIZE" --json >"$TMP/iperf3.json"
	PROGRAM[iperf3]=$BG
	start "$client" iperf3 --client "$TARGET" --port "$UDP_PORT" --udp --length "$LENGTH" \
		--bitrate $((DATAGRAMS * LENGTH * 8)) --bytes $((DATAGRAMS * LENGTH * 6)) --json >"$TMP/iperf3u.json"
	PROGRAM[iperf3-udp]=$BG
	must "the shell answers" says first
}

# says LINE: Types the line, and waits for the shell's answer.
says() {
	echo "$1" >&"$TYPED"
	slowwait 20 has_line "$TMP/shell" "got $1"
}

# vanished: Has m tried to send without a path?
vanished() {
	reason_at_least m no-path 1 || reason_at_least m local-gone 1
}

soft() {
	join m wifi0 50 || return
	must "c hears m from the new address" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	must "m sends from there" slowwait 10 host_is m "$C" 'all(.addr[]; .unvalidated | not)' || return
	# c sends to the old address until it receives data from the new one, and its packets are in flight for half a round trip.
	must "the shell goes on" says moved && must "nothing is on the way to the old address" says there || return
	leave m eth0
	DOWN=$(now_ms) UP=$(now_ms)
}

hard() {
	DOWN=$(now_ms)
	leave m eth0
	must "packets vanish" slowwait 10 vanished || return
	join m wifi0 50 || return
	UP=$(now_ms)
}

# ended NAME: Waits for the program's end, and checks that it has succeeded.
ended() {
	must "$1 comes to its end" slowwait 30 gone "${PROGRAM[$1]}" || return
	wait "${PROGRAM[$1]}" || fail "$1: status $?"
}

# of NAME CMD...: Runs CMD and makes its outcome the result NAME. CMD has printed what is wrong.
of() {
	local name=$1 before=$CASE_STATUS
	shift

	CASE_STATUS=
	"$@" || [ -n "$CASE_STATUS" ] || fail "$name gave up"
	RESULTS[$name]=${CASE_STATUS:-ok}
	[ -n "$CASE_STATUS" ] || CASE_STATUS=$before
}

shell() {
	local asked

	asked=$(now_ms)
	echo unasked >&"$UNASKED"
	must "what is said unasked comes" slowwait 20 has_line "$TMP/shell" unasked || return
	must "it answers" says second || return
	at_most "ms for that" $((3 * RTT_MS + 2 * SLACK_MS + 40)) $(($(now_ms) - asked))
	echo end >&"$TYPED"
	ended ssh
}

download() {
	ended curl && must "the file is right" cmp "$TMP/www/file" "$TMP/file"
}

stream() {
	ended iperf3 || return
	at_least "octets sent" "$SIZE" "$(jq .end.sum_sent.bytes "$TMP/iperf3.json")"
	equal "octets received" "$(jq .end.sum_sent.bytes "$TMP/iperf3.json")" "$(jq .end.sum_received.bytes "$TMP/iperf3.json")"
}

datagrams() {
	local hole=$((UP - DOWN + (UP > DOWN ? RTT_MS + 20 + SLACK_MS : 0)))

	ended iperf3-udp || return
	at_least "datagrams" $((DATAGRAMS * 6)) "$(jq .end.sum.packets "$TMP/iperf3u.json")"
	at_most "of them lost" $((hole * DATAGRAMS / 1000)) "$(jq .end.sum.lost_packets "$TMP/iperf3u.json")"
}

programs() {
	local family=$1 mode=$2 who=$3 client server M C NEW TARGET DOWN UP name
	local -A PROGRAM=()

	FAMILIES=$family topo_testbed delay $((RTT_MS / 2))ms && agent_start m c || return
	roles "$who" "$family"
	servers && clients || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "all have begun" slowwait 10 figure_at_least "$client" flows "$FLOWS" || return
	$mode || return
	must "c sends to the new address" slowwait 10 path_is c "$M" "$C" "$NEW" || return
	for name in "${!PROGRAM[@]}"; do
		must "$name is not over" not gone "${PROGRAM[$name]}" || return
	done
	of ssh shell
	of curl download
	of iperf3 stream
	of iperf3-udp datagrams
	exec {TYPED}>&- {UNASKED}>&-
	rm "$TMP/typed" "$TMP/unasked"
}

prepare || exit
for family in 4 6; do
	for mode in soft hard; do
		for who in client server; do
			run_cases "IPv$family, $mode, $who moves" 'ssh curl iperf3 iperf3-udp' programs $family $mode $who
		done
	done
done
suite_end
