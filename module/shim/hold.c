// SPDX-License-Identifier: GPL-2.0
/*
 * Moves that were announced a moment ago, and packets that came in behind an
 * announcement and wait until the move is applied.
 *
 * Both belong to the host that was named. The lock of in->movers protects all of
 * it; readers of in->announced need none. Who holds the lock takes no other but
 * those of that table's buckets.
 */
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/dst.h>
#include <net/netfilter/nf_conntrack.h>

#include "internal.h"

#define IHMP_HOLD_GFP (GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN)

/* A host in whose name moves were announced; there is one while it has any of the lists. */
struct ihmp_mover {
	struct list_head announced;	/* oldest first */
	struct list_head held;		/* packets, oldest first */
	struct list_head waiting;	/* in->waiting, while there are packets */
	u32 host;
	u32 sources;
	u32 packets;
	u32 octets;
};

struct ihmp_announced {
	struct rhlist_head link;	/* in->announced */
	struct list_head list;		/* of the mover */
	struct rcu_head rcu;
	u64 until;			/* packets from there wait so long, in jiffies */
	u64 forget;			/* until then another announcement is none, in jiffies */
	u32 host;
	u8 source[IHMP_ADDR_KEY];
	bool natted;			/* a NAT has given the packets other ports */
	bool applied;
};

struct ihmp_held {
	struct list_head list;
	struct sk_buff *skb;
	ihmp_okfn okfn;			/* what the hook's caller does next */
	u64 until;
	u8 source[IHMP_ADDR_KEY];
};

static const struct rhashtable_params ihmp_announced_params = {
	.head_offset = offsetof(struct ihmp_announced, link),
	.key_offset = offsetof(struct ihmp_announced, source),
	.key_len = IHMP_ADDR_KEY,
	.automatic_shrinking = true,
};

/* The mover of a host, which is made if there is none; to be put. */
static struct ihmp_mover *ihmp_mover_get(struct ihmp_net *in, u32 host)
{
	struct ihmp_mover *mover = xa_load(&in->movers, host);

	if (mover)
		return mover;
	mover = kzalloc(sizeof(*mover), IHMP_HOLD_GFP);
	if (!mover)
		return NULL;
	INIT_LIST_HEAD(&mover->announced);
	INIT_LIST_HEAD(&mover->held);
	mover->host = host;
	if (!xa_is_err(__xa_store(&in->movers, host, mover, IHMP_HOLD_GFP)))
		return mover;
	kfree(mover);
	return NULL;
}

static void ihmp_mover_put(struct ihmp_net *in, struct ihmp_mover *mover)
{
	if (!list_empty(&mover->announced) || !list_empty(&mover->held))
		return;
	__xa_erase(&in->movers, mover->host);
	kfree(mover);
}

static struct ihmp_announced *ihmp_mover_find(struct ihmp_mover *mover, const u8 *source)
{
	struct ihmp_announced *announced;

	list_for_each_entry(announced, &mover->announced, list) {
		if (!memcmp(announced->source, source, IHMP_ADDR_KEY))
			return announced;
	}
	return NULL;
}

/* Its mover is to be put. */
static void ihmp_announced_drop(struct ihmp_net *in, struct ihmp_mover *mover,
				struct ihmp_announced *announced)
{
	rhltable_remove(&in->announced, &announced->link, ihmp_announced_params);
	list_del(&announced->list);
	mover->sources--;
	WRITE_ONCE(in->announcements, in->announcements - 1);
	kfree_rcu(announced, rcu);
}

/* When as many hosts as may be have announced a source, the oldest of these makes room. */
static void ihmp_source_make_room(struct ihmp_net *in, const u8 *source)
{
	struct ihmp_announced *announced, *oldest = NULL;
	struct rhlist_head *list, *at;
	struct ihmp_mover *mover;
	u32 n = 0;

	list = rhltable_lookup(&in->announced, source, ihmp_announced_params);
	/* The newest comes first. */
	rhl_for_each_entry_rcu(announced, at, list, link) {
		oldest = announced;
		n++;
	}
	if (n < IHMP_ANNOUNCED_BY_SOURCE)
		return;
	mover = xa_load(&in->movers, oldest->host);
	ihmp_announced_drop(in, mover, oldest);
	ihmp_mover_put(in, mover);
}

