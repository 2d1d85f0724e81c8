# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Captures: text that tcpdump prints about the packets of an interface.

declare -A CAPTURE=()

# capture NAME INTERFACE FILTER: Starts tcpdump. It writes a line for each packet, with time and addresses, to $TMP/cap.NAME.INTERFACE.
capture() {
	local host=$1 dev=$2 file=$TMP/cap.$1.$2
	shift 2

	: >"$file"
	start "$host" tcpdump -i "$dev" -tt -n -l --immediate-mode "$@" >"$file" 2>"$file.err"
	CAPTURE[$host.$dev]=$BG
	slowwait 10 has_line "$file.err" 'listening on' || fail "tcpdump does not listen on $host $dev"
}

# capture_end NAME INTERFACE: Ends the capture after tcpdump has written everything.
capture_end() {
	stop_process "${CAPTURE[$1.$2]}" INT
	unset "CAPTURE[$1.$2]"
}

# captured NAME INTERFACE PATTERN: Prints how many lines of the capture match.
captured() {
	grep -cE -- "$3" "$TMP/cap.$1.$2" || true
}

# captured_else NAME INTERFACE PATTERN: Prints how many packets of the capture do not match.
captured_else() {
	grep -E '^[0-9.]+ ' "$TMP/cap.$1.$2" | grep -cvE -- "$3" || true
}
