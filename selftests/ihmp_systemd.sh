#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests the agent as a service of systemd, installed as README says. systemd is process 1 of a PID namespace in the network namespace of m,
# with mounts and cgroups of its own. The agent of c is started as in other suites.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

UNIT=ihmpd.service
export TREE=$SELFTESTS/..
# Units of systemd's start that would set up the guest, which is set up already, or that only take long.
MASKED=(ldconfig.service systemd-sysctl.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
	systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup.service
	systemd-sysusers.service systemd-update-done.service systemd-journal-catalog-update.service timers.target)
# The process ID of that systemd, outside of its namespace.
MANAGER=

# boot: Starts systemd for m, and waits until it is up.
boot() {
	local group=/sys/fs/cgroup/$TAG

	mkdir -p "$group" /etc/ihmp && defer rm -rf /etc/ihmp /var/lib/ihmp || return
	cp "$SELFTESTS/ihmpd.toml" /etc/ihmp/ihmpd.toml || return
	defer find "$group" -depth -type d -exec rmdir {} \;
	# shellcheck disable=SC2016 # for the inner shell
	start m bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' bash "$group" \
		unshare --mount --propagation private --pid --fork --kill-child=KILL --cgroup --ipc --uts \
		bash -c 'process_1 "$@"' bash "${MASKED[@]}" >"$TMP/boot.log" 2>&1
	must "process 1" slowwait 30 has_child "$BG" || { note "$(cat "$TMP/boot.log")" && return 1; }
	MANAGER=$(pgrep -P "$BG")
	must "systemd listens" slowwait 120 test -S "/proc/$MANAGER/root/run/systemd/private" || return
	must "systemd is up" slowwait 120 manager_is running || { note "$(cat "$TMP/boot.log")" && return 1; }
}

has_child() {
	[ -n "$(pgrep -P "$1")" ]
}

manager_is() {
	[ "$(manage systemctl is-system-running)" = "$1" ]
}

# process_1 MASKED...: Sets up the mounts, and becomes systemd.
process_1() {
	local unit

	mount -t proc proc /proc
	mount -t tmpfs -o mode=755 tmpfs /run
	mount -t sysfs sysfs /sys
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mount -t tmpfs -o mode=755 tmpfs /var/log
	mount -t tmpfs -o mode=755 tmpfs /etc/systemd
	mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin
	mkdir /etc/systemd/system
	for unit in "$@"; do
		ln -s /dev/null "/etc/systemd/system/$unit"
	done
	install -m 755 "$TREE"/build/bin/ihmpctl "$TREE"/build/bin/ihmpd /usr/local/sbin/
	install -m 644 "$TREE/ctl/ihmpd/ihmpd.service" /etc/systemd/system/
	exec env -i container=ihmp PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/usr/lib/systemd/systemd --unit=basic.target </dev/null
}
export -f process_1

# manage CMD...: Runs CMD in the namespaces of systemd.
manage() {
	nsenter -t "$MANAGER" -m -p -r -w "$@"
}

# unit PROPERTY: Prints a property of the unit.
unit() {
	manage systemctl show --value -p "$1" "$UNIT"
}

unit_is() {
	[ "$(unit "$1")" = "$2" ]
}

main_pid() {
	unit MainPID
}

# status FIELD: Prints a field of the running agent's /proc/PID/status.
status() {
	manage cat "/proc/$(main_pid)/status" | awk -v field="$1:" '$1 == field { print $2 }'
}

agent_is() {
	manage ihmpctl -j agent | jq -e "$1" >/dev/null
}

# configure LINE...: Writes the configuration of m.
configure() {
	printf '%s\n' "$@" >/etc/ihmp/ihmpd.toml
	with_links /etc/ihmp/ihmpd.toml
}

# stage FAMILY: Builds the testbed, starts systemd with the agent of m, the agent of c, and traffic that must lose nothing.
stage() {
	FAMILIES=$1 topo_testbed delay 10ms || return
	M=${ADDR[m.eth0.$1]} C=${ADDR[c.eth0.$1]} NEW=${ADDR[m.wifi0.$1]}
	boot && agent_start c && must "enabled and started" quiet manage systemctl enable --now "$UNIT" || return
	serve c "$1" tcp:5000 && traffic m "$1" "$C" tcp:5000,rate=20000 || return
	must "both hosts know each other" hosts_up m "$C" c "$M" || return
	must "the flow" slowwait 10 figure_at_least m flows 1 || return
	HOST=$(host_json m "$C" | jq .id)
}

# go FROM TO OLD NEW METRIC: Makes a soft move of m, and waits until c has heard of it.
go() {
	join m "$2" "$5" || return
	must "c hears of the new address" slowwait 10 host_is c "$M" "any(.addr[]; .address == \"$4\" and .set == \"active\")" || return
	must "traffic moves" goes_on m || return
	leave m "$1"
	must "goes on after the move" goes_on m 20 || return
	must "c sends to the new address" slowwait 10 path_is c "$M" "$C" "$4"
}

# finish: Checks that the host entry is the one from before, that it still moves, there and back, and that nothing was lost.
finish() {
	must "the module's hosts are adopted" hosts_up m "$C" c "$M" || return
	equal "the host is the same" "$HOST" "$(host_json m "$C" | jq .id)"
	equal "hosts at m" 1 "$(figure m hosts)"
	go eth0 wifi0 "$M" "$NEW" 50 && go wifi0 eth0 "$NEW" "$M" 20 || return
	traffic_end m && serve_end c && judge_ok m c soft 0 0 1000 "$C"
}

