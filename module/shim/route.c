// SPDX-License-Identifier: GPL-2.0
/* Where a packet goes after it was rewritten on its way out. */
#include <linux/inetdevice.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/addrconf.h>
#include <net/dst_cache.h>
#include <net/gso.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/rtnetlink.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#include "internal.h"

struct dst_cache *ihmp_dst_cache_new(void)
{
	/* At the limit of its cgroup the host has no cache: no process is killed for one. */
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct dst_cache *cache = kzalloc(sizeof(*cache), gfp);

	if (!cache)
		return NULL;
	if (!dst_cache_init(cache, gfp))
		return cache;
	kfree(cache);
	return NULL;
}

void ihmp_dst_cache_free(struct dst_cache *cache)
{
	dst_cache_destroy(cache);
	kfree(cache);
}

/* Some rule of the namespace looks at ports. */
static bool ihmp_rules_ask_ports(const struct net *net, bool ipv6)
{
#ifdef CONFIG_IPV6_MULTIPLE_TABLES
	if (ipv6)
		return net->ipv6.fib6_rules_require_fldissect;
#endif
#ifdef CONFIG_IP_MULTIPLE_TABLES
	if (!ipv6)
		return net->ipv4.fib_rules_require_fldissect;
#endif
	return false;
}

/* Nothing but the addresses decides the route: one route serves the path. */
static bool ihmp_route_is_plain(struct net *net, struct sk_buff *skb, const struct sock *sk, bool ipv6)
{
	if (skb->mark || (sk && sk->sk_bound_dev_if))
		return false;
	if (netif_is_l3_master(skb_dst_dev(skb)) || netif_is_l3_slave(skb_dst_dev(skb)))
		return false;
	if (ihmp_rules_ask_ports(net, ipv6))
		return false;
	/* Routing looks at the DSCP, and not at ECN beside it. */
	return !inet_dscp_to_dsfield(ipv6 ? ip6_dscp(ip6_flowinfo(ipv6_hdr(skb))) : ip4h_dscp(ip_hdr(skb)));
}

/* The tag is kept where tunnels keep a source address. A route that has another tag is none of this path's. */
static struct dst_entry *ihmp_cached(struct dst_cache *cache, u32 tag, bool ipv6)
{
	struct in6_addr of6 = {};
	struct dst_entry *dst;
	struct rtable *rt;
	__be32 of4 = 0;

	if (ipv6) {
		dst = dst_cache_get_ip6(cache, &of6);
		of4 = of6.s6_addr32[0];
	} else {
		rt = dst_cache_get_ip4(cache, &of4);
		dst = rt ? &rt->dst : NULL;
	}
	if (!dst || of4 == (__force __be32)tag)
		return dst;
	dst_release(dst);
	return NULL;
}

static void ihmp_cache(struct sk_buff *skb, struct dst_cache *cache, u32 tag, bool ipv6)
{
	struct in6_addr for6 = { .s6_addr32[0] = (__force __be32)tag };

	if (ipv6)
		dst_cache_set_ip6(cache, skb_dst(skb), &for6);
	else
		dst_cache_set_ip4(cache, skb_dst(skb), (__force __be32)tag);
}

static int ihmp_headroom(struct sk_buff *skb)
{
	unsigned int hh_len = LL_RESERVED_SPACE(skb_dst_dev(skb));

	return skb_headroom(skb) >= hh_len ? 0 : skb_cow_head(skb, hh_len);
}

/*
 * Without a route by the device routing would take the destination for a
 * neighbour: the table is asked first. The user is root, as in
 * ip_route_me_harder().
 */
static struct dst_entry *ihmp_find4(struct net *net, struct sk_buff *skb, const struct sock *sk, u32 device,
				    struct flowi4 *fl4)
{
	struct flow_keys keys;
	struct fib_result res;
	struct rtable *rt;

