// SPDX-License-Identifier: GPL-2.0
/*
 * Moves that were announced a moment ago: by source, and by the host that was
 * named, see moves.h.
 */
#include <linux/slab.h>

#include "moves.h"

static const struct rhashtable_params ihmp_announced_params = {
	.head_offset = offsetof(struct ihmp_announced, link),
	.key_offset = offsetof(struct ihmp_announced, source),
	.key_len = IHMP_ADDR_KEY,
	.automatic_shrinking = true,
};

/* The mover of a host, which is made if there is none; to be put. */
struct ihmp_mover *ihmp_mover_get(struct ihmp_net *in, u32 host)
{
	struct ihmp_mover *mover = xa_load(&in->moves.movers, host);

	if (mover)
		return mover;
	mover = kzalloc(sizeof(*mover), IHMP_HOLD_GFP);
	if (!mover)
		return NULL;
	INIT_LIST_HEAD(&mover->announced);
	INIT_LIST_HEAD(&mover->held);
	mover->host = host;
	if (!xa_is_err(__xa_store(&in->moves.movers, host, mover, IHMP_HOLD_GFP)))
		return mover;
	kfree(mover);
	return NULL;
}

void ihmp_mover_put(struct ihmp_net *in, struct ihmp_mover *mover)
{
	if (!list_empty(&mover->announced) || !list_empty(&mover->held))
		return;
	__xa_erase(&in->moves.movers, mover->host);
	kfree(mover);
}

struct ihmp_announced *ihmp_mover_find(struct ihmp_mover *mover, const u8 *source)
{
	struct ihmp_announced *announced;

	list_for_each_entry(announced, &mover->announced, list) {
		if (!memcmp(announced->source, source, IHMP_ADDR_KEY))
			return announced;
	}
	return NULL;
}

/* The caller then calls ihmp_mover_put(). */
static void ihmp_announced_drop(struct ihmp_net *in, struct ihmp_mover *mover,
				struct ihmp_announced *announced)
{
	rhltable_remove(&in->moves.announced, &announced->link, ihmp_announced_params);
	list_del(&announced->list);
	mover->sources--;
	WRITE_ONCE(in->moves.announcements, in->moves.announcements - 1);
	kfree_rcu(announced, rcu);
}

/* The announcements of a source, the newest first. RCU is held. */
struct rhlist_head *ihmp_announced_at(struct ihmp_net *in, const u8 *source)
{
	return rhltable_lookup(&in->moves.announced, source, ihmp_announced_params);
}

/* When as many hosts as may be have announced a source, the oldest of these makes room. */
static void ihmp_source_make_room(struct ihmp_net *in, const u8 *source)
{
	struct ihmp_announced *announced, *oldest = NULL;
	struct rhlist_head *list, *at;
	struct ihmp_mover *mover;
	u32 n = 0;

	list = ihmp_announced_at(in, source);
	/* The newest comes first. */
	rhl_for_each_entry_rcu(announced, at, list, link) {
		oldest = announced;
		n++;
	}
	if (n < IHMP_ANNOUNCED_BY_SOURCE)
		return;
	mover = xa_load(&in->moves.movers, oldest->host);
	ihmp_announced_drop(in, mover, oldest);
	ihmp_mover_put(in, mover);
}

/* Drops expired announcements; the caller then calls ihmp_mover_put(). */
void ihmp_mover_forget(struct ihmp_net *in, struct ihmp_mover *mover, u64 now)
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
	return in->moves.announcements < IHMP_ANNOUNCED_MOST;
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

	xa_lock_bh(&in->moves.movers);
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
	if (rhltable_insert(&in->moves.announced, &announced->link, ihmp_announced_params)) {
		list_del(&announced->list);
		kfree(announced);
		announced = NULL;
		goto put;
	}
	mover->sources++;
	WRITE_ONCE(in->moves.announcements, in->moves.announcements + 1);
put:
	ihmp_mover_put(in, mover);
out:
	xa_unlock_bh(&in->moves.movers);
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
			   ihmp_announced_at(in, source);
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
		xa_lock_bh(&in->moves.movers);
		mover = xa_find(&in->moves.movers, &host, U32_MAX, XA_PRESENT);
		if (mover) {
			ihmp_mover_forget(in, mover, now);
			ihmp_mover_put(in, mover);
		}
		xa_unlock_bh(&in->moves.movers);
		host++;
	} while (mover);
}

int ihmp_announced_init(struct ihmp_net *in)
{
	xa_init_flags(&in->moves.movers, XA_FLAGS_LOCK_BH | XA_FLAGS_ACCOUNT);
	return rhltable_init(&in->moves.announced, &ihmp_announced_params);
}

/* Nothing is announced any more. */
void ihmp_announced_exit(struct ihmp_net *in)
{
	rhltable_destroy(&in->moves.announced);
	xa_destroy(&in->moves.movers);
}
