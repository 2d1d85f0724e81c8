// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets that are connected over IPv4 from an address that no device has any
 * more. Routing refuses what they send before any hook sees it, unless they
 * have the transparent flag (ip_route_output_key).
 */
#include <net/inet_hashtables.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "internal.h"

/* Sockets of one chain; more than fit are looked for again behind those that were seen. */
struct ihmp_chain {
	struct sock *sks[16];
	u32 len;
	u32 seen;
	u32 skip;
};

/* Time-wait and request sockets are in other states. The caller holds RCU. */
static bool ihmp_sock_is_stranded(struct net *net, const struct sock *sk)
{
	if (!net_eq(sock_net(sk), net) || !ihmp_sock_established(sk))
		return false;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr))
		return false;
#endif
	return !inet_test_bit(TRANSPARENT, sk) && !ihmp_addr_dev4(net, inet_sk(sk)->inet_saddr);
}

/* The chain is locked, and what is in it does not die. False when there is no room for more. */
static bool ihmp_chain_add(struct ihmp_chain *chain, struct net *net, struct sock *sk)
{
	if (chain->seen++ < chain->skip || !ihmp_sock_is_stranded(net, sk) ||
	    !refcount_inc_not_zero(&sk->sk_refcnt))
		return true;
	chain->sks[chain->len++] = sk;
	return chain->len < ARRAY_SIZE(chain->sks);
}

/* As inet_diag does, and by the namespace's own pointer: the table itself is not exported. */
static void ihmp_chain_tcp(struct ihmp_net *in, u32 slot, struct ihmp_chain *chain)
{
	struct inet_hashinfo *table = in->net->ipv4.tcp_death_row.hashinfo;
	spinlock_t *lock = inet_ehash_lockp(table, slot);
	struct hlist_nulls_node *node;
	struct sock *sk;

	if (hlist_nulls_empty(&table->ehash[slot].chain))
		return;
	spin_lock_bh(lock);
	sk_nulls_for_each(sk, node, &table->ehash[slot].chain)
		if (!ihmp_chain_add(chain, in->net, sk))
			break;
	spin_unlock_bh(lock);
}

static void ihmp_chain_udp(struct ihmp_net *in, u32 slot, struct ihmp_chain *chain)
{
	struct udp_hslot *hslot = &in->net->ipv4.udp_table->hash[slot];
	struct sock *sk;

	if (hlist_empty(&hslot->head))
		return;
	spin_lock_bh(&hslot->lock);
	sk_for_each(sk, &hslot->head)
		if (!ihmp_chain_add(chain, in->net, sk))
			break;
	spin_unlock_bh(&hslot->lock);
}

static void ihmp_chain_join(struct ihmp_net *in, struct ihmp_chain *chain)
{
	u32 i;

	for (i = 0; i < chain->len; i++) {
		ihmp_rs_stranded(in->state, chain->sks[i]);
		sock_gen_put(chain->sks[i]);
	}
}

static void ihmp_stranded_walk(struct ihmp_net *in, u32 mask,
			       void (*look)(struct ihmp_net *in, u32 slot, struct ihmp_chain *chain))
{
	struct ihmp_chain chain;
	u32 slot;

	for (slot = 0; slot <= mask; slot++) {
		chain.seen = 0;
		do {
			chain.skip = chain.seen;
			chain.len = chain.seen = 0;
			rcu_read_lock();
			look(in, slot, &chain);
			rcu_read_unlock();
			ihmp_chain_join(in, &chain);
			cond_resched();
		} while (chain.len == ARRAY_SIZE(chain.sks));
	}
}

static void ihmp_stranded_work(struct work_struct *work)
{
	struct ihmp_net *in = container_of(work, struct ihmp_net, stranded);

	ihmp_stranded_walk(in, in->net->ipv4.tcp_death_row.hashinfo->ehash_mask, ihmp_chain_tcp);
	ihmp_stranded_walk(in, in->net->ipv4.udp_table->mask, ihmp_chain_udp);
}

/* They are looked for at once, by a work of its own. */
void ihmp_stranded_schedule(struct ihmp_net *in)
{
	queue_work(system_power_efficient_wq, &in->stranded);
}

/* The identifiers of a socket that is connected over IPv4, addresses in 4 octets; returns its protocol. */
u8 ihmp_sock_flow4(const struct sock *sk, u8 *laddr, u16 *lport, u8 *faddr, u16 *fport)
{
	const struct inet_sock *inet = inet_sk(sk);
	__be32 saddr = READ_ONCE(inet->inet_saddr), daddr = READ_ONCE(inet->inet_daddr);

	memcpy(laddr, &saddr, sizeof(saddr));
	memcpy(faddr, &daddr, sizeof(daddr));
	*lport = READ_ONCE(inet->inet_num);
	*fport = ntohs(READ_ONCE(inet->inet_dport));
	return sk->sk_protocol;
}

void ihmp_stranded_init(struct ihmp_net *in)
{
	INIT_WORK(&in->stranded, ihmp_stranded_work);
}

void ihmp_stranded_exit(struct ihmp_net *in)
{
	disable_work_sync(&in->stranded);
}
