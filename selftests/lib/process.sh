# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Programs that run beside a case.

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
	[ $? != 127 ] || slowwait 60 gone "$1"
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# end_all NAMESPACE: kills what runs there.
end_all() {
	local process

	for process in /proc/[0-9]*; do
		[ ! "$process/ns/net" -ef "/run/netns/$1" ] || stop_process "${process#/proc/}" KILL
	done
}
