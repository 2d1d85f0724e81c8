#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the installed suites, as the kernel's run_kselftest.sh does its own: see selftests/Makefile, and ihmp/run_tests, which does it.

set -uo pipefail
BASE=$(cd "$(dirname "$0")" && pwd)
LIST=$BASE/kselftest-list.txt

usage() {
	cat <<-END
		Usage: $0 [OPTIONS]
		  -t | --test ihmp:TEST   run TEST, and no others but those that are named in the same way
		  -S | --skip ihmp:TEST   do not run TEST
		  -l | --list             list the tests that run when none is named
		  -h | --help             print this
		Needs root and the module: loaded, installed, or in IHMP_KO. Exit status: 0 when none failed, 4 when all were skipped.
	END
	exit "$1"
}

TESTS=() SKIP=()
while [ $# -gt 0 ]; do
	case $1 in
	-t | --test) TESTS+=("${2:?}") && shift ;;
	-S | --skip) SKIP+=("${2:?}") && shift ;;
	-l | --list) exec cat "$LIST" ;;
	-h | --help) usage 0 ;;
	*) usage 1 >&2 ;;
	esac
	shift
done
[ ${#TESTS[@]} -gt 0 ] || mapfile -t TESTS <"$LIST"

chosen=()
for test in "${TESTS[@]}"; do
	case " ${SKIP[*]} " in
	*" $test "*) ;;
	*) chosen+=("${test#ihmp:}") ;;
	esac
done
[ ${#chosen[@]} -gt 0 ] || usage 1 >&2
exec "$BASE/ihmp/run_tests" "${chosen[@]}"
