# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The agent, ihmpd: each host runs one at most. AGENT[NAME] is its process ID while it runs.

declare -A AGENT=() AGENT_MODE=()
AGENT_BY=()

# with_links FILE: Adds the interface names of the topologies to a configuration, because ihmpd ignores veth devices by default.
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

# agent_start NAME...: Starts ihmpd on each host and waits until it is ready. Its configuration is $TMP/ihmpd.NAME.toml if that file
# exists. Its keys are in $TMP/state.NAME, which is removed with the namespace. AGENT_BY is a command that runs ihmpd, such as
# setpriv; AGENT_MODE[NAME] is one more option of ihmpd. IHMPD_LOG is the log level; with "file" the configuration sets it.
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
		# An emulated processor may take longer to handle a message than the module holds packets for it.
		[ "$SLACK_MS" -lt 5000 ] || ctl "$host" param set hold-time 1000 || return
	done
}

# agent_stop NAME [SIGNAL]: Ends the agent of a host, if it runs, and waits for its end.
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

# hosts_up A ADDR_OF_B B ADDR_OF_A: Waits until A and B have each other in state up, under these addresses.
hosts_up() {
	slowwait 10 host_up "$1" "$2" && slowwait 10 host_up "$3" "$4"
}
# probed NAME: Prints how many path probes the agent has sent so far. Probes and their answers do not count as messages of a move.
probed() {
	grep -c 'event=sent control=path-probe' "$TMP/ihmpd.$1.log" || true
}

# explain: Prints the end of each agent's log and each host's counters, for a case that has failed.
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
