// SPDX-License-Identifier: GPL-2.0
/*
 * Whose memory it is. What a command makes is charged to the memory cgroup of
 * who gives it, and what a packet makes to that of its socket: in a softirq
 * `current` is whoever was interrupted.
 */
#include <linux/sched/mm.h>
#include <net/sock.h>

#include "internal.h"

/*
 * From here to ihmp_charge_end(), in the same context, accounted allocations
 * are charged to the memory cgroup of the socket, which the caller keeps. One
 * without a cgroup changes nothing: in a task it is that of the task, in a
 * softirq that of nobody.
 */
void *ihmp_charge(const struct sock *sk)
{
	return set_active_memcg(sk_fullsock(sk) ? mem_cgroup_from_sk(sk) : NULL);
}

void ihmp_charge_end(void *before)
{
	set_active_memcg(before);
}
