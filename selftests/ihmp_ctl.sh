#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests ihmpctl against Documentation/ihmpctl.rst: every object and verb, as text and as JSON, and every kind of error.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"
. "$(dirname "$0")/ctl/hosts.sh"
. "$(dirname "$0")/ctl/tables.sh"
. "$(dirname "$0")/ctl/events.sh"

# c WORD...: Runs ihmpctl at m; its output is in OUT and ERR, its status in STATUS.
c() {
	ctl m "$@" >"$TMP/out" 2>"$TMP/err"
	STATUS=$?
	OUT=$(cat "$TMP/out") ERR=$(cat "$TMP/err")
}

# done_ok WORD...: Checks that the command succeeds and prints nothing.
done_ok() {
	c "$@"
	equal "$*: status, output, error" "0||" "$STATUS|$OUT|$ERR"
}

# prints TEXT WORD...: Checks that the command succeeds and prints just TEXT.
prints() {
	c "${@:2}"
	equal "${*:2}" "$1" "$OUT" && equal "${*:2}: status and error" "0|" "$STATUS|$ERR"
}

# json FILTER VALUE WORD...: Checks that the command prints JSON from which the filter makes VALUE, and that -p prints the same on several
# lines.
json() {
	local filter=$1 value=$2 lines
	shift 2

	c -j "$@"
	equal "-j $*: status, lines, error" "0|1|" "$STATUS|$(wc -l <"$TMP/out")|$ERR" || return
	equal "-j $*: $filter" "$value" "$(jq -c "$filter" <<<"$OUT" 2>&1)" || return
	c -p "$@"
	equal "-p $*: $filter" "0|$value" "$STATUS|$(jq -c "$filter" <<<"$OUT" 2>&1)"
	lines=$(wc -l <"$TMP/out")
	[ "$OUT" = '[]' ] || at_least "-p $*: lines" 2 "$lines"
}

# usage TEXT WORD...: Checks a wrong command line: the status is 1, one line says what is wrong, and the kernel is not asked, so it is the
# same in a namespace that does not exist.
usage() {
	local text=$1
	shift

	c "$@"
	equal "$*: status and output" "1|" "$STATUS|$OUT" || return
	equal "$*: lines" 1 "$(wc -l <"$TMP/err")"
	[[ $ERR == "Error: "*"$text"*. ]] || fail "$*: said $ERR, not $text"
	ihmpctl -n no-such-namespace "$@" >/dev/null 2>&1
	equal "$*: status elsewhere" 1 $?
}

# refused TEXT WORD...: Checks that the kernel refuses the command: the status is 2, and one line has this text (a pattern of bash).
refused() {
	c "${@:2}"
	equal "${*:2}: status and output" "2|" "$STATUS|$OUT" || return
	# shellcheck disable=SC2053 # a pattern
	[[ $ERR == "Error: ihmp: "$1. ]] || fail "${*:2}: said '$ERR', not '$1'"
}

# tables: Prints everything that can be changed, without times that change by themselves.
tables() {
	local object

	for object in host path flow nat policy param; do
		ctl m -j "$object" show | jq -c 'walk(if type == "object" then del(.idle, ."expires-in") else . end)'
	done
}

stage() {
	topo_pair && TABLES=''
}

version() {
	stage && prints "ihmpctl $(ihmpctl -V | sed 's/ihmpctl //'), module $(ctl m -j param | jq -r .version)" version || return
	json '[(.ihmpctl | type), (.module | type)]' '["string","string"]' version
	for word in -V --version; do
		c "$word"
		[[ $STATUS$OUT =~ ^0ihmpctl\ [0-9.]+$ ]] || fail "$word: $STATUS $OUT"
	done
	usage 'was not expected' version 2
}

# Checks that words may be abbreviated, that options may stand anywhere, and that each command has help.
words() {
	local object file

	stage && one_host || return
	for object in 'h sh' 'ho l' 'host list' host 'host show'; do
		# shellcheck disable=SC2086 # words
		json 'map(.id)' '[1]' $object
	done
	equal "options between words" 1 "$(ihmpctl host -j show --netns "${NS[m]}" 1 | jq '.[0].id')"
	equal "-n with a path" 1 "$(ihmpctl -n "/run/netns/${NS[m]}" -j host | jq '.[0].id')"
	equal "-n: another namespace" '[]' "$(ctl c -j host)"
	equal "without -n" 1 "$(in_ns m ihmpctl host --json | jq '.[0].id')"
	usage '"p" is ambiguous' p
	usage '"s" is ambiguous as a verb' host s
	usage '"bogus" is not an object' bogus
	usage '"bogus" is not a verb' host bogus
	usage "unexpected argument '-z'" -z host
	usage "unexpected argument '--bogus'" host --bogus
	for object in host path flow policy param stats monitor version; do
		c "$object" help
		equal "$object help" "0|" "$STATUS|$ERR"
		[[ $OUT == "Usage: ihmpctl $object"* ]] || fail "$object help: $OUT"
		equal "help $object" "$OUT" "$(ihmpctl help "$object")"
	done
	for object in -h --help help; do
		c "$object"
		[[ $STATUS$OUT == "0Usage: ihmpctl "*-t,\ --timestamp* ]] || fail "$object: $STATUS $OUT"
	done
	ihmpctl -n no-such-namespace host >"$TMP/out" 2>"$TMP/err"
	equal "no such namespace: status" 2 $?
	equal "no such namespace" 'Error: cannot open network namespace "no-such-namespace": No such file or directory (os error 2).' "$(cat "$TMP/err")"
	ihmpctl -n /dev/null host >"$TMP/out" 2>"$TMP/err"
	equal "no namespace at all: status" 2 $?
	check "no namespace at all" has_line "$TMP/err" '^Error: cannot enter network namespace "/dev/null": '
	ctl m host >/dev/full 2>"$TMP/err"
	equal "output that cannot be written: status" 2 $?
	check "output that cannot be written" has_line "$TMP/err" '^Error: cannot write: '
	ihmpctl host -n >"$TMP/out" 2>"$TMP/err"
	equal "-n without a name" "1|" "$?|$(cat "$TMP/out")"
	check "why" has_line "$TMP/err" '^Error: a value is required'
}

