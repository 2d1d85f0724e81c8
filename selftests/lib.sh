# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every suite has: KTAP lines, deferred cleaning, network namespaces, waiting for conditions, the module, the agent,
# traffic and its judgement. Sourced first; a suite ends with `suite_end`.
#
#   run_case "what it shows" FUNCTION [ARGUMENT...]   one case, one KTAP line
# In a case:
#   must WHAT CMD... || return    CMD has to succeed, or the case fails and ends
#   check WHAT CMD...             CMD has to succeed, or the case fails and goes on
#   equal WHAT WANT GOT           the same for values
#   fail WHAT; skip WHY           a skip is printed and counted, never a pass; IHMP_NO_SKIP=1 makes it a failure
#   defer CMD...                  runs when the case ends (outside of a case: when the suite ends), last one first
#   busywait SECONDS CMD...       waits until CMD succeeds; there is no blind sleep in a test
# Starting a program is what a case mostly costs. What several cases do a hundred times is done by the shell, and a topology
# is planned and then built (see "namespaces").
# An interface of a host namespace is called eth0, wifi0, usb0 or lan0: they are veth, and ihmpd.toml names those that count.

set -u
export LC_ALL=C

# The suites change settings of the first network namespace, and load and unload the module.
if [ "${IHMP_HERE:-}" != 1 ]; then
	echo "$0 changes the network settings of this machine. Run it in a guest: selftests/vm/run --kernel uml $0" >&2
	echo "To run it here, on a machine that may be changed: make -C selftests run_tests, or set IHMP_HERE=1" >&2
	exit 2
fi

SELFTESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SUITE=$(basename "$0" .sh)
TMP=$(mktemp -d "${TMPDIR:-/tmp}/$SUITE.XXXXXX")
TAG=${TMP##*.}
mkfifo "$TMP/nap"
exec {NAP}<>"$TMP/nap"
# New namespaces begin with what is said here, in the guest's first one.
echo 1 >/proc/sys/net/core/devconf_inherit_init_net
for setting in all/accept_dad default/accept_dad all/router_solicitations default/router_solicitations; do
	echo 0 >"/proc/sys/net/ipv6/conf/$setting"
done
echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries

# In the time-travel guest computing takes no time, so limits can be sharp.
if grep -qs time-travel /proc/cmdline; then
	TRAVEL=1 SLACK_MS=${SLACK_MS:-25}
else
	TRAVEL=0 SLACK_MS=${SLACK_MS:-500}
fi
export TRAVEL SLACK_MS

# --- KTAP (Documentation/dev-tools/ktap.rst in the kernel); the plan comes last, so that it says that the suite has reached its end

echo "KTAP version 1"
CASES=0 FAILED=0 SKIPPED=0
CASE='' CASE_STATUS=''
CASE_MS=0 LAST_SEEN=''
DEFERRED=()

# note TEXT...: a diagnostic line.
note() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# result STATUS(ok|fail|skip) NAME [WHY]: one KTAP line.
result() {
	local what="$2"

	CASES=$((CASES + 1))
	case $1 in
	ok) echo "ok $CASES - $what" ;;
	skip)
		if [ "${IHMP_NO_SKIP:-0}" = 1 ]; then
			FAILED=$((FAILED + 1))
			echo "not ok $CASES - $what # skipped: ${3:-}"
		else
			SKIPPED=$((SKIPPED + 1))
			echo "ok $CASES - $what # SKIP ${3:-}"
		fi
		;;
	*)
		FAILED=$((FAILED + 1))
		echo "not ok $CASES - $what"
		[ -z "${3:-}" ] || note "  $3"
		;;
	esac
}

fail() {
	CASE_STATUS=fail
	note "  ${CASE:-$SUITE}: $*"
	return 1
}

skip() {
	[ "$CASE_STATUS" = fail ] || CASE_STATUS="skip $*"
}

must() {
	local what=$1
	shift
	"$@" || fail "$what (not so: $*)"
}

check() {
	must "$@" || true
}

