// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that came in behind the announcement of a move and wait until the move
 * is applied: each belongs to the host that was named, see moves.h.
 */
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/dst.h>
#include <net/netfilter/nf_conntrack.h>

#include "moves.h"

struct ihmp_held {
	struct list_head list;
	struct sk_buff *skb;
	ihmp_okfn okfn;			/* what the hook's caller does next */
	u64 until;
	u8 source[IHMP_ADDR_KEY];
};

/* Has the work look at the packets then, if it does not do so earlier. */
static void ihmp_held_arm(struct ihmp_net *in, u64 until)
{
	u64 now = get_jiffies_64();

	if (delayed_work_pending(&in->moves.release) && in->moves.release_at <= until)
		return;
	in->moves.release_at = until;
	mod_delayed_work(system_highpri_wq, &in->moves.release, until > now ? until - now : 0);
}

static void ihmp_held_add(struct ihmp_net *in, struct ihmp_mover *mover, struct ihmp_held *held)
{
	dev_hold(held->skb->dev);
	if (list_empty(&mover->held))
		list_add_tail(&mover->waiting, &in->moves.waiting);
	list_add_tail(&held->list, &mover->held);
	mover->packets++;
	mover->octets += held->skb->truesize;
	WRITE_ONCE(in->moves.held_packets, in->moves.held_packets + 1);
	WRITE_ONCE(in->moves.held_octets, in->moves.held_octets + held->skb->truesize);
}

/* The mover is to be put. */
static void ihmp_held_take(struct ihmp_net *in, struct ihmp_mover *mover, struct ihmp_held *held,
			   struct list_head *to)
{
	list_move_tail(&held->list, to);
	if (list_empty(&mover->held))
		list_del(&mover->waiting);
	mover->packets--;
	mover->octets -= held->skb->truesize;
	WRITE_ONCE(in->moves.held_packets, in->moves.held_packets - 1);
	WRITE_ONCE(in->moves.held_octets, in->moves.held_octets - held->skb->truesize);
}

static void ihmp_held_free(struct ihmp_held *held, struct net_device *dev)
{
	dev_put(dev);
	kfree(held);
}

static void ihmp_held_deliver(struct ihmp_net *in, struct ihmp_held *held, bool may_wait)
{
	struct nf_hook_state state = { .net = in->net, .okfn = held->okfn };
	struct sk_buff *skb = held->skb;
	struct net_device *dev = skb->dev;
	bool v6 = skb->protocol == htons(ETH_P_IPV6);

	/* The transport would look in the namespace of the device. */
	if (!net_eq(dev_net(dev), in->net)) {
		ihmp_rs_held_lost(in->state);
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
		ihmp_held_free(held, dev);
		return;
	}
	local_bh_disable();
	rcu_read_lock();
	switch (ihmp_rs_hook(in->state, skb, NULL, v6 ? IHMP_HOOK_IN6 : IHMP_HOOK_IN4,
			     may_wait ? &state : NULL)) {
	case IHMP_ACCEPT:
		held->okfn(in->net, NULL, skb);
		break;
	case IHMP_DROP:
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
	}
	rcu_read_unlock();
	local_bh_enable();
	ihmp_held_free(held, dev);
}

static void ihmp_held_deliver_all(struct ihmp_net *in, struct list_head *list, bool may_wait)
{
	struct ihmp_held *held, *next;

	list_for_each_entry_safe(held, next, list, list)
		ihmp_held_deliver(in, held, may_wait);
}

