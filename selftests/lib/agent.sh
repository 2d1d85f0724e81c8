# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The agent, one a host at most: AGENT[NAME] is its process, while it runs.

declare -A AGENT=() AGENT_MODE=()
AGENT_BY=()

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
		slowwait 10 has_line "$TMP/ihmpd.$host.log" '^ihmpd ready' || fail "the agent of $host is not ready" || return
		# Where the processor is emulated, an agent may take longer over a message than packets wait for it.
		[ "$SLACK_MS" -lt 5000 ] || ctl "$host" param set hold-time 1000 || return
	done
}

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
	slowwait 10 host_up "$1" "$2" && slowwait 10 host_up "$3" "$4"
}
# probed NAME: probes that its agent has sent so far. They and their answers are no messages of a move.
probed() {
	grep -c 'event=sent control=path-probe' "$TMP/ihmpd.$1.log" || true
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