equal() {
	[ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}

# at_most WHAT LIMIT VALUE, at_least WHAT LIMIT VALUE: whole numbers.
at_most() {
	[ "${3:-x}" -le "$2" ] 2>/dev/null || fail "$1: wanted at most $2, got '${3:-}'"
}

at_least() {
	[ "${3:-x}" -ge "$2" ] 2>/dev/null || fail "$1: wanted at least $2, got '${3:-}'"
}

# A function that runs as one case can have several results: it fills RESULTS["name"] with "ok" or with what is wrong, and
# its caller names all that it is to have.
#   run_cases PREFIX "EXPECTED NAMES" FUNCTION [ARGUMENT...]
declare -A RESULTS=()
run_cases() {
	local prefix=$1 expected=$2 name
	shift 2

	CASE=$prefix
	wanted "$CASE" || return 0
	RESULTS=()
	scope "$@"
	for name in $expected; do
		outcome "$prefix: $name" "${RESULTS[$name]:-the scenario failed before}"
	done
	CASE=
}

# outcome NAME ok|TEXT: one KTAP line.
outcome() {
	if [ "$2" = ok ]; then
		result ok "$1 # $CASE_MS ms"
	else
		result fail "$1" "$2"
	fi
}

# wanted NAME: is the case selected? IHMP_CASES is an extended regular expression; everything without it.
wanted() {
	[ -z "${IHMP_CASES:-}" ] || [[ $1 =~ $IHMP_CASES ]]
}

# scope FUNCTION [ARGUMENT...]: runs it and cleans up behind it; its outcome is in CASE_STATUS and CASE_MS.
scope() {
	local start floor=${#DEFERRED[@]}

	CASE_STATUS='' LAST_SEEN=''
	scrap
	start=${EPOCHREALTIME/./}
	"$@" || [ -n "$CASE_STATUS" ] || fail "$1 gave up"
	CASE_MS=$(((${EPOCHREALTIME/./} - start) / 1000))
	[ "$CASE_STATUS" != fail ] || explain
	run_deferred "$floor"
}

run_case() {
	CASE=$1
	shift

	wanted "$CASE" || return 0
	scope "$@"
	case $CASE_STATUS in
	'') result ok "$CASE # $CASE_MS ms" ;;
	skip*) result skip "$CASE" "${CASE_STATUS#skip }" ;;
	*) result fail "$CASE" ;;
	esac
	CASE=
}

# explain: what helps to understand a failure: the agents' last words and the counters.
explain() {
	local host

	for host in "${!AGENT[@]}"; do
		note "  agent of $host: $(tail -n 12 "$TMP/ihmpd.$host.log" 2>/dev/null)"
	done
	for host in "${!NS[@]}"; do
		[ -e "/run/netns/${NS[$host]}" ] || continue
		case " ${HOSTS:-} " in
		*" $host "*) note "  $host: $(ctl "$host" -j stats show 2>/dev/null | jq -c 'del(.counter) + {
			reasons: [.counter[]? | select(.packets > 0) | {(.reason): .packets}] | add}' 2>/dev/null)" \
			"$(ctl "$host" -j host show 2>/dev/null | jq -c . 2>/dev/null)" ;;
		esac
	done
}

suite_end() {
	[ ! -e "$TMP/figures" ] || jq -s . "$TMP/figures" >"${IHMP_RESULTS:-.}/ihmp.json"
	echo "1..$CASES"
	# Nothing but skips: KSFT_SKIP.
	[ "$CASES" = 0 ] || [ "$SKIPPED" != "$CASES" ] || exit 4
	exit $((FAILED > 0))
}

# figure_of CASE METRIC VALUE UNIT: a figure of the signalling, for ihmp.json, which the suite leaves in $IHMP_RESULTS.
figure_of() {
	jq -nc --arg case "$1" --arg metric "$2" --argjson value "$3" --arg unit "$4" \
		'{case: $case, metric: $metric, value: $value, unit: $unit, peer: "ihmp"}' >>"$TMP/figures"
}

# --- cleaning

defer() {
	DEFERRED+=("$(printf '%q ' "$@")")
}

