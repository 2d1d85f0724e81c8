# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The module, what it shows and counts, and hosts that are told to it by hand.

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

# figure_is NAME FIELD VALUE
figure_is() {
	counter_of "$1" "\"$2\":" && [ "$COUNTER" = "$3" ]
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
