#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests the ways in which kselftest runs its own suites: `make run_tests`, and an installed copy without the checkout.

. "$(dirname "$0")/lib.sh"

# copy: Installs the suites into $TMP/copy.
copy() {
	make -s -C "$SELFTESTS" install INSTALL_PATH="$TMP/copy" || fail "make install"
}

# without_tree CMD...: Runs CMD where this checkout cannot be seen.
without_tree() {
	# shellcheck disable=SC2016 # for the inner shell
	env -u IHMP_SRC -u IHMP_HERE PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin IHMP_RESULTS="$TMP/results" \
		unshare --mount --propagation private sh -c 'mount -t tmpfs none "$1" && cd / && shift && exec "$@"' sh "$SELFTESTS/.." "$@"
}

# printed STATUS CMD...: Checks that CMD ends with this status. Its output is in $TMP/out.
printed() {
	local want=$1 got
	shift

	"$@" >"$TMP/out" 2>&1
	got=$?
	[ "$got" = "$want" ] || note "$(tail -n 20 "$TMP/out")"
	equal "status of $*" "$want" "$got"
}

run_here() {
	IHMP_CASES='nothing of this name' printed 0 make -s -C "$SELFTESTS" run_tests TESTS="basic nl_spec"
	equal "first line" "KTAP version 1" "$(head -n 1 "$TMP/out")"
	equal "plan" "1..2" "$(sed -n 2p "$TMP/out")"
	check "basic" has_line "$TMP/out" '^ok 1 selftests: ihmp: ihmp_basic.sh$'
	check "nl_spec" has_line "$TMP/out" '^ok 2 selftests: ihmp: nl_spec.py'
	printed 2 make -s -C "$SELFTESTS" run_tests TESTS="no-such"
	check "one that is not there" has_line "$TMP/out" '^not ok 1 selftests: ihmp: ihmp_no-such.sh'
	printed 2 make -s -C "$SELFTESTS" install
	check "install says what is missing" grep -q INSTALL_PATH "$TMP/out"
}

run_copy() {
	copy || return
	printed 0 without_tree "$TMP/copy/run_kselftest.sh" --list
	equal "what runs" "$("$SELFTESTS/run_tests" --list)" "$(sed -n 's/^ihmp://p' "$TMP/out")"
	IHMP_CASES='the examples of ihmpctl.rst|host-new: both families' printed 0 without_tree "$TMP/copy/run_kselftest.sh" \
		-t ihmp:ihmp_ctl.sh -t ihmp:ihmp_basic.sh -t ihmp:nl_spec.py -S ihmp:ihmp_basic.sh
	equal "plan" "1..2" "$(sed -n 2p "$TMP/out")"
	check "ctl" has_line "$TMP/out" '^ok 1 selftests: ihmp: ihmp_ctl.sh$'
	check "a case of it" has_line "$TMP/out" '^# ok [0-9]+ .*examples'
	check "nl_spec" has_line "$TMP/out" '^ok 2 selftests: ihmp: nl_spec.py'
	printed 1 without_tree "$TMP/copy/run_kselftest.sh" --no-such-option
}

if [ ! -e "$SELFTESTS/Makefile" ] || ! command -v make >/dev/null; then
	echo "1..0 # SKIP this is an installed copy, or there is no make"
	exit 4
fi
run_case "make run_tests" run_here
run_case "an installed copy without the checkout" run_copy
suite_end