# explained FUNCTION [ARGUMENT...]: Runs the function, and prints the journal if it fails.
explained() {
	"$@" || [ -n "$CASE_STATUS" ] || fail "$1 gave up"
	[ "$CASE_STATUS" != fail ] || note "$(manage journalctl --no-pager -o short-monotonic -n 30 -u "$UNIT" 2>&1)"
}

# started: Checks that the unit becomes active when the agent is ready, and not before.
started() {
	FAMILIES=4 topo_pair && boot || return
	manage mkfifo /run/go && quiet manage systemctl edit --runtime --stdin --drop-in=wait "$UNIT" <<-'END' || return
		[Service]
		ExecStart=
		ExecStart=/bin/sh -c 'read _ </run/go; exec /usr/local/sbin/ihmpd'
	END
	manage systemctl start --no-block "$UNIT" || return
	must "its process" slowwait 30 not unit_is MainPID 0 || return
	# The process waits until a line is written to the fifo.
	must "it is being started" slowwait 30 unit_is ActiveState activating || return
	manage sh -c 'echo >/run/go'
	must "it is active" slowwait 30 unit_is ActiveState active || return
	check "it was ready" quiet manage ihmpctl agent
	equal "restarts" 0 "$(unit NRestarts)"
	check "it said so" journal 'ihmpd ready'
}

# journal PATTERN: Has the agent logged this?
journal() {
	manage journalctl --no-pager -o cat -u "$UNIT" | grep -qE -- "$1"
}

# confined FAMILY: Checks what the running agent may do, during a move, and that nothing of it is left when it is stopped.
confined() {
	local M C NEW HOST field

	stage "$1" || return
	for field in CapEff CapPrm CapBnd; do
		equal "$field is CAP_NET_ADMIN" 0000000000001000 "$(status "$field")"
	done
	equal "CapInh" 0000000000000000 "$(status CapInh)"
	equal "NoNewPrivs" 1 "$(status NoNewPrivs)"
	equal "a filter of system calls" 2 "$(status Seccomp)"
	equal "the folder for keys" "700 0" "$(manage stat -c '%a %u' /var/lib/ihmp)"
	equal "files that others can read there" "" "$(manage find /var/lib/ihmp -type f -perm /077)"
	check "a mount namespace of its own" manage sh -c "[ \"\$(readlink /proc/1/ns/mnt)\" != \"\$(readlink /proc/$(main_pid)/ns/mnt)\" ]"
	finish || return
	check "nothing was forbidden" not journal 'not permitted|denied|send-failed'
	equal "restarts" 0 "$(unit NRestarts)"
	must "it stops" quiet manage systemctl stop "$UNIT" || return
	equal "how it stopped" "inactive success" "$(unit ActiveState) $(unit Result)"
	check "no process" not quiet manage pgrep -x ihmpd
	check "the module's host stays" host_up m "$C"
}

# reloaded: Checks that a good file takes effect, that systemctl fails with a bad one and nothing changes, and that the process stays.
reloaded() {
	local M C NEW HOST pid

	stage 4 || return
	pid=$(main_pid)
	configure '[security]' 'mode = "require-known"'
	must "a good file" quiet manage systemctl reload "$UNIT" || return
	must "it counts" slowwait 30 agent_is '.mode == "require-known"' || return
	must "it is active" slowwait 30 unit_is ActiveState active || return
	configure '[security]' 'mode = "unsigned"' '[peers]' 'max = 0'
	check "a bad file" not quiet manage systemctl reload "$UNIT"
	check "it says why" slowwait 10 journal 'ihmpd.toml:4: max is 0'
	must "it is still active" slowwait 30 unit_is ActiveState active || return
	check "what was before counts" agent_is '.mode == "require-known"'
	configure
	must "an empty file" quiet manage systemctl reload "$UNIT" || return
	must "it counts as well" slowwait 30 agent_is '.mode == "first-use"' || return
	equal "process" "$pid" "$(main_pid)"
	equal "restarts" 0 "$(unit NRestarts)"
	finish
}

# revived SIGNAL RESULT: Checks that an agent that hangs or dies is started again and adopts the hosts.
revived() {
	local M C NEW HOST pid

	stage 4 || return
	pid=$(main_pid)
	must "the signal" manage kill "-$1" "$pid" || return
	# The watchdog needs half a minute, and systemd waits a second before the restart.
	must "it is started again" slowwait 60 restarted "$pid" || return
	check "for this reason" slowwait 10 journal "Failed with result '$2'"
	equal "restarts" 1 "$(unit NRestarts)"
	equal "processes" 1 "$(manage pgrep -c -x ihmpd)"
	must "goes on" goes_on m 20 || return
	finish
}

restarted() {
	! unit_is MainPID "$1" && ! unit_is MainPID 0 && unit_is ActiveState active
}

run_case "it is active when it is ready, and not before" explained started
for family in 4 6; do
	run_case "IPv$family: it may do what it needs, and leaves no process" explained confined $family
done
run_case "reloaded: a good file counts, a bad one is refused" explained reloaded
run_case "an agent that hangs is started again" explained revived STOP watchdog
run_case "an agent that is killed is started again" explained revived KILL signal
suite_end
