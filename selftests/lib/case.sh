# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Cases and their results as KTAP (Documentation/dev-tools/ktap.rst in the kernel). The plan is the last line, so it shows that the
# suite has reached its end.
#
#   run_case "what it shows" FUNCTION [ARGUMENT...]   runs one case and prints one KTAP line
# In a case:
#   must WHAT CMD... || return    runs CMD; if CMD fails, the case has failed and ends
#   check WHAT CMD...             runs CMD; if CMD fails, the case has failed and goes on
#   equal WHAT WANT GOT           compares two values; if they differ, the case has failed
#   fail WHAT; skip WHY           a skip is printed and counted, never as a pass; with IHMP_NO_SKIP=1 it is a failure

echo "KTAP version 1"
CASES=0 FAILED=0 SKIPPED=0
CASE='' CASE_STATUS=''
CASE_MS=0

# note TEXT...: Prints a diagnostic line.
note() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

# result STATUS(ok|fail|skip) NAME [WHY]: Prints one KTAP line and counts it.
result() {
	local what="$2"

	CASES=$((CASES + 1))
	case $1 in
	ok) echo "ok $CASES - $what" ;;
	skip)
		if [ "${IHMP_NO_SKIP:-0}" = 1 ]; then
			FAILED=$((FAILED + 1))
			echo "not ok $CASES - $what # skipped: ${3:-}"
		else
			SKIPPED=$((SKIPPED + 1))
			echo "ok $CASES - $what # SKIP ${3:-}"
		fi
		;;
	*)
		FAILED=$((FAILED + 1))
		echo "not ok $CASES - $what"
		[ -z "${3:-}" ] || note "  $3"
		;;
	esac
}

fail() {
	CASE_STATUS=fail
	note "  ${CASE:-$SUITE}: $*"
	return 1
}

skip() {
	[ "$CASE_STATUS" = fail ] || CASE_STATUS="skip $*"
}

must() {
	local what=$1
	shift
	"$@" || fail "$what (not so: $*)"
}

check() {
	must "$@" || true
}

equal() {
	[ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}

# at_most WHAT LIMIT VALUE, at_least WHAT LIMIT VALUE: Compare whole numbers; the case fails if VALUE is beyond LIMIT.
at_most() {
	[ "${3:-x}" -le "$2" ] 2>/dev/null || fail "$1: wanted at most $2, got '${3:-}'"
}

at_least() {
	[ "${3:-x}" -ge "$2" ] 2>/dev/null || fail "$1: wanted at least $2, got '${3:-}'"
}

# run_cases PREFIX "EXPECTED NAMES" FUNCTION [ARGUMENT...]: Runs a function that gives several results. The function sets
# RESULTS["name"] to "ok" or to a text that says what is wrong, and each expected name becomes one KTAP line.
declare -A RESULTS=()
run_cases() {
	local prefix=$1 expected=$2 name
	shift 2

	CASE=$prefix
	wanted "$CASE" || return 0
	RESULTS=()
	scope "$@"
	for name in $expected; do
		outcome "$prefix: $name" "${RESULTS[$name]:-the scenario failed before}"
	done
	CASE=
}

# outcome NAME ok|TEXT: Prints one KTAP line; TEXT is the reason for a failure.
outcome() {
	if [ "$2" = ok ]; then
		result ok "$1 # $CASE_MS ms"
	else
		result fail "$1" "$2"
	fi
}

# wanted NAME: Is this case selected? IHMP_CASES is an extended regular expression; without it every case is.
wanted() {
	[ -z "${IHMP_CASES:-}" ] || [[ $1 =~ $IHMP_CASES ]]
}

# scope FUNCTION [ARGUMENT...]: Runs the function and then its deferred commands. The outcome is in CASE_STATUS and CASE_MS.
scope() {
	CASE_STATUS=''
	# shellcheck disable=SC2034 # what a condition saw when it looked last
	LAST_SEEN=''
	scrap
	in_defer_scope outcome_of "$@"
}

outcome_of() {
	local start=${EPOCHREALTIME/./}

	"$@" || [ -n "$CASE_STATUS" ] || fail "$1 gave up"
	CASE_MS=$(((${EPOCHREALTIME/./} - start) / 1000))
	[ "$CASE_STATUS" != fail ] || explain
}

run_case() {
	CASE=$1
	shift

	wanted "$CASE" || return 0
	scope "$@"
	case $CASE_STATUS in
	'') result ok "$CASE # $CASE_MS ms" ;;
	skip*) result skip "$CASE" "${CASE_STATUS#skip }" ;;
	*) result fail "$CASE" ;;
	esac
	CASE=
}

suite_end() {
	[ ! -e "$TMP/figures" ] || jq -s . "$TMP/figures" >"${IHMP_RESULTS:-.}/ihmp.json"
	echo "1..$CASES"
	# If every case was skipped, the suite is: KSFT_SKIP.
	[ "$CASES" = 0 ] || [ "$SKIPPED" != "$CASES" ] || exit 4
	exit $((FAILED > 0))
}

# figure_of CASE METRIC VALUE UNIT: Adds a figure about IHMP messages to ihmp.json, which the suite leaves in $IHMP_RESULTS.
figure_of() {
	jq -nc --arg case "$1" --arg metric "$2" --argjson value "$3" --arg unit "$4" \
		'{case: $case, metric: $metric, value: $value, unit: $unit, peer: "ihmp"}' >>"$TMP/figures"
}
