// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets that we let send from an address that is no longer local. The flag
 * IP_TRANSPARENT allows it, and allows more: to bind to any address, and to
 * every socket that a listener with the flag accepts. So it is remembered who
 * has it from us, until it is taken back.
 */
#include <linux/inetdevice.h>
#include <linux/slab.h>
#include <net/addrconf.h>
#include <net/ipv6.h>
#include <net/sock_reuseport.h>
#include <net/tcp.h>

#include "internal.h"

/*
 * A bit that the kernel does not use, in the word that has the flag: it lives
 * as long as the socket, and who inherits the flag by accept() inherits it.
 */
#define IHMP_WATCHED (BITS_PER_LONG - 1)
static_assert(INET_FLAGS_RTALERT < IHMP_WATCHED);

/* The mark and the flag come and go in one step: a flag without the mark would be the program's for good. */
#define IHMP_LENT (BIT(IHMP_WATCHED) | BIT(INET_FLAGS_TRANSPARENT))

/*
 * A socket is found in the list by where it is in memory: it has one entry,
 * however often it is lent and taken back. So near to it is no other.
 */
#define IHMP_SOCK_SHIFT 9
static_assert(sizeof(struct inet_sock) >= BIT(IHMP_SOCK_SHIFT));

struct ihmp_lent {
	struct sock *sk;
	struct in6_addr bound;	/* the address that it had then */
};

bool ihmp_sock_watched(const struct sock *sk)
{
	return test_bit(IHMP_WATCHED, &inet_sk(sk)->inet_flags);
}

static bool ihmp_flag_is_own(unsigned long flags)
{
	return (flags & IHMP_LENT) == BIT(INET_FLAGS_TRANSPARENT);
}

/* The flag was set by the program, and not lent. */
bool ihmp_sock_own_transparent(const struct sock *sk)
{
	return ihmp_flag_is_own(READ_ONCE(inet_sk(sk)->inet_flags));
}

/* IPv4 as ::ffff:a.b.c.d */
static struct in6_addr ihmp_sock_bound(const struct sock *sk)
{
	struct in6_addr addr;

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return sk->sk_v6_rcv_saddr;
#endif
	ipv6_addr_set_v4mapped(sk->sk_rcv_saddr, &addr);
	return addr;
}

static unsigned long ihmp_sock_place(const struct sock *sk)
{
	return (unsigned long)sk >> IHMP_SOCK_SHIFT;
}

/* Remembers the socket, which is not dying; it takes over the reference. The caller holds the list's lock. */
static int ihmp_sock_remember(struct ihmp_net *in, struct sock *sk)
{
	gfp_t gfp = GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN;
	struct ihmp_lent *lent;
	int err;

	if (xa_load(&in->lent, ihmp_sock_place(sk))) {
		sock_put(sk);
		return 0;
	}
	lent = kmalloc(sizeof(*lent), gfp);
	if (!lent)
		return -ENOMEM;
	lent->sk = sk;
	lent->bound = ihmp_sock_bound(sk);
	err = xa_err(__xa_store(&in->lent, ihmp_sock_place(sk), lent, gfp));
	if (err)
		kfree(lent);
	return err;
}

/* Gives the flag, unless the program has set it itself meanwhile. */
static void ihmp_sock_give(struct sock *sk)
{
	unsigned long flags = READ_ONCE(inet_sk(sk)->inet_flags);

	do {
		if (ihmp_flag_is_own(flags))
			return;
	} while (!try_cmpxchg(&inet_sk(sk)->inet_flags, &flags, flags | IHMP_LENT));
}

/* TCP without a connection: the socket may listen next, and what it accepts would inherit the flag. */
static bool ihmp_sock_is_unconnected(const struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_TCP &&
	       (1 << READ_ONCE(sk->sk_state)) & (TCPF_CLOSE | TCPF_LISTEN);
}

/* The flag lets IPv4 route from an address that is no longer local, and IPv6 take one for a source by IPV6_PKTINFO. */
int ihmp_sock_lend(struct ihmp_net *in, struct sock *sk)
{
	int err;

	/* No raw socket has a flow of TCP: it is the kernel's own, which answers in the name of others. */
	if (sk->sk_type == SOCK_RAW && sk->sk_protocol == IPPROTO_TCP)
		return 0;
	if (!net_eq(sock_net(sk), in->net) || ihmp_sock_is_unconnected(sk))
		return 0;
	if (!refcount_inc_not_zero(&sk->sk_refcnt))
		return 0;
	xa_lock_bh(&in->lent);
	err = ihmp_sock_remember(in, sk);
	if (!err)
		ihmp_sock_give(sk);
	xa_unlock_bh(&in->lent);
	if (err)
		sock_put(sk);
	/* Its program may have ended the connection meanwhile. */
	if (ihmp_sock_is_unconnected(sk))
		ihmp_sock_take_back(sk);
	return err;
}