# Checks the examples of the page: each command prints what follows it there.
examples() {
	local line command='' want='' count=0

	stage || return
	while IFS= read -r line; do
		case $line in
		'  # '*)
			example || return
			command=${line#  # } want='' count=$((count + 1))
			;;
		'  '*) want+=${line#  }$'\n' ;;
		esac
	done < <(sed -n '/^EXAMPLES$/,/^SEE ALSO$/p' "$SELFTESTS/../Documentation/ihmpctl.rst")
	example && at_least "examples" 5 "$count"
}

example() {
	[ -z "$command" ] || equal "$command" "${want%$'\n'}" "$(in_ns m sh -c "$command" 2>&1 | sed 's/ idle [0-9.]*s/ idle 0s/')"
}

nobody() {
	in_ns m setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all ihmpctl "$@" >"$TMP/out" 2>"$TMP/err"
	STATUS=$?
	OUT=$(cat "$TMP/out") ERR=$(cat "$TMP/err")
}

# Checks that reading needs no privilege, and that changing needs CAP_NET_ADMIN of the namespace.
unprivileged() {
	local line

	stage && introduce m 192.0.2.1 c 192.0.2.101 && done_ok policy add 10.0.0.0/8 never || return
	TABLES=$(tables)
	while read -r line; do
		# shellcheck disable=SC2086 # words
		nobody $line
		equal "$line by nobody" '2||Error: ihmp: not permitted: this takes CAP_NET_ADMIN in the network namespace; try it as root.' "$STATUS|$OUT|$ERR"
	done <<-END
		host add remote 198.51.100.7
		host set 1 name x
		host del 1
		host flush
		path add host 1 local 192.0.2.2
		path set host 1 local 192.0.2.1 preference 3
		path del host 1 local 192.0.2.1
		flow del tcp 192.0.2.1 1 192.0.2.101 2
		flow flush
		flow flush host 1
		policy add 10.0.0.0/8 auto
		policy set 10.0.0.0/8 auto
		policy del 10.0.0.0/8
		policy flush
		param set max-hosts 5
		stats flush
	END
	equal "the tables" "$TABLES" "$(tables)"
	while read -r line; do
		# shellcheck disable=SC2086 # words
		nobody -j $line
		equal "$line by nobody" '0|' "$STATUS|$ERR"
		# shellcheck disable=SC2086
		equal "$line, to nobody and to root" "$(ctl m -j $line | jq -c "$TIMELESS")" "$(jq -c "$TIMELESS" <<<"$OUT")"
	done <<-END
		host show
		host show 1
		path show
		flow show
		policy show
		param show
		stats show
		version
	END
	# Neither do events need a privilege.
	in_ns m setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all ihmpctl monitor >"$TMP/events" 2>&1 &
	defer stop_process $! KILL
	must "events to nobody" slowwait 10 listening "$TMP/events"
	nobody -n "/run/netns/${NS[m]}" host
	equal "another namespace by nobody" 2 "$STATUS"
	check "why" [ "${ERR%%:*}" = 'Error' ]
}

# Checks that the module can be unloaded while a monitor runs, and that every command says afterwards what is missing.
no_module() {
	local monitor word

	setup_ns m && prints 1 host add remote 198.51.100.7 local 192.0.2.1 || return
	HID[m]=1
	start m ihmpctl monitor >"$TMP/events" 2>"$TMP/events.err"
	monitor=$BG
	must "it listens" slowwait 10 listening "$TMP/events" || return
	must "the module is unloaded" module_unload || return
	defer module_load
	must "the monitor ends" slowwait 10 gone "$monitor" || return
	wait "$monitor"
	equal "its status" 2 $?
	check "its last words" has_line "$TMP/events.err" '^Error: .*\.$'
	for word in host path flow policy param stats monitor off 'host flush'; do
		# shellcheck disable=SC2086 # words
		refused 'the kernel module is not loaded; load it by "modprobe ihmp". If there is none for this kernel, as after an upgrade, build it ("make module"); with Secure Boot it has to be signed with a key that this machine trusts' $word
	done
	prints "$(ihmpctl -V), module not loaded" version
	json .module null version
	usage '"bogus" is not an object' bogus
}
TIMELESS='walk(if type == "object" then del(.idle) else . end)'

run_case "host show: by id, address and name, as text and JSON" host_show
run_case "-4 and -6" families
run_case "host set" host_set
run_case "host set, host add, path: all of it or nothing" host_set_whole
run_case "host del and flush" host_del
run_case "path" paths
run_case "flow" flows
run_case "policy" policy
run_case "param" param
run_case "stats" stats
run_case "monitor: host, path, limit and discovery events, with and without time stamps" monitor
run_case "version" version
run_case "words, options, help, namespaces, output" words
run_case "the examples of ihmpctl.rst" examples
run_case "without privileges: show works, nothing else does" unprivileged
run_case "without the module" no_module
suite_end
