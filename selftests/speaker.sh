# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Programs that use sockets as a suite tells them (speaker.py), one for a host, beside lib.sh.
#
#   speaker HOST FAMILY [PREFIX...]       starts one; PREFIX is a command such as setpriv that runs it. HOST@LABEL names a second one
#   ask HOST NAME VERB [WORD]...          sends a command for the socket NAME; its answer is in ANSWER
#   says HOST ANSWER NAME VERB [WORD]...  the same, and the case fails unless it is that answer
#   opened HOST NAME tcp|udp ADDR PORT TEXT
#                                         opens a connection and checks the server's greeting; with UDP it sends a datagram first
#   any FAMILY                            prints the unspecified address
#   server HOST NAME udp|tcp ADDR PORT TEXT [plain]
#                                         starts a server that greets with TEXT

declare -A SPEAKER_IN=() SPEAKER_OUT=()

speaker() {
	local host=$1 family=$2 file=$TMP/speaker.$1 to from
	shift 2

	[ $# -gt 0 ] || set -- env
	sysctl_in "${host%@*}" net.ipv4.ping_group_range='0 2147483647'
	rm -f "$file".{in,out}
	mkfifo "$file.in" "$file.out" || return
	exec {to}<>"$file.in" {from}<>"$file.out"
	SPEAKER_IN[$host]=$to SPEAKER_OUT[$host]=$from
	start "${host%@*}" "$@" "$SELFTESTS/speaker.py" "$family" <"$file.in" >"$file.out" 2>"$file.log"
	defer hang_up "$to" "$from"
	read -rt 20 -u "$from" ANSWER || fail "no speaker: $(cat "$file.log")"
}

hang_up() {
	local to=$1 from=$2

	exec {to}>&- {from}<&-
}

ask() {
	echo "${*:2}" >&"${SPEAKER_IN[$1]}"
	read -rt "${PATIENCE:-120}" -u "${SPEAKER_OUT[$1]}" ANSWER || fail "$*: no answer: $(tail -n 1 "$TMP/speaker.$1.log")"
}

says() {
	ask "$1" "${@:3}" && equal "$1: ${*:3}" "$2" "$ANSWER"
}

server() {
	says "$1" ok "$2" "$3" && says "$1" "$5" "$2" bind "$4" "$5" && says "$1" ok "$2" greet "${@:6}"
}

any() {
	[ "$1" = 4 ] && echo 0.0.0.0 || echo ::
}

opened() {
	says "$1" ok "$2" "$3" && ask "$1" "$2" connect "$4" "$5" || return
	case $3 in
	tcp) says "$1" "$6" "$2" hear ;;
	udp) says "$1" ok "$2" write hello && says "$1" "$6 hello $4 $5" "$2" hear ;;
	esac
}