run_deferred() {
	local i

	for ((i = ${#DEFERRED[@]} - 1; i >= $1; i--)); do
		eval "${DEFERRED[i]}" >>"$TMP/deferred.log" 2>&1
		unset 'DEFERRED[i]'
	done
}

at_exit() {
	local status=$?

	trap - EXIT
	run_deferred 0
	[ -z "$STANDBY" ] || stop_process "$STANDBY" KILL
	rm -rf "$TMP"
	exit "$status"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- time

now_ms() {
	local now=${EPOCHREALTIME/./}

	echo "${now%???}"
}

# passed MOMENT_MS MS: that long ago, or longer.
passed() {
	[ $(($(now_ms) - $1)) -ge "$2" ]
}

# nap SECONDS: without a process; only for polling and for generators.
nap() {
	read -rt "$1" -u "$NAP" _ || true
}

# busywait SECONDS CMD...: looks at least every 160 ms, or POLL_MS: looking costs computing, a wait of many seconds needs it less.
busywait() {
	local end=$((${EPOCHREALTIME/./} + ${1%.*} * 1000000)) pause=5 most=${POLL_MS:-160} seconds
	shift

	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		printf -v seconds '0.%03d' $pause
		nap "$seconds"
		[ $pause -ge "$most" ] || pause=$((pause * 2))
	done
}

# quiet CMD...: without what it prints.
quiet() {
	"$@" >/dev/null 2>&1
}

# not CMD...: CMD fails.
not() {
	! "$@"
}

# start NAME CMD...: starts a program in a namespace, its process is in $BG; it dies with the scope.
start() {
	nsenter --net="/run/netns/${NS[$1]}" "${@:2}" <&0 &
	BG=$!
	defer stop_process $BG KILL
}

# stop_process PID [SIGNAL]: ends a process of ours and waits for it, whether this shell started it or another program did.
stop_process() {
	kill "-${2:-TERM}" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	[ $? != 127 ] || busywait 60 gone "$1"
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# has_line FILE PATTERN: some line matches the extended regular expression.
has_line() {
	local line

	[ -e "$1" ] || return
	while IFS= read -r line || [ -n "$line" ]; do
		[[ ! $line =~ $2 ]] || return 0
	done <"$1"
	return 1
}

# --- namespaces

# setup_ns, cable, batch, sysctl_in and netem act at once; between plan and built they are kept, and take one program for all
# namespaces and cables, and then one of each kind for a namespace: first settings, then ip's lines, then tc's. So do the verbs
# of topo.sh that are made of them.
declare -A NS=() AGENT=() HARDWARE=()
declare -A PLAN=() PLAN_SYSCTL=() PLAN_TC=()
PLAN_NETS='' PLANNED=0 CABLES=0

plan() {
	PLANNED=1
}

built() {
	local status=0

	build || status=1
	scrap
	return $status
}

build() {
	local name

	[ -z "$PLAN_NETS" ] || ip -batch - <<<"$PLAN_NETS" || return
	for name in "${!PLAN_SYSCTL[@]}"; do
		in_ns "$name" sysctl -qp - <<<"${PLAN_SYSCTL[$name]}" || return
	done
	for name in "${!PLAN[@]}"; do
		ip -n "${NS[$name]}" -batch - <<<"${PLAN[$name]}" || return
	done
	for name in "${!PLAN_TC[@]}"; do
		tc -n "${NS[$name]}" -batch - <<<"${PLAN_TC[$name]}" || return
	done
}

# scrap: nothing is planned.
scrap() {
	PLAN=() PLAN_SYSCTL=() PLAN_TC=() PLAN_NETS='' PLANNED=0
}

done_now() {
	[ $PLANNED = 1 ] || built
}

# setup_ns NAME...: namespaces with names of their own, deleted with the scope.
setup_ns() {
	local name

	for name in "$@"; do
		NS[$name]=$name-$TAG
		PLAN_NETS+="netns add ${NS[$name]}"$'\n'
		PLAN[$name]+=$'link set lo up\n'
	done
	defer drop_ns "$@"
	done_now
}

drop_ns() {
	local name lines=''

	for name in "$@"; do
		[ -n "${NS[$name]:-}" ] || continue
		end_all "${NS[$name]}"
		lines+="netns del ${NS[$name]}"$'\n'
		[ ! -e "$TMP/state.$name" ] || rm -rf "$TMP/state.$name"
		unset "NS[$name]"
	done
	[ -z "$lines" ] || ip -force -batch - <<<"$lines"
}

# end_all NAMESPACE: kills what runs there.
end_all() {
	local process

	for process in /proc/[0-9]*; do
		[ ! "$process/ns/net" -ef "/run/netns/$1" ] || stop_process "${process#/proc/}" KILL
	done
}

# cable A INTERFACE_A B INTERFACE_B: HARDWARE[NAME.INTERFACE] is the link address of an end.
cable() {
	CABLES=$((CABLES + 1))
	printf -v "HARDWARE[$1.$2]" '02:00:5e:0a:%02x:%02x' $((CABLES / 256)) $((CABLES % 256))
	printf -v "HARDWARE[$3.$4]" '02:00:5e:0b:%02x:%02x' $((CABLES / 256)) $((CABLES % 256))
	PLAN_NETS+="link add $2 address ${HARDWARE[$1.$2]} netns ${NS[$1]} type veth "
	PLAN_NETS+="peer name $4 address ${HARDWARE[$3.$4]} netns ${NS[$3]}"$'\n'
	done_now
}

# bracket ADDRESS: as it is written before a port.
bracket() {
	[ "${1//:/}" = "$1" ] && echo "$1" || echo "[$1]"
}

# netem NAME INTERFACE PARAMETER...: on what the namespace sends by the interface, from now on.
netem() {
	PLAN_TC[$1]+="qdisc replace dev $2 root netem ${*:3}"$'\n'
	done_now
}

# in_ns NAME CMD...: only the network is the namespace's.
in_ns() {
	nsenter --net="/run/netns/${NS[$1]}" "${@:2}"
}

# ipn NAME ARGUMENT...: ip in a namespace.
ipn() {
	ip -n "${NS[$1]}" "${@:2}"
}

# batch NAME: ip commands from standard input, comments and empty lines allowed.
batch() {
	local lines

	IFS= read -rd '' lines
	PLAN[$1]+=$lines
	done_now
}

# sysctl_in NAME KEY=VALUE...
sysctl_in() {
	local setting

	for setting in "${@:2}"; do
		PLAN_SYSCTL[$1]+=$setting$'\n'
	done
	done_now
}

# --- the module and its tools

module_loaded() {
	[ -d /sys/module/ihmp ]
}

module_load() {
	module_loaded || insmod "${IHMP_KO:?}"
}

module_unload() {
	! module_loaded || rmmod ihmp
}

have_module() {
	module_load && command -v ihmpctl >/dev/null && ihmpctl param show >/dev/null
}

# ctl NAME ARGUMENT...: ihmpctl in a namespace.
ctl() {
	ihmpctl -n "${NS[$1]}" "${@:2}"
}

# counter_of NAME PATTERN: the number that follows the pattern in what the namespace counts, in $COUNTER.
counter_of() {
	local json

	json=$(ctl "$1" -j stats show)
	[[ $json =~ $2([0-9]+) ]] && COUNTER=${BASH_REMATCH[1]}
}

# figure NAME FIELD: one counter of the namespace.
figure() {
	figure_at_least "$1" "$2" 0 && echo "$COUNTER"
}

# figure_at_least NAME FIELD VALUE
figure_at_least() {
	counter_of "$1" "\"$2\":" && [ "$COUNTER" -ge "$3" ]
}

# reason NAME REASON: how often it applied.
reason() {
	reason_at_least "$1" "$2" 0 && echo "$COUNTER"
}

# reason_at_least NAME REASON VALUE
reason_at_least() {
	counter_of "$1" "\"$2\",\"effect\":\"[a-z]*\",\"packets\":" && [ "$COUNTER" -ge "$3" ]
}

# reasons NAME: all reasons that applied, "name packets" a line.
reasons() {
	ctl "$1" -j stats show | jq -r '.counter[]? | select(.packets > 0) | "\(.reason) \(.packets)"'
}

# host_json NAME [ID|ADDR]: the host entry, null when there is none.
host_json() {
	{ ctl "$1" -j host show ${2:+"$2"} 2>/dev/null || echo '[]'; } | jq -c '.[0]'
}

# host_is NAME ID|ADDR FILTER: does the jq filter hold for the entry?
host_is() {
	ctl "$1" -j host show "$2" 2>/dev/null | jq -e "length == 1 and (.[0] | $3)" >/dev/null
}

host_up() {
	local json

	json=$(ctl "$1" -j host show "$2" 2>/dev/null)
	[[ $json == *'"state":"up"'* ]]
}

# path_is NAME PEER LOCAL REMOTE: that pair of locators is in use; - for whatever. The entry shows one path, a host with both
# families has one of each in use.
path_is() {
	local json id

	json=$(ctl "$1" -j host show "$2" 2>/dev/null)
	[[ $json =~ \"id\":([0-9]+) ]] || return
	id=${BASH_REMATCH[1]}
	[[ $json =~ \"local\":\"${3/#-/[^\"]*}\",\"remote\":\"${4/#-/[^\"]*}\" ]] && return
	ctl "$1" -j path show host "$id" 2>/dev/null | jq -e --arg l "$3" --arg r "$4" \
		'any(.[]; .active and ($l == "-" or .local == $l) and ($r == "-" or .remote == $r))' >/dev/null
}

# --- the agent

# with_links FILE: a configuration in which the devices of the topologies count, though they are veth.
with_links() {
	local include

	! grep -qs '^include' "$1" || return 0
	include=$(grep '^include' "$SELFTESTS/ihmpd.toml") || return
	if grep -q '^\[interfaces\]' "$1"; then
		sed -i "/^\[interfaces\]/a $include" "$1"
	else
		printf '[interfaces]\n%s\n' "$include" >>"$1"
	fi
}

# agent_start NAME...: one ihmpd each; the configuration is $TMP/ihmpd.NAME.toml where that exists. Its keys are in
# $TMP/state.NAME, as long as the namespace lives. AGENT_BY is what starts it, when it is not to start by itself;
# AGENT_MODE[NAME] is an option of it. IHMPD_LOG is the least level of its log lines; "file" for what its configuration
# says.
agent_start() {
	local host log config level=(--log "${IHMPD_LOG:-debug}")

	[ "${IHMPD_LOG:-}" != file ] || level=()

	for host in "$@"; do
		log=$TMP/ihmpd.$host.log
		config=$TMP/ihmpd.$host.toml
		: >"$log"
		if [ -e "$config" ]; then
			with_links "$config" || return
		else
			config=$SELFTESTS/ihmpd.toml
		fi
		start "$host" "${AGENT_BY[@]}" ihmpd --config "$config" --state "$TMP/state.$host" "${level[@]}" \
			${AGENT_MODE[$host]:+"${AGENT_MODE[$host]}"} >"$log" 2>&1
		AGENT[$host]=$BG
		defer agent_stop "$host" KILL
	done
	for host in "$@"; do
		busywait 10 has_line "$TMP/ihmpd.$host.log" '^ihmpd ready' || fail "the agent of $host is not ready" || return
		# Where the processor is emulated, an agent may take longer over a message than packets wait for it.
		[ "$SLACK_MS" -lt 5000 ] || ctl "$host" param set hold-time 1000 || return
	done
}

AGENT_BY=()
declare -A AGENT_MODE=()

# agent_stop NAME [SIGNAL]
agent_stop() {
	[ -n "${AGENT[$1]:-}" ] || return 0
	stop_process "${AGENT[$1]}" "${2:-TERM}"
	unset "AGENT[$1]"
}

agents_stop() {
	local host

	for host in "$@"; do
		agent_stop "$host"
	done
}

# hosts_up PEER_A ADDR_OF_B_ AS_SEEN_BY_A PEER_B ADDR: both ends know each other.
hosts_up() {
	busywait 10 host_up "$1" "$2" && busywait 10 host_up "$3" "$4"
}

# --- captures

# capture NAME INTERFACE FILTER: packets as text, one a line with time and addresses, in $TMP/cap.NAME.INTERFACE.
capture() {
	local host=$1 dev=$2 file=$TMP/cap.$1.$2
	shift 2

	: >"$file"
	start "$host" tcpdump -i "$dev" -tt -n -l --immediate-mode "$@" >"$file" 2>"$file.err"
	CAPTURE[$host.$dev]=$BG
	busywait 10 has_line "$file.err" 'listening on' || fail "tcpdump does not listen on $host $dev"
}
declare -A CAPTURE=()

# capture_end NAME INTERFACE: ends it when everything is written.
capture_end() {
	stop_process "${CAPTURE[$1.$2]}" INT
	unset "CAPTURE[$1.$2]"
}

# captured NAME INTERFACE PATTERN: how many lines match.
captured() {
	grep -cE -- "$3" "$TMP/cap.$1.$2" || true
}

# captured_else NAME INTERFACE PATTERN: how many packets do not match.
captured_else() {
	grep -E '^[0-9.]+ ' "$TMP/cap.$1.$2" | grep -cvE -- "$3" || true
}

# probed NAME: probes that its agent has sent so far. They and their answers are no messages of a move.
probed() {
	grep -c 'event=sent control=path-probe' "$TMP/ihmpd.$1.log" || true
}

# --- traffic

declare -A SERVER=() CLIENT=()
STANDBY=''

# stand_by: one interpreter has everything loaded and becomes each server and client that is asked for.
stand_by() {
	mkfifo "$TMP/orders" "$TMP/started"
	exec {ORDERS}<>"$TMP/orders" {STARTED}<>"$TMP/started"
	python3 "$SELFTESTS/traffic.py" standby <&"$ORDERS" >&"$STARTED" &
	STANDBY=$!
}

# traffic_program NAME INPUT OUTPUT ARGUMENT...: traffic.py in a namespace; its process is in $BG, and it dies with the scope.
traffic_program() {
	local IFS=$'\t'

	[ -n "$STANDBY" ] || stand_by
	: >"$3"
	echo "/run/netns/${NS[$1]}"$'\t'"${*:2}" >&"$ORDERS"
	read -rt 60 -u "$STARTED" BG || { fail "traffic.py does not start" && return 1; }
	IFS=' ' defer stop_process "$BG" KILL
}

# A second server or client on a host is called HOST@LABEL in what follows.

# serve NAME FAMILY KIND:PORT...: the receiver of traffic; options of traffic.py in SERVE_OPTS.
serve() {
	local host=$1 family=$2 file=$TMP/serve.$1
	shift 2

	rm -f "$file.json"
	# shellcheck disable=SC2086 # options
	traffic_program "${host%@*}" /dev/null "$file.log" serve "-$family" ${SERVE_OPTS:-} --result "$file.json" \
		--progress "$file.progress" "$@" || return
	SERVER[$host]=$BG
	busywait 20 has_line "$file.log" '^ready' || { note "$(cat "$file.log")" && fail "no server on $host"; }
}

# traffic NAME FAMILY ADDR FLOW...: starts traffic and waits until all of it flows; options in TRAFFIC_OPTS.
traffic() {
	local host=$1 family=$2 file=$TMP/run.$1
	shift 2

	rm -f "$file.json" "$file.control"
	mkfifo "$file.control"
	# shellcheck disable=SC2086 # options
	traffic_program "${host%@*}" "$file.control" "$file.log" run "-$family" ${TRAFFIC_OPTS:-} --result "$file.json" \
		--progress "$file.progress" "$@" || return
	CLIENT[$host]=$BG
	busywait "${TRAFFIC_WAIT:-20}" has_line "$file.log" '^ready' || { note "$(cat "$file.log")" && fail "no traffic on $host"; }
}

# traffic_end NAME: ends the traffic of a client; its findings are in $TMP/run.NAME.json.
traffic_end() {
	kill -TERM "${CLIENT[$1]}" 2>/dev/null
	traffic_wait "$1"
}

# traffic_wait NAME: waits for a client that ends by itself.
traffic_wait() {
	busywait "${2:-60}" gone "${CLIENT[$1]}" || fail "the traffic of $1 does not end"
	wait "${CLIENT[$1]}" 2>/dev/null
	[ -s "$TMP/run.$1.json" ] || { note "$(tail -n 20 "$TMP/run.$1.log")" && fail "no findings of $1"; }
}

serve_end() {
	stop_process "${SERVER[$1]}"
	[ -s "$TMP/serve.$1.json" ] || { note "$(tail -n 20 "$TMP/serve.$1.log")" && fail "no findings of $1"; }
}

# burst NAME OCTETS: through the open connections, both ways; see traffic.py.
burst() {
	local file=$TMP/run.$1 before

	before=$(grep -c '^burst done' "$file.log")
	echo "burst $2" >"$file.control"
	busywait "${3:-60}" bursts_beyond "$file.log" "$before"
}

bursts_beyond() {
	[ "$(grep -c '^burst done' "$1")" -gt "$2" ]
}

# progress NAME [FLOW]: units that came, of the slowest flow or of that one.
progress() {
	local name count least=''

	while read -r name count; do
		[ -z "${2:-}" ] || [ "$name" = "$2" ] || continue
		[ -n "$least" ] && [ "$count" -ge "$least" ] || least=$count
	done <"$TMP/run.$1.progress"
	echo "${least:-0}"
}

# advanced NAME UNITS: every flow has got that many more than BEFORE says.
advanced() {
	local name now

	while read -r name now; do
		[ "$now" -ge $((${BEFORE[$name]:-0} + $2)) ] || return 1
	done <"$TMP/run.$1.progress"
}

# goes_on NAME [UNITS] [SECONDS]: all flows of a client go on.
goes_on() {
	local name count
	local -A BEFORE=()

	while read -r name count; do
		BEFORE[$name]=$count
	done <"$TMP/run.$1.progress"
	busywait "${3:-15}" advanced "$1" "${2:-5}"
}

# stands NAME FLOW: that flow has got nothing for a while (a condition, not a pause: the count has to be seen twice).
stands() {
	local now

	now="$1 $2 $(progress "$1" "$2")"
	[ "$now" = "$LAST_SEEN" ] && return 0
	LAST_SEEN=$now
	nap 0.15
	return 1
}

# judge_all ...: judge's findings into RESULTS, by the flow's name.
judge_all() {
	local name verdict

	while IFS=: read -r name verdict; do
		RESULTS[$name]=${verdict# }
	done < <(judge "$@")
}

# judge_ok ...: all flows are ok, or the case fails.
judge_ok() {
	local line bad=0 judged=0

	while read -r line; do
		judged=1
		[ "${line##*: }" = ok ] || { fail "$line" || bad=1; }
	done < <(judge "$@")
	[ $judged = 1 ] || fail "nothing was judged" || return
	return $bad
}

# judge CLIENT SERVER MODE DOWN UP LIMIT_MS ADDRESS: findings, "flow: ok" or "flow: what is wrong" a line. MODE is soft (nothing may be lost) or
# hard (what was sent between DOWN and UP may be), ALLOW says how many datagrams of a flow may be lost all the same;
# ADDRESS is the server's as the client's sockets know it; ALSO is an address of the client that an unconnected server
# may have seen, beside the one.
judge() {
	jq -rn --slurpfile c "$TMP/run.$1.json" --slurpfile s "$TMP/serve.$2.json" --arg mode "$3" --argjson down "$4" \
		--argjson up "$5" --argjson limit "$6" --argjson allow "${ALLOW:-0}" --arg address "$7" \
		--arg also "${ALSO:-}" -f "$SELFTESTS/judge.jq"
}

# --- hosts by hand

declare -A HID=()

# introduce A ADDR_A B ADDR_B: host entries at both ends, without an agent; HID[A] and HID[B] are their numbers.
introduce() {
	HID[$1]=$(ctl "$1" -j host add remote "$4" local "$2" | jq .id)
	HID[$3]=$(ctl "$3" -j host add remote "$2" local "$4" | jq .id)
	if [ -z "${HID[$1]}" ] || [ -z "${HID[$3]}" ]; then
		fail "the hosts cannot be added"
	fi
}

# moved MOVER PEER NEW: what the agents would say when MOVER goes to NEW. The peer is told first, as by a HANDOFF: it
# would refuse what comes from an address that it does not know.
moved() {
	ctl "$2" host set "${HID[$2]}" remote "$3" && ctl "$1" host set "${HID[$1]}" local "$3"
}

# csum_errors NAME: packets that were refused because of their checksum.
csum_errors() {
	# shellcheck disable=SC2016 # awk's
	in_ns "$1" sh -c 'cat /proc/net/snmp6; awk "{ if (\$1 == last) { for (i = 2; i <= NF; i++) print name[i], \$i }
		else { last = \$1; split(\$0, name) } }" /proc/net/snmp /proc/net/netstat' |
		awk '/CsumErrors|InHdrErrors/ { sum += $2 } END { print sum + 0 }'
}
