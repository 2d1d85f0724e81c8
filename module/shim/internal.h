/* SPDX-License-Identifier: GPL-2.0 */
/* What the C files of the shim share; Rust never sees it. */
#ifndef IHMP_INTERNAL_H
#define IHMP_INTERNAL_H

#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/rhashtable.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "shim.h"

struct ihmp_counters {
	u64 n[IHMP_COUNTERS];
};

typedef int (*ihmp_okfn)(struct net *net, struct sock *sk, struct sk_buff *skb);

/* What is found by a key or a number; see object.c. */
struct ihmp_tables {
	struct rhashtable addrs;	/* foreign address -> host */
	struct rhashtable flows;	/* five identifiers -> row */
	struct rhashtable wires;	/* host, proto, wire ports -> row */
	spinlock_t wiring;		/* rows that are apart come among the wires, or go; nats are exchanged, or go */
	struct rhashtable seen;		/* NAT, proto, ports on the wire -> nat */
	struct rhashtable meant;	/* host, NAT, proto, ports -> nat */
	struct rhashtable natted;	/* address -> that of a NAT */
	struct rhashtable networks;	/* /24 or /48 -> network of hosts */
	struct xarray hosts;		/* id -> host */
	u32 next_host;
};

/* Announced moves, and the packets that wait for them; see moves.h. */
struct ihmp_moves {
	struct rhltable announced;	/* source -> moves that were announced */
	struct xarray movers;		/* host id -> what was announced, and what waits */
	struct list_head waiting;	/* movers with packets */
	u32 announcements;
	u32 held_packets;
	u32 held_octets;
	struct delayed_work release;
	u64 release_at;			/* in jiffies, while that is pending */
};

/* State of one network namespace that C must own. */
struct ihmp_net {
	struct net *net;
	void *state;			/* the Rust side */
	struct nf_hook_ops ops[IHMP_HOOK_MAX];
	bool hooked;
	bool routes;			/* views may keep some, since it was hooked once */
	struct ihmp_counters __percpu *counters;
	struct ihmp_tables tables;
	struct xarray lent;		/* sockets that we let send from any address */
	int routes_renewed;		/* fib6_sernum when sockets were last made to ask again, or 0 */
	struct delayed_work gc;
	struct work_struct stranded;	/* looks for sockets whose address is gone */
	struct ihmp_moves moves;
};

int ihmp_tables_init(struct ihmp_net *in);
void ihmp_tables_exit(struct ihmp_net *in);
void ihmp_stranded_init(struct ihmp_net *in);
void ihmp_stranded_exit(struct ihmp_net *in);
struct net_device *ihmp_addr_dev4(struct net *net, __be32 addr);

/* A device that keeps addresses and loses what is sent by it. */
static inline bool ihmp_dev_is_dummy(const struct net_device *dev)
{
	const struct rtnl_link_ops *ops = dev->rtnl_link_ops;

	return dev->flags & IFF_NOARP && ops && !strcmp(ops->kind, "dummy");
}
int ihmp_hold_init(struct ihmp_net *in);
void ihmp_hold_exit(struct ihmp_net *in);

#endif