	*fl4 = (struct flowi4) {
		.daddr = ip_hdr(skb)->daddr,
		.saddr = ip_hdr(skb)->saddr,
		.flowi4_dscp = ip4h_dscp(ip_hdr(skb)),
		.flowi4_oif = device,
		.flowi4_l3mdev = l3mdev_master_ifindex(skb_dst_dev(skb)),
		.flowi4_mark = skb->mark,
		.flowi4_flags = (sk ? inet_sk_flowi_flags(sk) : 0) | FLOWI_FLAG_ANYSRC,
	};
	fib4_rules_early_flow_dissect(net, skb, fl4, &keys);
	if (fib_lookup(net, fl4, &res, 0))
		return NULL;
	rt = ip_route_output_key(net, fl4);
	return IS_ERR(rt) ? NULL : &rt->dst;
}

/* The device is asked for strictly, as for a socket that is bound to it. */
static struct dst_entry *ihmp_find6(struct net *net, struct sk_buff *skb, const struct sock *sk, u32 device,
				    struct flowi6 *fl6)
{
	struct flow_keys keys;

	*fl6 = (struct flowi6) {
		.daddr = ipv6_hdr(skb)->daddr,
		.saddr = ipv6_hdr(skb)->saddr,
		.flowlabel = ip6_flowinfo(ipv6_hdr(skb)),
		.flowi6_oif = device,
		.flowi6_l3mdev = l3mdev_master_ifindex(skb_dst_dev(skb)),
		.flowi6_mark = skb->mark,
		.flowi6_uid = sock_net_uid(net, sk),
	};
	fib6_rules_early_flow_dissect(net, skb, fl6, &keys);
	return ip6_route_output_flags(net, sk, fl6, RT6_LOOKUP_F_IFACE);
}

/* The route that leaves by the device, or NULL; none that would change the VRF. */
static struct dst_entry *ihmp_route_by(struct net *net, struct sk_buff *skb, const struct sock *sk, u32 device,
				       struct flowi *fl, bool ipv6)
{
	struct dst_entry *dst;

	if (l3mdev_master_ifindex_by_index(net, device) != l3mdev_master_ifindex(skb_dst_dev(skb)))
		return NULL;
	dst = ipv6 ? ihmp_find6(net, skb, sk, device, &fl->u.ip6) : ihmp_find4(net, skb, sk, device, &fl->u.ip4);
	if (!dst || (!dst->error && dst_dev(dst)->ifindex == device))
		return dst;
	dst_release(dst);
	return NULL;
}

static bool ihmp_is_transformed(const struct sk_buff *skb, bool ipv6)
{
	return ipv6 ? IP6CB(skb)->flags & IP6SKB_XFRM_TRANSFORMED : IPCB(skb)->flags & IPSKB_XFRM_TRANSFORMED;
}

/* Some policy of IPsec may be meant for packets of the socket, or what none allows is refused (xfrm_lookup). */
static bool ihmp_policies_ask(const struct net *net, const struct sock *sk)
{
#ifdef CONFIG_XFRM
	if (sk && rcu_access_pointer(sk->sk_policy[XFRM_POLICY_OUT]))
		return true;
	return READ_ONCE(net->xfrm.policy_count[XFRM_POLICY_OUT]) ||
	       READ_ONCE(net->xfrm.policy_default[XFRM_POLICY_OUT]) == XFRM_USERPOLICY_BLOCK;
#else
	return false;
#endif
}

/* What ip_route_me_harder() does with a route that it found. A policy may name the device: the packet has its route before. */
static int ihmp_route_take(struct net *net, struct sk_buff *skb, struct sock *sk, struct dst_entry *dst,
			   struct flowi *fl, bool ipv6)
{
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
#ifdef CONFIG_XFRM
	if (!ihmp_is_transformed(skb, ipv6) && !xfrm_decode_session(net, skb, fl, ipv6 ? AF_INET6 : AF_INET)) {
		/* It puts the route if it gives another, or none. */
		skb_dstref_steal(skb);
		dst = xfrm_lookup(net, dst, fl, sk, 0);
		if (IS_ERR(dst))
			return PTR_ERR(dst);
		skb_dst_set(skb, dst);
	}
#endif
	return ihmp_headroom(skb);
}

