/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Moves that were announced a moment ago (announce.c), and packets that came in
 * behind an announcement and wait until the move is applied (hold.c).
 *
 * Both belong to the host that was named. The lock of in->moves.movers protects
 * all of it; readers of in->moves.announced need none. Who holds the lock takes
 * no other but those of that table's buckets.
 */
#ifndef IHMP_MOVES_H
#define IHMP_MOVES_H

#include "internal.h"

#define IHMP_HOLD_GFP (GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN)

/* Announcements and waiting packets of one host; freed when both lists are empty. */
struct ihmp_mover {
	struct list_head announced;	/* oldest first */
	struct list_head held;		/* packets, oldest first */
	struct list_head waiting;	/* in->moves.waiting, while there are packets */
	u32 host;
	u32 sources;
	u32 packets;
	u32 octets;
};

struct ihmp_announced {
	struct rhlist_head link;	/* in->moves.announced */
	struct list_head list;		/* of the mover */
	struct rcu_head rcu;
	u64 until;			/* packets from there wait so long, in jiffies */
	u64 forget;			/* until then a repeated announcement is ignored, in jiffies */
	u32 host;
	u8 source[IHMP_ADDR_KEY];
	bool natted;			/* a NAT has given the packets other ports */
	bool applied;
};

struct ihmp_mover *ihmp_mover_get(struct ihmp_net *in, u32 host);
void ihmp_mover_put(struct ihmp_net *in, struct ihmp_mover *mover);
struct ihmp_announced *ihmp_mover_find(struct ihmp_mover *mover, const u8 *source);
void ihmp_mover_forget(struct ihmp_net *in, struct ihmp_mover *mover, u64 now);
struct rhlist_head *ihmp_announced_at(struct ihmp_net *in, const u8 *source);
int ihmp_announced_init(struct ihmp_net *in);
void ihmp_announced_exit(struct ihmp_net *in);

#endif
