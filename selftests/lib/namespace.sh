# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Network namespaces and the veth pairs between them. These functions of the kernel's selftests/net/lib.sh mean the same here:
#
#   setup_ns NAME...         makes a namespace for each name, with lo up and without reverse path filter. $NAME is the namespace's
#                            name for ip. A namespace that exists already is made anew. Returns 4 (KSFT_SKIP) if one cannot be made
#   cleanup_ns NAMESPACE...  ends the programs in these namespaces ($NAME) and removes them. Returns 1 if one cannot be removed
#   cleanup_all_ns           removes all namespaces of NS_LIST
#
# Each namespace is a host, and all other functions take the host's NAME. NS[NAME] is its namespace while it exists. A namespace is
# removed when the scope ends that made it.
#
# setup_ns, cable, batch, sysctl_in and netem act at once, but between plan and built they only collect what is to be done. Then
# `built` starts one program for all namespaces and veth pairs, and after that one for each namespace and kind: first sysctl, then ip,
# then tc. The same holds for functions of topo.sh that use them.

declare -A NS=() HARDWARE=()
declare -A PLAN=() PLAN_SYSCTL=() PLAN_TC=()
NS_LIST=()
PLAN_NETS='' PLANNED=0 CABLES=0

# New namespaces inherit these settings of the first one.
echo 1 >/proc/sys/net/core/devconf_inherit_init_net
for setting in ipv6/conf/{all,default}/{accept_dad,router_solicitations} ipv4/conf/{all,default}/rp_filter; do
	echo 0 >"/proc/sys/net/$setting"
done
echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries

plan() {
	PLANNED=1
}

built() {
	local status=0

	build || status=1
	scrap
	return $status
}

build() {
	local name

	[ -z "$PLAN_NETS" ] || ip -batch - <<<"$PLAN_NETS" || return
	for name in "${!PLAN_SYSCTL[@]}"; do
		in_ns "$name" sysctl -qp - <<<"${PLAN_SYSCTL[$name]}" || return
	done
	for name in "${!PLAN[@]}"; do
		ip -n "${NS[$name]}" -batch - <<<"${PLAN[$name]}" || return
	done
	for name in "${!PLAN_TC[@]}"; do
		tc -n "${NS[$name]}" -batch - <<<"${PLAN_TC[$name]}" || return
	done
}

# scrap: Empties the plan.
scrap() {
	PLAN=() PLAN_SYSCTL=() PLAN_TC=() PLAN_NETS='' PLANNED=0
}

done_now() {
	[ $PLANNED = 1 ] || built
}

setup_ns() {
	# setup_ns assigns to a variable of each name, so no namespace can have the name of this local variable.
	local ns_name

	for ns_name in "$@"; do
		[ "$ns_name" != ns_name ] || { fail "a namespace cannot be called ns_name" || return; }
		cleanup_ns "${NS[$ns_name]:-}" || return
		printf -v "$ns_name" %s "$ns_name-$TAG"
		NS[$ns_name]=${!ns_name}
		NS_LIST+=("${!ns_name}")
		PLAN_NETS+="netns add ${!ns_name}"$'\n'
		PLAN[$ns_name]+=$'link set lo up\n'
	done
	defer cleanup_ns "${@/%/-$TAG}"
	done_now || return 4
}

cleanup_ns() {
	local name namespace lines='' left=() kept=0

	for namespace in "$@"; do
		if [ -n "$namespace" ] && [ -e "/run/netns/$namespace" ]; then
			end_all "$namespace"
			lines+="netns del $namespace"$'\n'
		fi
	done
	[ -z "$lines" ] || ip -force -batch - <<<"$lines"
	for name in "${!NS[@]}"; do
		[[ " $* " == *" ${NS[$name]} "* ]] || continue
		[ ! -e "$TMP/state.$name" ] || rm -rf "$TMP/state.$name"
		unset "NS[$name]"
	done
	for namespace in "${NS_LIST[@]}"; do
		if [[ " $* " == *" $namespace "* ]]; then
			[ -e "/run/netns/$namespace" ] || continue
			echo "Warn: Failed to remove namespace $namespace" >&2
			kept=1
		fi
		left+=("$namespace")
	done
	NS_LIST=("${left[@]}")
	return $kept
}

cleanup_all_ns() {
	cleanup_ns "${NS_LIST[@]}"
}

# cable A INTERFACE_A B INTERFACE_B: Makes a veth pair between two hosts. HARDWARE[NAME.INTERFACE] is the link address of an end.
cable() {
	CABLES=$((CABLES + 1))
	printf -v "HARDWARE[$1.$2]" '02:00:5e:0a:%02x:%02x' $((CABLES / 256)) $((CABLES % 256))
	printf -v "HARDWARE[$3.$4]" '02:00:5e:0b:%02x:%02x' $((CABLES / 256)) $((CABLES % 256))
	PLAN_NETS+="link add $2 address ${HARDWARE[$1.$2]} netns ${NS[$1]} type veth "
	PLAN_NETS+="peer name $4 address ${HARDWARE[$3.$4]} netns ${NS[$3]}"$'\n'
	done_now
}

# bracket ADDRESS: Prints the address as it is written before a port; an IPv6 address gets brackets.
bracket() {
	[ "${1//:/}" = "$1" ] && echo "$1" || echo "[$1]"
}

# netem NAME INTERFACE PARAMETER...: Applies netem to packets that the host sends by the interface from now on.
netem() {
	PLAN_TC[$1]+="qdisc replace dev $2 root netem ${*:3}"$'\n'
	done_now
}

# in_ns NAME CMD...: Runs CMD in the host's network namespace; all other namespaces stay the caller's.
in_ns() {
	nsenter --net="/run/netns/${NS[$1]}" "${@:2}"
}

# ipn NAME ARGUMENT...: Runs ip in the namespace of a host.
ipn() {
	ip -n "${NS[$1]}" "${@:2}"
}

# batch NAME: Runs the ip commands on standard input; comments and empty lines are allowed.
batch() {
	local lines

	IFS= read -rd '' lines
	PLAN[$1]+=$lines
	done_now
}

# sysctl_in NAME KEY=VALUE...: Sets sysctls in the namespace of a host.
sysctl_in() {
	local setting

	for setting in "${@:2}"; do
		PLAN_SYSCTL[$1]+=$setting$'\n'
	done
	done_now
}