/*
 * By the device, if there is a way by it, and neither the socket nor a mark
 * asks for another; or else as netfilter routes again.
 */
static int ihmp_route_full(struct net *net, struct sk_buff *skb, struct sock *sk, u32 device, bool ipv6)
{
	struct dst_entry *dst = NULL;
	struct flowi fl = {};

	if (device && !skb->mark && !(sk && sk->sk_bound_dev_if))
		dst = ihmp_route_by(net, skb, sk, device, &fl, ipv6);
	if (dst)
		return ihmp_route_take(net, skb, sk, dst, &fl, ipv6);
	if (ipv6)
		return ip6_route_me_harder(net, sk, skb);
	return ip_route_me_harder(net, sk, skb, RTN_UNSPEC);
}

/* Bottom halves off for the per-CPU cache. Addresses decide the route, but not the policy: that is asked for each packet. */
static int ihmp_route_cached(struct net *net, struct sk_buff *skb, struct sock *sk, struct dst_cache *cache,
			     u32 tag, u32 device, bool ipv6)
{
	struct dst_entry *dst = ihmp_cached(cache, tag, ipv6);
	struct flowi fl = {};
	int err;

	if (dst && ihmp_policies_ask(net, sk))
		return ihmp_route_take(net, skb, sk, dst, &fl, ipv6);
	if (dst) {
		skb_dst_drop(skb);
		skb_dst_set(skb, dst);
		return ihmp_headroom(skb);
	}
	err = ihmp_route_full(net, skb, sk, device, ipv6);
	if (!err && !dst_xfrm(skb_dst(skb)) && !ihmp_dev_is_dummy(skb_dst_dev(skb)))
		ihmp_cache(skb, cache, tag, ipv6);
	return err;
}

/* What a route may carry, where IPsec needs some of it: its packets, or the segments that are made of one, are longer. */
static bool ihmp_is_too_long(const struct sk_buff *skb, u32 mtu)
{
	return skb_is_gso(skb) ? !skb_gso_validate_network_len(skb, mtu) : skb->len > mtu;
}

/*
 * TCP takes the length of its segments from the route to the identifier, of
 * which a policy for the locators takes nothing away, and an error about what
 * IPsec made of a segment finds nobody. That route may be the one that what
 * IPsec makes takes, too, so its MTU is left: the segments of this socket are
 * to be shorter, as if the other end had asked for it. It holds the lock of
 * the socket. This segment is dropped by who makes it too long, and is cut
 * when it is sent again (tcp_current_mss, tcp_retransmit_skb).
 */
