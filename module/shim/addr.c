// SPDX-License-Identifier: GPL-2.0
/* Whether an address is this machine's, and which device has it. */
#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/l3mdev.h>
#include <net/route.h>

#include "internal.h"

/* Another number after each change of the addresses of a family. */
u32 ihmp_addrs_change(const struct net *net, bool ipv6)
{
	return atomic_read(ipv6 ? &net->ipv6.dev_addr_genid : &net->ipv4.dev_addr_genid);
}

/* Addresses that are local by a route alone count, as in __ip_dev_find(). */
static bool ihmp_addr_is_routed6(struct net *net, const struct in6_addr *addr, int vrf, u32 flags)
{
	struct rt6_info *rt = rt6_lookup(net, addr, NULL, vrf, NULL, 0);
	bool local = rt && rt->rt6i_flags & flags;

	ip6_rt_put(rt);
	return local;
}

/* The address is one of the VRF to which the packet's socket is bound. A route may lead out of that VRF, and the source stays. */
static bool ihmp_addr_is_of_sock6(struct net *net, const struct sk_buff *skb, const struct in6_addr *addr)
{
	const struct sock *sk = sk_to_full_sk(skb->sk);
	const struct net_device *dev = NULL;

	if (sk && sk->sk_bound_dev_if)
		dev = dev_get_by_index_rcu(net, sk->sk_bound_dev_if);
	return dev && ipv6_chk_addr_and_flags(net, addr, dev, true, 0, 0);
}

/* An address is one of a VRF, or of none: here of the packet's VRF, of none, or of the socket's. */
static bool ihmp_addr_is_assigned6(struct net *net, const struct sk_buff *skb, const struct in6_addr *addr)
{
	return ipv6_chk_addr_and_flags(net, addr, skb_dst_dev(skb), true, 0, 0) ||
	       ipv6_chk_addr_and_flags(net, addr, NULL, true, 0, 0) || ihmp_addr_is_of_sock6(net, skb, addr);
}

/* What the kernel would let any program send from (ip6_datagram_send_ctl), in the VRF by which the packet leaves, if any. */
static bool ihmp_source_is_local6(struct net *net, const struct sk_buff *skb, const struct in6_addr *addr)
{
	return ihmp_addr_is_assigned6(net, skb, addr) ||
	       ihmp_addr_is_routed6(net, addr, l3mdev_master_ifindex_rcu(skb_dst_dev(skb)), RTF_LOCAL | RTF_ANYCAST);
}

/* The caller holds the RCU lock. */
bool ihmp_source_is_local(struct net *net, const struct sk_buff *skb, bool ipv6)
{
	if (ipv6)
		return ihmp_source_is_local6(net, skb, &ipv6_hdr(skb)->saddr);
	return inet_addr_type_dev_table(net, skb_dst_dev(skb), ip_hdr(skb)->saddr) == RTN_LOCAL;
}

/* The caller holds the RCU lock. */
static bool ihmp_addr_is_local(struct net *net, const struct sk_buff *skb, const u8 *addr, bool ipv6)
{
	struct in6_addr addr6;
	__be32 addr4;

	if (!ipv6) {
		memcpy(&addr4, addr + 12, sizeof(addr4));
		return __ip_dev_find(net, addr4, false);
	}
	memcpy(&addr6, addr, sizeof(addr6));
	return ihmp_addr_is_assigned6(net, skb, &addr6) || ihmp_addr_is_routed6(net, &addr6, 0, RTF_LOCAL);
}

/* Packets leave by it: they do not by what only keeps addresses. */
static bool ihmp_dev_carries(const struct net_device *dev)
{
	return !(dev->flags & IFF_LOOPBACK) && !netif_is_l3_master(dev) && !ihmp_dev_is_dummy(dev);
}

/* The device that has the address, and not by a route alone. The caller holds the RCU lock, as for what follows. */
struct net_device *ihmp_addr_dev4(struct net *net, __be32 addr)
{
	struct net_device *dev = __ip_dev_find(net, addr, false);
	struct in_device *in_dev = dev ? __in_dev_get_rcu(dev) : NULL;
	const struct in_ifaddr *ifa;

	if (!in_dev)
		return NULL;
	in_dev_for_each_ifa_rcu(ifa, in_dev)
		if (ifa->ifa_local == addr)
			return dev;
	return NULL;
}

/* Without a VRF the kernel has an index; in one, its devices are asked. */
static struct net_device *ihmp_addr_dev6(struct net *net, const struct sk_buff *skb, const struct in6_addr *addr)
{
	int vrf = l3mdev_master_ifindex(skb_dst_dev(skb));
	struct net_device *dev;

	if (!vrf)
		return ipv6_dev_find(net, addr, NULL);
	for_each_netdev_rcu(net, dev)
		if (l3mdev_master_ifindex_rcu(dev) == vrf && ipv6_chk_addr_and_flags(net, addr, dev, false, 1, 0))
			return dev;
	return NULL;
}

static struct net_device *ihmp_addr_dev(struct net *net, const struct sk_buff *skb, const u8 *addr, bool ipv6)
{
	struct in6_addr addr6;
	__be32 addr4;

	memcpy(&addr4, addr + 12, sizeof(addr4));
	memcpy(&addr6, addr, sizeof(addr6));
	return ipv6 ? ihmp_addr_dev6(net, skb, &addr6) : ihmp_addr_dev4(net, addr4);
}

/* Index of the device by which packets from an address of ours leave, 0 when routing decides alone; -1: not ours. */
s32 ihmp_addr_device(struct net *net, const struct sk_buff *skb, const u8 *addr, bool ipv6)
{
	const struct net_device *dev;

	if (!ihmp_addr_is_local(net, skb, addr, ipv6))
		return -1;
	dev = ihmp_addr_dev(net, skb, addr, ipv6);
	return dev && ihmp_dev_carries(dev) ? dev->ifindex : 0;
}

/* A device has the address and is up, with a carrier. */
bool ihmp_addr_is_up(struct net *net, const struct sk_buff *skb, const u8 *addr, bool ipv6)
{
	const struct net_device *dev = ihmp_addr_dev(net, skb, addr, ipv6);

	return dev && netif_running(dev) && netif_carrier_ok(dev);
}

/* A socket that is bound to a device, or to the VRF of one, may leave by it. */
bool ihmp_device_serves(struct net *net, u32 device, u32 bound)
{
	return device == bound || l3mdev_master_ifindex_by_index(net, device) == bound;
}
