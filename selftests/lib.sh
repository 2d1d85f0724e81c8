# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The base of every suite; a suite sources this file first and ends with `suite_end`. The parts are the files of lib/:
#
#   case.sh       cases and their KTAP lines
#   defer.sh      commands that clean up when a case ends
#   wait.sh       time, and waiting for conditions
#   process.sh    programs that run beside a case
#   namespace.sh  network namespaces and the veth pairs between them
#   module.sh     the module: loading it, its counters, hosts that are configured without an agent
#   agent.sh      the agent, ihmpd
#   capture.sh    captures by tcpdump
#   traffic.sh    traffic, and whether it survived
#
# A function that has the name of one in the kernel's selftests/net/lib.sh takes the same arguments in the same units, and gives the
# same result.
#
# Most of the time of a case goes into starting programs. So the shell itself does what several cases need a hundred times, and
# a topology is planned first and built afterwards (see namespace.sh).
#
# The interfaces of hosts are called eth0, wifi0, usb0 or lan0. They are veth devices, which ihmpd ignores by default, so ihmpd.toml
# lists them.

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

# In the time-travel guest computing takes no time, so the limits can be tight.
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
