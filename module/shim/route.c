// SPDX-License-Identifier: GPL-2.0
/* Where a packet goes after it was rewritten on its way out. */
#include <linux/inetdevice.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/addrconf.h>
#include <net/dst_cache.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/l3mdev.h>
#include <net/route.h>
#include <net/sock.h>

#include "shim.h"

struct dst_cache *ihmp_dst_cache_new(void)
{
	struct dst_cache *cache = kzalloc(sizeof(*cache), GFP_KERNEL);

	if (!cache)
		return NULL;
	if (!dst_cache_init(cache, GFP_KERNEL))
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
static bool ihmp_route_is_plain(struct net *net, struct sk_buff *skb, bool ipv6)
{
	const struct sock *sk = skb->sk;

	if (skb->mark || (sk && sk_fullsock(sk) && sk->sk_bound_dev_if))
		return false;
	if (netif_is_l3_master(skb_dst_dev(skb)) || netif_is_l3_slave(skb_dst_dev(skb)))
		return false;
	if (ihmp_rules_ask_ports(net, ipv6))
		return false;
	return ipv6 ? !ip6_tclass(ip6_flowinfo(ipv6_hdr(skb))) : !ip_hdr(skb)->tos;
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

static int ihmp_route_full(struct net *net, struct sk_buff *skb, bool ipv6)
{
	if (ipv6)
		return ip6_route_me_harder(net, skb->sk, skb);
	return ip_route_me_harder(net, skb->sk, skb, RTN_UNSPEC);
}

static int ihmp_headroom(struct sk_buff *skb)
{
	unsigned int hh_len = LL_RESERVED_SPACE(skb_dst_dev(skb));

	return skb_headroom(skb) >= hh_len ? 0 : skb_cow_head(skb, hh_len);
}

/* Bottom halves off for the per-CPU cache. */
static int ihmp_route_cached(struct net *net, struct sk_buff *skb, struct dst_cache *cache, u32 tag,
			     bool ipv6)
{
	struct dst_entry *dst = ihmp_cached(cache, tag, ipv6);
	int err;

	if (dst) {
		skb_dst_drop(skb);
		skb_dst_set(skb, dst);
		return ihmp_headroom(skb);
	}
	err = ihmp_route_full(net, skb, ipv6);
	if (!err && !dst_xfrm(skb_dst(skb)))
		ihmp_cache(skb, cache, tag, ipv6);
	return err;
}

int ihmp_route_out(struct net *net, struct sk_buff *skb, struct dst_cache *cache, u32 tag, bool ipv6)
{
	int err;

	if (!cache || !ihmp_route_is_plain(net, skb, ipv6))
		return ihmp_route_full(net, skb, ipv6);
	local_bh_disable();
	err = ihmp_route_cached(net, skb, cache, tag, ipv6);
	local_bh_enable();
	return err;
}

/* IPv4: as the table of the VRF says, if the packet leaves by one. */
bool ihmp_source_is_local(struct net *net, const struct sk_buff *skb, bool ipv6)
{
	if (ipv6)
		return ipv6_chk_addr_and_flags(net, &ipv6_hdr(skb)->saddr, NULL, true, 0, 0);
	return inet_addr_type_dev_table(net, skb_dst_dev(skb), ip_hdr(skb)->saddr) == RTN_LOCAL;
}

/* Another number after each change of the addresses of a family. */
u32 ihmp_addrs_change(const struct net *net, bool ipv6)
{
	return atomic_read(ipv6 ? &net->ipv6.dev_addr_genid : &net->ipv4.dev_addr_genid);
}

/* Addresses that are local by a route alone count, as in __ip_dev_find(). */
static bool ihmp_addr_is_routed6(struct net *net, const struct in6_addr *addr)
{
	struct rt6_info *rt = rt6_lookup(net, addr, NULL, 0, NULL, 0);
	bool local = rt && rt->rt6i_flags & RTF_LOCAL;

	ip6_rt_put(rt);
	return local;
}

/* IPv6 addresses are those of a VRF, or of none: that of the packet, or none. The caller holds the RCU lock. */
bool ihmp_addr_is_local(struct net *net, const struct sk_buff *skb, const u8 *addr, bool ipv6)
{
	struct in6_addr addr6;
	__be32 addr4;

	if (!ipv6) {
		memcpy(&addr4, addr + 12, sizeof(addr4));
		return __ip_dev_find(net, addr4, false);
	}
	memcpy(&addr6, addr, sizeof(addr6));
	return ipv6_chk_addr_and_flags(net, &addr6, skb_dst_dev(skb), true, 0, 0) ||
	       ipv6_chk_addr_and_flags(net, &addr6, NULL, true, 0, 0) || ihmp_addr_is_routed6(net, &addr6);
}

/*
 * A route that comes back in one table leaves the routes alone that sockets
 * keep from another. IPv4 has no such sockets: any change makes it ask again.
 */
void ihmp_routes_renew6(struct net *net)
{
	rt_genid_bump_ipv6(net);
}