/* Forgets the announcements of which the time is over. The mover is to be put. */
static void ihmp_mover_forget(struct ihmp_net *in, struct ihmp_mover *mover, u64 now)
{
	struct ihmp_announced *announced, *next;

	list_for_each_entry_safe(announced, next, &mover->announced, list) {
		if (announced->forget > now)
			break;
		ihmp_announced_drop(in, mover, announced);
	}
}

/* Whether the announcement is to be remembered; if it is, there is room. The mover is to be put. */
static bool ihmp_announced_is_new(struct ihmp_net *in, struct ihmp_mover *mover, const u8 *source)
{
	struct ihmp_announced *same;

	ihmp_mover_forget(in, mover, get_jiffies_64());
	same = ihmp_mover_find(mover, source);
	if (same && !same->applied)
		return false;
	if (same)
		ihmp_announced_drop(in, mover, same);
	else if (mover->sources >= IHMP_ANNOUNCED_BY_HOST)
		ihmp_announced_drop(in, mover, list_first_entry(&mover->announced,
								struct ihmp_announced, list));
	return in->announcements < IHMP_ANNOUNCED_MOST;
}

/*
 * Remembers that a host says that it is at source: until then packets from there
 * may wait, and until `forget` the same announcement again is none, unless the
 * move was applied. False if it is none, or there is no room. RCU is held.
 */
bool ihmp_announce(struct ihmp_net *in, const u8 *source, u32 host, bool natted, u64 until, u64 forget)
{
	struct ihmp_mover *mover;
	struct ihmp_announced *announced = NULL;

	xa_lock_bh(&in->movers);
	mover = ihmp_mover_get(in, host);
	if (!mover)
		goto out;
	if (!ihmp_announced_is_new(in, mover, source))
		goto put;
	announced = kzalloc(sizeof(*announced), IHMP_HOLD_GFP);
	if (!announced)
		goto put;
	memcpy(announced->source, source, IHMP_ADDR_KEY);
	announced->host = host;
	announced->natted = natted;
	announced->until = until;
	announced->forget = forget;
	/* It is in its mover's list first, so that the mover stays. */
	list_add_tail(&announced->list, &mover->announced);
	ihmp_source_make_room(in, source);
	if (rhltable_insert(&in->announced, &announced->link, ihmp_announced_params)) {
		list_del(&announced->list);
		kfree(announced);
		announced = NULL;
		goto put;
	}
	mover->sources++;
	WRITE_ONCE(in->announcements, in->announcements + 1);
put:
	ihmp_mover_put(in, mover);
out:
	xa_unlock_bh(&in->movers);
	return announced;
}

/*
 * The announcement of a source after *at, or the newest one if that is null; *at
 * becomes it. RCU is held from the first to the last one.
 */
bool ihmp_announced_next(struct ihmp_net *in, const u8 *source, const void **at, u32 *host, u64 *until,
			 bool *natted)
{
	const struct ihmp_announced *announced = *at;
	struct rhlist_head *link;

	link = announced ? rcu_dereference(announced->link.next) :
			   rhltable_lookup(&in->announced, source, ihmp_announced_params);
	if (!link)
		return false;
	announced = container_of(link, struct ihmp_announced, link);
	*at = announced;
	*host = announced->host;
	*until = announced->until;
	*natted = announced->natted;
	return true;
}

/* Forgets the announcements of which the time is over, of all hosts. */
void ihmp_announced_forget(struct ihmp_net *in, u64 now)
{
	struct ihmp_mover *mover;
	unsigned long host = 0;

	do {
		xa_lock_bh(&in->movers);
		mover = xa_find(&in->movers, &host, U32_MAX, XA_PRESENT);
		if (mover) {
			ihmp_mover_forget(in, mover, now);
			ihmp_mover_put(in, mover);
		}
		xa_unlock_bh(&in->movers);
		host++;
	} while (mover);
}

/* Has the work look at the packets then, if it does not do so earlier. */
static void ihmp_held_arm(struct ihmp_net *in, u64 until)
{
	u64 now = get_jiffies_64();

	if (delayed_work_pending(&in->release) && in->release_at <= until)
		return;
	in->release_at = until;
	mod_delayed_work(system_highpri_wq, &in->release, until > now ? until - now : 0);
}

