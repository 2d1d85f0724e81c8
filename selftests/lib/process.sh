# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Programs that run beside a case.

# start NAME CMD...: Starts a program in the namespace of a host. Its process ID is in $BG, and it is killed when the scope ends.
start() {
	nsenter --net="/run/netns/${NS[$1]}" "${@:2}" <&0 &
	BG=$!
	defer stop_process $BG KILL
}

# stop_process PID [SIGNAL]: Ends a process and waits for its end, whether this shell or another program started it.
stop_process() {
	kill "-${2:-TERM}" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	[ $? != 127 ] || slowwait 60 gone "$1"
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# end_all NAMESPACE: Kills all processes in the namespace.
end_all() {
	local process

	for process in /proc/[0-9]*; do
		[ ! "$process/ns/net" -ef "/run/netns/$1" ] || stop_process "${process#/proc/}" KILL
	done
}
