// SPDX-License-Identifier: GPL-2.0
/* Packets that came in behind an announced move and wait until it is applied. */
#include <linux/skbuff.h>
#include <net/dst.h>
#include <net/netfilter/nf_conntrack.h>

#include "internal.h"

static bool ihmp_is_ipv6(const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IPV6);
}

static void ihmp_hold_deliver(struct ihmp_net *in, struct sk_buff *skb, bool may_hold)
{
	bool v6 = ihmp_is_ipv6(skb);

	switch (ihmp_rs_hook(in->state, skb, NULL, v6 ? IHMP_HOOK_IN6 : IHMP_HOOK_IN4, may_hold)) {
	case IHMP_ACCEPT:
		in->okfn[v6](in->net, NULL, skb);
		break;
	case IHMP_DROP:
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
	}
}

static void ihmp_hold_run(struct ihmp_net *in, bool may_hold)
{
	struct sk_buff_head queue;
	struct net_device *dev;
	struct sk_buff *skb;

	__skb_queue_head_init(&queue);
	spin_lock_bh(&in->held.lock);
	skb_queue_splice_init(&in->held, &queue);
	spin_unlock_bh(&in->held.lock);
	local_bh_disable();
	rcu_read_lock();
	while ((skb = __skb_dequeue(&queue))) {
		dev = skb->dev;
		ihmp_hold_deliver(in, skb, may_hold);
		dev_put(dev);
	}
	rcu_read_unlock();
	local_bh_enable();
}

static void ihmp_hold_expire(struct work_struct *work)
{
	ihmp_hold_run(container_of(work, struct ihmp_net, release.work), false);
}

/*
 * Conntrack confirms an entry at the end of LOCAL_IN. For IPv4 that may be
 * behind us, where a packet that waited does not come by. Not by a symbol of
 * conntrack's, which may be absent.
 */
static bool ihmp_confirm(struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	enum ip_conntrack_info info;
	const struct nf_conn *ct = nf_ct_get(skb, &info);
	const struct nf_ct_hook *hook;

	if (!ct || nf_ct_is_confirmed(ct))
		return true;
	hook = rcu_dereference(nf_ct_hook);
	if (hook)
		return hook->confirm(skb) == NF_ACCEPT;
	nf_reset_ct(skb);
#endif
	return true;
}

/* Takes the packet when there is room; it waits at most ms milliseconds. */
bool ihmp_hold(struct ihmp_net *in, struct sk_buff *skb, u32 ms, u32 most)
{
	if (skb_queue_len_lockless(&in->held) >= most)
		return false;
	if (!skb_dst_force(skb)) {
		/* Its route is going away with its device. */
		kfree_skb(skb);
		return true;
	}
	if (!ihmp_confirm(skb)) {
		/* Counted by conntrack. */
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
		return true;
	}
	/* Early demultiplexing may have lent a socket without a reference. */
	skb_orphan(skb);
	dev_hold(skb->dev);
	skb_queue_tail(&in->held, skb);
	queue_delayed_work(system_highpri_wq, &in->release, msecs_to_jiffies(ms));
	return true;
}

/* A move was applied: look at the packets again. */
void ihmp_hold_release(struct ihmp_net *in)
{
	if (!skb_queue_empty_lockless(&in->held))
		ihmp_hold_run(in, true);
}

void ihmp_hold_init(struct ihmp_net *in)
{
	skb_queue_head_init(&in->held);
	INIT_DELAYED_WORK(&in->release, ihmp_hold_expire);
}

void ihmp_hold_exit(struct ihmp_net *in)
{
	struct net_device *dev;
	struct sk_buff *skb;

	disable_delayed_work_sync(&in->release);
	while ((skb = skb_dequeue(&in->held))) {
		dev = skb->dev;
		kfree_skb(skb);
		dev_put(dev);
	}
}
