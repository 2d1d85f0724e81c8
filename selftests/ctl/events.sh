# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cases of ihmp_ctl.sh about events.

# happened FILE PATTERN: Waits until the monitor has printed such a line.
happened() {
	must "event $2" slowwait 10 has_line "$1" "$2"
}

monitor() {
	local text=$TMP/text json=$TMP/json stamped=$TMP/stamped

	stage && introduce m 192.0.2.1 c 192.0.2.101 || return
	start m ihmpctl monitor >"$text" 2>&1
	start m ihmpctl -j monitor >"$json" 2>&1
	start m ihmpctl -t -j monitor >"$stamped" 2>&1
	start m ihmpctl -t monitor >"$stamped.text" 2>&1
	# A monitor prints nothing before it has subscribed, so changes are made until all of them have printed something.
	must "they listen" slowwait 20 listening "$text" "$json" "$stamped" "$stamped.text" || return
	prints 2 host add name lab remote 198.51.100.7 local 192.0.2.1 || return
	happened "$text" '^host 2 name lab state up mode stack-trans remote 198.51.100.7 local 192.0.2.1 path 192.0.2.1 198.51.100.7 flows 0 tx 0 rx 0'
	happened "$json" '"event":"host-ntf","id":2,.*"name":"lab"'
	done_ok host set 2 local 192.0.2.2
	happened "$text" '^path host 2 local 192.0.2.2 remote 198.51.100.7 cause configured$'
	happened "$text" '^host 2 name lab .* local 192.0.2.2 path 192.0.2.2 198.51.100.7 '
	happened "$json" '^\{"event":"path-ntf","host-id":2,"local":"192.0.2.2","remote":"198.51.100.7","cause":"configured"\}$'
	done_ok host set 2 clear local
	happened "$text" '^path host 2 none cause lost$' && happened "$json" '^\{"event":"path-ntf","host-id":2,"cause":"lost"\}$'
	done_ok path add host 2 local 192.0.2.3
	happened "$text" '^path host 2 local 192.0.2.3 remote 198.51.100.7 cause restored$'
	done_ok path add host 2 local 192.0.2.4 preference 4
	happened "$text" '^host 2 name lab .* local 192.0.2.4 preference 4 '
	done_ok path del host 2 local 192.0.2.4
	done_ok param set max-hosts 1 && refused 'there are 1 hosts*' host add remote 198.51.100.77
	happened "$text" '^limit host-limit packets [0-9]+$' && happened "$json" '^\{"event":"limit-ntf","reason":"host-limit","packets":[0-9]+\}$'
	done_ok param set max-hosts 10 discovery on
	in_ns m python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("192.0.2.222", 9))
s.send(b"x")'
	happened "$text" '^discover host [0-9]+ proto udp local 192.0.2.1 remote 192.0.2.222$'
	happened "$json" '^\{"event":"discover-ntf","host-id":[0-9]+,"proto":17,"local":"192.0.2.1","remote":"192.0.2.222"\}$'
	done_ok host del 2
	happened "$text" '^deleted host 2$' && happened "$json" '^\{"event":"host-del-ntf","id":2\}$'
	happened "$stamped" '"event":"host-del-ntf","id":2' && happened "$stamped.text" 'deleted host 2$'
	jq -se 'length > 5 and all(.[]; .timestamp | test("^20[0-9-]*T[0-9:]*\\.[0-9]{6}Z$"))' "$stamped" >/dev/null || fail "time stamps: $(head -n 1 "$stamped")"
	grep -vqE '^\[20[0-9-]*T[0-9:]*\.[0-9]{6}Z\] ' "$stamped.text" && fail "time stamps as text: $(head -n 1 "$stamped.text")"
	usage 'was not expected' monitor all
	usage 'was not expected' monitor show
}

# listening FILE...: Changes something. Does each file have lines?
listening() {
	local file

	ctl m host set "${HID[m]}" name "try" || return
	for file in "$@"; do
		[ -s "$file" ] || return
	done
}