static void ihmp_shorten(const struct sk_buff *skb, struct sock *sk, bool ipv6)
{
	u32 headers = (ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + sizeof(struct tcphdr);
	u32 mtu = dst_mtu(skb_dst(skb));
	struct tcp_sock *tp;

	if (!sk || !sk_is_tcp(sk) || READ_ONCE(sk->sk_state) == TCP_LISTEN || !ihmp_is_too_long(skb, mtu))
		return;
	tp = tcp_sk(sk);
	if (mtu < headers + TCP_MIN_MSS || tp->rx_opt.mss_clamp <= mtu - headers)
		return;
	tp->rx_opt.mss_clamp = mtu - headers;
	inet_csk(sk)->icsk_pmtu_cookie = 0;
}

/*
 * IPv6 cuts a datagram that is longer than its path MTU, unless the socket
 * forbids it. That MTU is kept at the route to the identifier, and the packet
 * is compared with the route to the locator, where the MTU is the link's:
 * too long a packet would leave whole, and routers cut none. So it is noted
 * how long fragments may be, as for what conntrack has put together. 0 if the
 * packet is not to be cut.
 */
static noinline u32 ihmp_fragment_size(const struct sk_buff *skb)
{
	u32 mtu;

	if (skb->len <= IPV6_MIN_MTU || skb_is_gso(skb))
		return 0;
	mtu = max_t(u32, ip6_skb_dst_mtu(skb), IPV6_MIN_MTU);
	return skb->len > mtu && mtu <= U16_MAX ? mtu : 0;
}

/* By a smaller MTU of its own the route cuts without that, and what IPsec makes of the packet is cut by IPsec. */
static noinline void ihmp_fragment(struct sk_buff *skb, u32 size)
{
	if (!dst_xfrm(skb_dst(skb)) && size < ip6_skb_dst_mtu(skb))
		IP6CB(skb)->frag_max_size = size;
}

/*
 * `sk` is the hook's socket; a request counts as its listener, time-wait as
 * none. The tag tells devices apart, too: it is the number of a view, and the
 * device of a path is that of its address, which is in the view. When an
 * address goes to another device the kernel lets all cached routes expire
 * (rt_cache_flush, rt_genid_bump_ipv6).
 */
int ihmp_route_out(struct net *net, struct sk_buff *skb, struct sock *sk, struct dst_cache *cache, u32 tag,
		   u32 device, bool ipv6)
{
	u32 fragment = ipv6 && skb->ignore_df ? ihmp_fragment_size(skb) : 0;
	int err;

	sk = sk_to_full_sk(sk);
	if (cache && ihmp_route_is_plain(net, skb, sk, ipv6)) {
		local_bh_disable();
		err = ihmp_route_cached(net, skb, sk, cache, tag, device, ipv6);
		local_bh_enable();
	} else {
		err = ihmp_route_full(net, skb, sk, device, ipv6);
	}
	if (!err && dst_xfrm(skb_dst(skb)))
		ihmp_shorten(skb, sk, ipv6);
	if (!err && fragment)
		ihmp_fragment(skb, fragment);
	return err;
}

/*
 * A route that comes back in one table leaves the routes alone that sockets
 * keep from another. IPv4 has no such sockets: any change makes it ask again.
 * This walks over all routes, so it is done once for a change of routes,
 * however many hosts get their paths back by that: each change, and this one,
 * gives fib6_sernum its next value (fib6_new_sernum). Another change meanwhile
 * has the next host do it again.
 */
void ihmp_routes_renew6(struct ihmp_net *in)
{
	const atomic_t *sernum = &in->net->ipv6.fib6_sernum;
	int before = atomic_read(sernum), after = before < INT_MAX ? before + 1 : 1;

	if (READ_ONCE(in->routes_renewed) == before)
		return;
	rt_genid_bump_ipv6(in->net);
	WRITE_ONCE(in->routes_renewed, atomic_read(sernum) == after ? after : 0);
}

static void ihmp_route_forget6(struct dst_entry *dst, struct sock *sk)
{
	if (dst_rt6_info(dst)->rt6i_flags & RTF_PCPU)
		WRITE_ONCE(dst->obsolete, DST_OBSOLETE_KILL);
	if (sk && sk_fullsock(sk) && rcu_access_pointer(sk->sk_dst_cache) == dst)
		sk_dst_reset(sk);
}

/*
 * A packet takes the last resort, a route by a dummy device in a table of its
 * own. Who keeps that route, a socket or a tunnel, would stay with it: in IPv6
 * a route that comes back in another table does not make it expire. So it is
 * kept by nobody, and whoever has it asks again for the next packet.
 */
void ihmp_route_last_resort6(const struct sk_buff *skb, struct sock *sk)
{
	if (unlikely(ihmp_dev_is_dummy(skb_dst_dev(skb))))
		ihmp_route_forget6(skb_dst(skb), sk);
}
