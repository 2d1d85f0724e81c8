# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every suite has; sourced first. A suite ends with `suite_end`. Each part is a file of lib/, which says what is in it:
#
#   case.sh       cases and their KTAP lines
#   defer.sh      deferred cleaning
#   wait.sh       time, and waiting for conditions
#   process.sh    programs that run beside a case
#   namespace.sh  network namespaces and their cables
#   module.sh     the module, what it shows and counts, hosts by hand
#   agent.sh      the agent
#   capture.sh    what tcpdump sees
#   traffic.sh    traffic and its judgement
#
# What has a name of the kernel's own selftests/net/lib.sh takes the same arguments in the same units, and gives the same result.
#
# Starting a program is what a case mostly costs. What several cases do a hundred times is done by the shell, and a topology
# is planned and then built (see namespace.sh).
# An interface of a host namespace is called eth0, wifi0, usb0 or lan0: they are veth, and ihmpd.toml names those that count.

set -u
export LC_ALL=C

# The suites change settings of the first network namespace, and load and unload the module.
if [ "${IHMP_HERE:-}" != 1 ]; then
	echo "$0 changes the network settings of this machine. Run it in a guest: selftests/vm/run --kernel uml $0" >&2
	echo "To run it here, on a machine that may be changed: make -C selftests run_tests, or set IHMP_HERE=1" >&2
	exit 2
fi

SELFTESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SUITE=$(basename "$0" .sh)
TMP=$(mktemp -d "${TMPDIR:-/tmp}/$SUITE.XXXXXX")
TAG=${TMP##*.}

# In the time-travel guest computing takes no time, so limits can be sharp.
if grep -qs time-travel /proc/cmdline; then
	TRAVEL=1 SLACK_MS=${SLACK_MS:-25}
else
	TRAVEL=0 SLACK_MS=${SLACK_MS:-500}
fi
export TRAVEL SLACK_MS

. "$SELFTESTS/lib/case.sh"
. "$SELFTESTS/lib/defer.sh"
. "$SELFTESTS/lib/wait.sh"
. "$SELFTESTS/lib/process.sh"
. "$SELFTESTS/lib/namespace.sh"
. "$SELFTESTS/lib/module.sh"
. "$SELFTESTS/lib/agent.sh"
. "$SELFTESTS/lib/capture.sh"
. "$SELFTESTS/lib/traffic.sh"

at_exit() {
	local status=$?

	trap - EXIT
	run_deferred 0
	[ -z "$STANDBY" ] || stop_process "$STANDBY" KILL
	rm -rf "$TMP"
	exit "$status"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