/* The time of some is over: they go on as without us. */
static void ihmp_held_expire(struct work_struct *work)
{
	struct ihmp_net *in = container_of(work, struct ihmp_net, moves.release.work);
	u64 now = get_jiffies_64(), next = U64_MAX;
	struct ihmp_mover *mover, *more;
	struct ihmp_held *held, *other;
	LIST_HEAD(due);

	xa_lock_bh(&in->moves.movers);
	list_for_each_entry_safe(mover, more, &in->moves.waiting, waiting) {
		list_for_each_entry_safe(held, other, &mover->held, list) {
			if (held->until <= now)
				ihmp_held_take(in, mover, held, &due);
			else
				next = min(next, held->until);
		}
		ihmp_mover_put(in, mover);
	}
	if (next != U64_MAX)
		ihmp_held_arm(in, next);
	xa_unlock_bh(&in->moves.movers);
	ihmp_held_deliver_all(in, &due, false);
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

static bool ihmp_net_has_room(const struct ihmp_net *in, const struct sk_buff *skb)
{
	return READ_ONCE(in->moves.held_packets) < IHMP_HELD_MOST &&
	       READ_ONCE(in->moves.held_octets) + skb->truesize <= IHMP_HELD_OCTETS;
}

static bool ihmp_mover_has_room(const struct ihmp_mover *mover, const struct sk_buff *skb)
{
	return mover->packets < IHMP_HELD_BY_HOST &&
	       mover->octets + skb->truesize <= IHMP_HELD_OCTETS_BY_HOST;
}

/* Lets the packet wait, if there is room. */
static bool ihmp_hold_add(struct ihmp_net *in, struct ihmp_held *held, u32 host)
{
	struct ihmp_announced *announced;
	struct ihmp_mover *mover;
	bool room;

	xa_lock_bh(&in->moves.movers);
	mover = ihmp_mover_get(in, host);
	room = mover && ihmp_net_has_room(in, held->skb) && ihmp_mover_has_room(mover, held->skb);
	if (room) {
		/* If the move was applied just now, nobody else looks at the packet again. */
		announced = ihmp_mover_find(mover, held->source);
		if (announced && announced->applied && !announced->natted)
			held->until = 0;
		ihmp_held_add(in, mover, held);
		ihmp_held_arm(in, held->until);
	}
	if (mover)
		ihmp_mover_put(in, mover);
	xa_unlock_bh(&in->moves.movers);
	return room;
}

/*
 * Takes the packet when there is room; it waits until then, in jiffies, or until
 * a move of the host to source is applied. Then it goes on by the caller of the
 * hook in which it is.
 */
u32 ihmp_hold(struct ihmp_net *in, struct sk_buff *skb, const struct nf_hook_state *state, const u8 *source,
	       u32 host, u64 until)
{
	struct ihmp_held *held;

	if (!ihmp_net_has_room(in, skb))
		return IHMP_HELD_NOT;
	held = kmalloc(sizeof(*held), IHMP_HOLD_GFP);
	if (!held)
		return IHMP_HELD_NOT;
	/* Its route may be going away with its device. */
	if (!skb_dst_force(skb) || !ihmp_confirm(skb)) {
		kfree(held);
		return IHMP_HELD_LOST;
	}
	/* Early demultiplexing may have lent a socket without a reference. */
	skb_orphan(skb);
	held->skb = skb;
	held->okfn = state->okfn;
	held->until = until;
	memcpy(held->source, source, IHMP_ADDR_KEY);
	if (ihmp_hold_add(in, held, host))
		return IHMP_HELD;
	kfree(held);
	return IHMP_HELD_NOT;
}

static void ihmp_held_take_from(struct ihmp_net *in, u32 host, const u8 *source, struct list_head *to)
{
	struct ihmp_mover *mover = xa_load(&in->moves.movers, host);
	struct ihmp_held *held, *next;

	if (!mover)
		return;
	list_for_each_entry_safe(held, next, &mover->held, list) {
		if (!memcmp(held->source, source, IHMP_ADDR_KEY))
			ihmp_held_take(in, mover, held, to);
	}
	ihmp_mover_put(in, mover);
}

/*
 * The move of a host to source was applied: looks at the packets from there
 * again. Those of a NAT may be of this host though another one was named.
 */
void ihmp_hold_release(struct ihmp_net *in, u32 host, const u8 *source)
{
	struct ihmp_announced *announced;
	struct rhlist_head *list, *at;
	LIST_HEAD(ready);

	if (!READ_ONCE(in->moves.announcements) && !READ_ONCE(in->moves.held_packets))
		return;
	rcu_read_lock();
	xa_lock_bh(&in->moves.movers);
	ihmp_held_take_from(in, host, source, &ready);
	list = ihmp_announced_at(in, source);
	rhl_for_each_entry_rcu(announced, at, list, link) {
		if (announced->host == host)
			announced->applied = true;
		else
			ihmp_held_take_from(in, announced->host, source, &ready);
	}
	xa_unlock_bh(&in->moves.movers);
	rcu_read_unlock();
	ihmp_held_deliver_all(in, &ready, true);
}

int ihmp_hold_init(struct ihmp_net *in)
{
	INIT_LIST_HEAD(&in->moves.waiting);
	INIT_DELAYED_WORK(&in->moves.release, ihmp_held_expire);
	return ihmp_announced_init(in);
}

void ihmp_hold_exit(struct ihmp_net *in)
{
	struct ihmp_held *held, *next;
	struct ihmp_mover *mover;
	struct net_device *dev;
	unsigned long host;
	LIST_HEAD(left);

	disable_delayed_work_sync(&in->moves.release);
	xa_lock_bh(&in->moves.movers);
	xa_for_each(&in->moves.movers, host, mover) {
		list_for_each_entry_safe(held, next, &mover->held, list)
			ihmp_held_take(in, mover, held, &left);
		ihmp_mover_forget(in, mover, U64_MAX);
		ihmp_mover_put(in, mover);
	}
	xa_unlock_bh(&in->moves.movers);
	list_for_each_entry_safe(held, next, &left, list) {
		dev = held->skb->dev;
		kfree_skb_reason(held->skb, SKB_DROP_REASON_NETFILTER_DROP);
		ihmp_held_free(held, dev);
	}
	ihmp_announced_exit(in);
}