/* A program may choose who of a SO_REUSEPORT group gets a packet, so all of it may answer. The caller holds RCU. */
int ihmp_sock_lend_group(struct ihmp_net *in, struct sock *sk)
{
	const struct sock_reuseport *group = rcu_dereference(sk->sk_reuseport_cb);
	u16 n = group ? READ_ONCE(group->num_socks) : 0;
	int err = ihmp_sock_lend(in, sk);

	/* Pairs with __reuseport_add_sock(). */
	smp_rmb();
	while (!err && n--) {
		sk = READ_ONCE(group->socks[n]);
		if (!ihmp_sock_transparent(sk))
			err = ihmp_sock_lend(in, sk);
	}
	return err;
}

/* Takes back what was lent, if it was; also what was inherited. It stays in the list: it may be lent again. */
void ihmp_sock_take_back(struct sock *sk)
{
	unsigned long flags = READ_ONCE(inet_sk(sk)->inet_flags);

	do {
		if (!(flags & BIT(IHMP_WATCHED)))
			return;
	} while (!try_cmpxchg(&inet_sk(sk)->inet_flags, &flags, flags & ~IHMP_LENT));
	/* It was found with the flag. */
	sk_dst_reset(sk);
}

/* The caller holds RCU. */
static bool ihmp_is_local(struct net *net, const struct sock *sk, const struct in6_addr *addr)
{
	const struct net_device *dev;

	if (ipv6_addr_v4mapped(addr))
		return __ip_dev_find(net, addr->s6_addr32[3], false);
#if IS_ENABLED(CONFIG_IPV6)
	if (ipv6_chk_addr_and_flags(net, addr, NULL, true, 0, 0))
		return true;
	dev = dev_get_by_index_rcu(net, READ_ONCE(sk->sk_bound_dev_if));
	return dev && ipv6_chk_addr_and_flags(net, addr, dev, true, 0, 0);
#else
	return false;
#endif
}

/*
 * The program has bound it to an IPv6 address that is not this machine's, which
 * only the flag has allowed: IPv6 asks at bind() only, IPv4 at each route.
 */
static bool ihmp_lent_was_abused(struct ihmp_net *in, const struct ihmp_lent *lent)
{
	struct in6_addr now = ihmp_sock_bound(lent->sk);
	struct sock *sk = lent->sk;
	bool abused;

	if (sk->sk_family != AF_INET6 || ipv6_addr_any(&now) || ipv6_addr_v4mapped(&now) ||
	    !(READ_ONCE(sk->sk_userlocks) & SOCK_BINDADDR_LOCK) ||
	    ipv6_addr_equal(&now, &lent->bound) || ipv6_can_nonlocal_bind(in->net, inet_sk(sk)))
		return false;
	rcu_read_lock();
	abused = !ihmp_is_local(in->net, sk, &now) && !ihmp_sock_may_spoof(sk);
	rcu_read_unlock();
	return abused;
}

/*
 * It reaches nobody by the loopback device, and a program without privileges
 * cannot choose another. connect(AF_UNSPEC) forgets the device, and now the
 * address with it.
 */
static void ihmp_lent_confine(struct sock *sk)
{
	WRITE_ONCE(sk->sk_userlocks, READ_ONCE(sk->sk_userlocks) & ~SOCK_BINDADDR_LOCK);
	WRITE_ONCE(sk->sk_bound_dev_if, LOOPBACK_IFINDEX);
}

/*
 * Nobody can send by it any more. TCP goes on behind close(), from the address that it was at; sockets of datagrams keep the state of
 * connected ones for ever.
 */
static bool ihmp_sock_dead(const struct sock *sk)
{
	return sock_flag(sk, SOCK_DEAD) &&
	       (!sk_is_tcp(sk) || READ_ONCE(sk->sk_state) == TCP_CLOSE);
}

/* Forgets sockets that are dead; with `all` the others, too, which lose the flag. May sleep. */
void ihmp_sock_return(struct ihmp_net *in, bool all)
{
	struct ihmp_lent *lent;
	unsigned long id;

	xa_for_each(&in->lent, id, lent) {
		if (all || ihmp_sock_dead(lent->sk)) {
			/* Who is lending it at this moment sees the mark and the entry, or neither. */
			xa_lock_bh(&in->lent);
			if (all)
				ihmp_sock_take_back(lent->sk);
			__xa_erase(&in->lent, id);
			xa_unlock_bh(&in->lent);
			if (all && ihmp_lent_was_abused(in, lent))
				ihmp_lent_confine(lent->sk);
			sock_put(lent->sk);
			kfree(lent);
		}
		cond_resched();
	}
}
