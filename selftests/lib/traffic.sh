# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Traffic of traffic.py, and whether it survived (judge.jq).

declare -A SERVER=() CLIENT=()
STANDBY=''

# stand_by: Starts one Python interpreter that has all modules loaded. It forks for each server or client, which is faster.
stand_by() {
	mkfifo "$TMP/orders" "$TMP/started"
	exec {ORDERS}<>"$TMP/orders" {STARTED}<>"$TMP/started"
	python3 "$SELFTESTS/traffic.py" standby <&"$ORDERS" >&"$STARTED" &
	STANDBY=$!
}

# traffic_program NAME INPUT OUTPUT ARGUMENT...: Starts traffic.py on a host. Its process ID is in $BG; it is killed when the scope ends.
traffic_program() {
	local IFS=$'\t'

	[ -n "$STANDBY" ] || stand_by
	: >"$3"
	echo "/run/netns/${NS[$1]}"$'\t'"${*:2}" >&"$ORDERS"
	read -rt 60 -u "$STARTED" BG || { fail "traffic.py does not start" && return 1; }
	IFS=' ' defer stop_process "$BG" KILL
}

# The functions below take HOST@LABEL as name for a second server or client on a host.

# serve NAME FAMILY KIND:PORT...: Starts a server and waits until it is ready. SERVE_OPTS has more options of traffic.py.
serve() {
	local host=$1 family=$2 file=$TMP/serve.$1
	shift 2

	rm -f "$file.json"
	# shellcheck disable=SC2086 # options
	traffic_program "${host%@*}" /dev/null "$file.log" serve "-$family" ${SERVE_OPTS:-} --result "$file.json" \
		--progress "$file.progress" "$@" || return
	SERVER[$host]=$BG
	slowwait 20 has_line "$file.log" '^ready' || { note "$(cat "$file.log")" && fail "no server on $host"; }
}

# traffic NAME FAMILY ADDR FLOW...: Starts a client and waits until its flows are open. TRAFFIC_OPTS has more options.
traffic() {
	local host=$1 family=$2 file=$TMP/run.$1
	shift 2

	rm -f "$file.json" "$file.control"
	mkfifo "$file.control"
	# shellcheck disable=SC2086 # options
	traffic_program "${host%@*}" "$file.control" "$file.log" run "-$family" ${TRAFFIC_OPTS:-} --result "$file.json" \
		--progress "$file.progress" "$@" || return
	CLIENT[$host]=$BG
	slowwait "${TRAFFIC_WAIT:-20}" has_line "$file.log" '^ready' || { note "$(cat "$file.log")" && fail "no traffic on $host"; }
}

# traffic_end NAME: Ends a client; its findings are in $TMP/run.NAME.json.
traffic_end() {
	kill -TERM "${CLIENT[$1]}" 2>/dev/null
	traffic_wait "$1"
}

# traffic_wait NAME [SECONDS]: Waits for a client that ends by itself.
traffic_wait() {
	slowwait "${2:-60}" gone "${CLIENT[$1]}" || fail "the traffic of $1 does not end"
	wait "${CLIENT[$1]}" 2>/dev/null
	[ -s "$TMP/run.$1.json" ] || { note "$(tail -n 20 "$TMP/run.$1.log")" && fail "no findings of $1"; }
}

serve_end() {
	stop_process "${SERVER[$1]}"
	[ -s "$TMP/serve.$1.json" ] || { note "$(tail -n 20 "$TMP/serve.$1.log")" && fail "no findings of $1"; }
}

# burst NAME OCTETS [SECONDS]: Has the client send so much on each open flow, and the server as much, and waits for it; see traffic.py.
burst() {
	local file=$TMP/run.$1 before

	before=$(grep -c '^burst done' "$file.log")
	echo "burst $2" >"$file.control"
	slowwait "${3:-60}" bursts_beyond "$file.log" "$before"
}

bursts_beyond() {
	[ "$(grep -c '^burst done' "$1")" -gt "$2" ]
}

# progress NAME [FLOW]: Prints how many units the named flow has received; without a name, those of the slowest flow.
progress() {
	local name count least=''

	while read -r name count _; do
		[ -z "${2:-}" ] || [ "$name" = "$2" ] || continue
		[ -n "$least" ] && [ "$count" -ge "$least" ] || least=$count
	done <"$TMP/run.$1.progress"
	echo "${least:-0}"
}

# advanced NAME UNITS: Has every flow received that many units more than BEFORE says?
advanced() {
	local name now

	while read -r name now _; do
		[ "$now" -ge $((${BEFORE[$name]:-0} + $2)) ] || return 1
	done <"$TMP/run.$1.progress"
}

# goes_on NAME [UNITS] [SECONDS]: Waits until each flow of a client has received more.
goes_on() {
	local name count
	local -A BEFORE=()

	while read -r name count _; do
		BEFORE[$name]=$count
	done <"$TMP/run.$1.progress"
	slowwait "${3:-15}" advanced "$1" "${2:-5}"
}

# stands NAME FLOW: Has the flow received nothing for a while? This is a condition for slowwait: the count has to be the same twice.
stands() {
	local now

	now="$1 $2 $(progress "$1" "$2")"
	[ "$now" = "$LAST_SEEN" ] && return 0
	LAST_SEEN=$now
	nap 0.15
	return 1
}

# judge_all ...: Runs judge and puts each flow's finding into RESULTS under the flow's name.
judge_all() {
	local name verdict

	while IFS=: read -r name verdict; do
		# shellcheck disable=SC2034,SC2004 # run_cases reads it
		RESULTS[$name]=${verdict# }
	done < <(judge "$@")
}

# judge_ok ...: Runs judge; the case fails unless all flows are ok.
judge_ok() {
	local line bad=0 judged=0

	while read -r line; do
		judged=1
		[ "${line##*: }" = ok ] || { fail "$line" || bad=1; }
	done < <(judge "$@")
	[ $judged = 1 ] || fail "nothing was judged" || return
	return $bad
}

# judge CLIENT SERVER MODE DOWN UP LIMIT_MS ADDRESS: Prints a line for each flow, "flow: ok" or "flow: what is wrong". With MODE soft
# nothing may be lost; with MODE hard what was sent between DOWN and UP may be. Silence may last until LIMIT_MS after UP.
# ADDRESS is the server's address as the client's sockets know it. ALLOW is how many datagrams of a flow may be lost nevertheless.
# ALSO is a second address of the client that a server with an unconnected socket may have seen.
judge() {
	jq -rn --slurpfile c "$TMP/run.$1.json" --slurpfile s "$TMP/serve.$2.json" --arg mode "$3" --argjson down "$4" \
		--argjson up "$5" --argjson limit "$6" --argjson allow "${ALLOW:-0}" --arg address "$7" \
		--arg also "${ALSO:-}" -f "$SELFTESTS/judge.jq"
}
