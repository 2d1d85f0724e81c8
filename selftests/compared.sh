# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2004
# Does the same work twice, without agents and with them, and compares by captures.py; beside lib.sh and paired.sh:
#
#   twice AGENTS WORK [ARGUMENT...]   runs "WORK ARGUMENT... FOLDER" with AGENTS=0, and again with AGENTS as given (0 is a control). RESULTS
#                                     gets a result for each of KINDS, for "other" packets, and for "traffic", which is the work itself
#   recorded FOLDER HOSTS WORK...     runs WORK and captures on every interface of the hosts meanwhile, into FOLDER
#
# KINDS is the list of kinds of packets for captures.py.

twice() {
	local name text one='' other number=0

	for AGENTS in 0 "$1"; do
		other=$TMP/twice.$number number=$((number + 1))
		rm -rf "$other"
		in_defer_scope "${@:2}" "$other"
		one=${one:-$other}
	done
	while IFS=: read -r name text; do
		RESULTS[$name]=${text# }
	done < <("$SELFTESTS/captures.py" "$one" "$other" "${KINDS[@]}" 2>"$TMP/compared")
	note "$CASE: $(cat "$TMP/compared")"
	# If the work itself failed, the reason has been printed.
	RESULTS["traffic"]=ok
	[ -z "$CASE_STATUS" ] || RESULTS["traffic"]="it did not go as it should"
}

recorded() {
	local folder=$1 hosts=$2 host
	local -A listeners=()
	shift 2

	mkdir -p "$folder"
	for host in $hosts; do
		ipn "$host" -o link show | sed -E 's/^([0-9]+): ([^:@]+).*/\1 \2/' >"$folder/$host.links"
		start "$host" tcpdump -i any -y LINUX_SLL2 -n -U --immediate-mode -B 65536 -w "$folder/$host.pcap" 2>"$folder/$host.err"
		listeners[$host]=$BG
		must "tcpdump listens at $host" slowwait 10 has_line "$folder/$host.err" 'listening on' || return
	done
	"$@"
	for host in $hosts; do
		stop_process "${listeners[$host]}" INT
		must "nothing was missed at $host" has_line "$folder/$host.err" '^0 packets dropped by kernel' || return
	done
}
