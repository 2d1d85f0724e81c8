# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The module: loading it, its tables and counters, and hosts that are configured without an agent.

declare -A HID=()

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

# ctl NAME ARGUMENT...: Runs ihmpctl for the namespace of a host.
ctl() {
	ihmpctl -n "${NS[$1]}" "${@:2}"
}

# counter_of NAME PATTERN: Sets COUNTER to the number that follows the pattern in the JSON of `ihmpctl stats`.
counter_of() {
	local json

	json=$(ctl "$1" -j stats show)
	[[ $json =~ $2([0-9]+) ]] && COUNTER=${BASH_REMATCH[1]}
}

# figure NAME FIELD: Prints one counter of the namespace.
figure() {
	figure_at_least "$1" "$2" 0 && echo "$COUNTER"
}

# figure_at_least NAME FIELD VALUE: Is the counter at least VALUE?
figure_at_least() {
	counter_of "$1" "\"$2\":" && [ "$COUNTER" -ge "$3" ]
}

# figure_is NAME FIELD VALUE: Is the counter equal to VALUE?
figure_is() {
	counter_of "$1" "\"$2\":" && [ "$COUNTER" = "$3" ]
}

# reason NAME REASON: Prints how many packets the module has counted under this reason.
reason() {
	reason_at_least "$1" "$2" 0 && echo "$COUNTER"
}

# reason_at_least NAME REASON VALUE: Has the module counted at least VALUE packets under this reason?
reason_at_least() {
	counter_of "$1" "\"$2\",\"effect\":\"[a-z]*\",\"packets\":" && [ "$COUNTER" -ge "$3" ]
}

# reasons NAME: Prints each reason that has packets, as a line "reason packets".
reasons() {
	ctl "$1" -j stats show | jq -r '.counter[]? | select(.packets > 0) | "\(.reason) \(.packets)"'
}

# host_json NAME [ID|ADDR]: Prints the host entry as JSON, or null if there is none.
host_json() {
	{ ctl "$1" -j host show ${2:+"$2"} 2>/dev/null || echo '[]'; } | jq -c '.[0]'
}

# host_is NAME ID|ADDR FILTER: Is the jq filter true for the host entry?
host_is() {
	ctl "$1" -j host show "$2" 2>/dev/null | jq -e "length == 1 and (.[0] | $3)" >/dev/null
}

host_up() {
	local json

	json=$(ctl "$1" -j host show "$2" 2>/dev/null)
	[[ $json == *'"state":"up"'* ]]
}

# path_is NAME PEER LOCAL REMOTE: Is this pair of locators in use? "-" stands for any address. A host entry shows one path, but a host
# with both families uses one path of each, so the list of paths is looked at as well.
path_is() {
	local json id

	json=$(ctl "$1" -j host show "$2" 2>/dev/null)
	[[ $json =~ \"id\":([0-9]+) ]] || return
	id=${BASH_REMATCH[1]}
	[[ $json =~ \"local\":\"${3/#-/[^\"]*}\",\"remote\":\"${4/#-/[^\"]*}\" ]] && return
	ctl "$1" -j path show host "$id" 2>/dev/null | jq -e --arg l "$3" --arg r "$4" \
		'any(.[]; .active and ($l == "-" or .local == $l) and ($r == "-" or .remote == $r))' >/dev/null
}

# introduce A ADDR_A B ADDR_B: Adds a host entry at both ends, without an agent. HID[A] and HID[B] are their numbers.
introduce() {
	HID[$1]=$(ctl "$1" -j host add remote "$4" local "$2" | jq .id)
	HID[$3]=$(ctl "$3" -j host add remote "$2" local "$4" | jq .id)
	if [ -z "${HID[$1]}" ] || [ -z "${HID[$3]}" ]; then
		fail "the hosts cannot be added"
	fi
}

# moved MOVER PEER NEW: Tells both modules that MOVER is at NEW now, as their agents would. The peer is told first, as by a HANDOFF,
# because it would refuse packets from an address that it does not know.
moved() {
	ctl "$2" host set "${HID[$2]}" remote "$3" && ctl "$1" host set "${HID[$1]}" local "$3"
}

# csum_errors NAME: Prints how many packets the host has dropped because of a wrong checksum.
csum_errors() {
	# shellcheck disable=SC2016 # awk's
	in_ns "$1" sh -c 'cat /proc/net/snmp6; awk "{ if (\$1 == last) { for (i = 2; i <= NF; i++) print name[i], \$i }
		else { last = \$1; split(\$0, name) } }" /proc/net/snmp /proc/net/netstat' |
		awk '/CsumErrors|InHdrErrors/ { sum += $2 } END { print sum + 0 }'
}