static void ihmp_held_add(struct ihmp_net *in, struct ihmp_mover *mover, struct ihmp_held *held)
{
	dev_hold(held->skb->dev);
	if (list_empty(&mover->held))
		list_add_tail(&mover->waiting, &in->waiting);
	list_add_tail(&held->list, &mover->held);
	mover->packets++;
	mover->octets += held->skb->truesize;
	WRITE_ONCE(in->held_packets, in->held_packets + 1);
	WRITE_ONCE(in->held_octets, in->held_octets + held->skb->truesize);
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
	WRITE_ONCE(in->held_packets, in->held_packets - 1);
	WRITE_ONCE(in->held_octets, in->held_octets - held->skb->truesize);
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
		kfree_skb(skb);
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
	struct ihmp_net *in = container_of(work, struct ihmp_net, release.work);
	u64 now = get_jiffies_64(), next = U64_MAX;
	struct ihmp_mover *mover, *more;
	struct ihmp_held *held, *other;
	LIST_HEAD(due);

	xa_lock_bh(&in->movers);
	list_for_each_entry_safe(mover, more, &in->waiting, waiting) {
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
	xa_unlock_bh(&in->movers);
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
	return READ_ONCE(in->held_packets) < IHMP_HELD_MOST &&
	       READ_ONCE(in->held_octets) + skb->truesize <= IHMP_HELD_OCTETS;
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

	xa_lock_bh(&in->movers);
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
	xa_unlock_bh(&in->movers);
	return room;
}

/*
 * Takes the packet when there is room; it waits until then, in jiffies, or until
 * a move of the host to source is applied. Then it goes on by the caller of the
 * hook in which it is.
 */
bool ihmp_hold(struct ihmp_net *in, struct sk_buff *skb, const struct nf_hook_state *state, const u8 *source,
	       u32 host, u64 until)
{
	struct ihmp_held *held;

	if (!ihmp_net_has_room(in, skb))
		return false;
	held = kmalloc(sizeof(*held), IHMP_HOLD_GFP);
	if (!held)
		return false;
	if (!skb_dst_force(skb)) {
		/* Its route is going away with its device. */
		kfree_skb(skb);
		kfree(held);
		return true;
	}
	if (!ihmp_confirm(skb)) {
		/* Counted by conntrack. */
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
		kfree(held);
		return true;
	}
	/* Early demultiplexing may have lent a socket without a reference. */
	skb_orphan(skb);
	held->skb = skb;
	held->okfn = state->okfn;
	held->until = until;
	memcpy(held->source, source, IHMP_ADDR_KEY);
	if (ihmp_hold_add(in, held, host))
		return true;
	kfree(held);
	return false;
}

static void ihmp_held_take_from(struct ihmp_net *in, u32 host, const u8 *source, struct list_head *to)
{
	struct ihmp_mover *mover = xa_load(&in->movers, host);
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

	if (!READ_ONCE(in->announcements) && !READ_ONCE(in->held_packets))
		return;
	rcu_read_lock();
	xa_lock_bh(&in->movers);
	ihmp_held_take_from(in, host, source, &ready);
	list = rhltable_lookup(&in->announced, source, ihmp_announced_params);
	rhl_for_each_entry_rcu(announced, at, list, link) {
		if (announced->host == host)
			announced->applied = true;
		else
			ihmp_held_take_from(in, announced->host, source, &ready);
	}
	xa_unlock_bh(&in->movers);
	rcu_read_unlock();
	ihmp_held_deliver_all(in, &ready, true);
}

int ihmp_hold_init(struct ihmp_net *in)
{
	xa_init_flags(&in->movers, XA_FLAGS_LOCK_BH | XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&in->waiting);
	INIT_DELAYED_WORK(&in->release, ihmp_held_expire);
	return rhltable_init(&in->announced, &ihmp_announced_params);
}

void ihmp_hold_exit(struct ihmp_net *in)
{
	struct ihmp_held *held, *next;
	struct ihmp_mover *mover;
	struct net_device *dev;
	unsigned long host;
	LIST_HEAD(left);

	disable_delayed_work_sync(&in->release);
	xa_lock_bh(&in->movers);
	xa_for_each(&in->movers, host, mover) {
		list_for_each_entry_safe(held, next, &mover->held, list)
			ihmp_held_take(in, mover, held, &left);
		ihmp_mover_forget(in, mover, U64_MAX);
		ihmp_mover_put(in, mover);
	}
	xa_unlock_bh(&in->movers);
	list_for_each_entry_safe(held, next, &left, list) {
		dev = held->skb->dev;
		kfree_skb(held->skb);
		ihmp_held_free(held, dev);
	}
	rhltable_destroy(&in->announced);
	xa_destroy(&in->movers);
}
