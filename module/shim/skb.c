// SPDX-License-Identifier: GPL-2.0
/* One packet in a hook: skb->data is the network header. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/unaligned.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/inet_timewait_sock.h>
#include <net/ipv6.h>
#include <net/request_sock.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/tcp_states.h>
#include <net/xfrm.h>

#include "shim.h"

const u8 *ihmp_skb_head(struct sk_buff *skb, u32 *len)
{
	*len = skb_headlen(skb);
	return skb->data;
}

bool ihmp_skb_pull(struct sk_buff *skb, u32 len)
{
	return pskb_may_pull(skb, len);
}

/* The returned octets are the packet's own copy; earlier views are void. */
u8 *ihmp_skb_writable(struct sk_buff *skb, u32 len)
{
	return skb_ensure_writable(skb, len) ? NULL : skb->data;
}

/*
 * Whether the checksum at `at` is that of the pseudo-header alone, and who
 * sends the packet adds the rest. That of a tunnel of which segments are to
 * be made is so whatever else is said of the packet (udp_set_csum,
 * udp4_gro_complete). Otherwise, what will be added to may be another field,
 * that of a packet inside: then ours is complete (local checksum offload).
 * Segments of UDP are made from such a sum even if no device will help
 * (udp4_hwcsum, __udp_gso_segment).
 */
static bool ihmp_csum_is_partial(const struct sk_buff *skb, u32 at)
{
	bool started = skb_checksum_start_offset(skb) + skb->csum_offset == at;
	u32 gso = skb_is_gso(skb) ? skb_shinfo(skb)->gso_type : 0;

	if (gso & SKB_GSO_UDP_TUNNEL_CSUM)
		return true;
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		return started;
	return skb->ip_summed == CHECKSUM_NONE && started && gso & SKB_GSO_UDP_L4 && !(gso & SKB_GSO_FRAGLIST);
}

/* The checksum at `at` follows changes that were made to addresses and ports. */
void ihmp_skb_csum(struct sk_buff *skb, u32 at, u32 pseudo, u32 plain, bool mangle_zero, bool ipv6)
{
	__sum16 *sum = (__sum16 *)(skb->data + at);

	if (ihmp_csum_is_partial(skb, at)) {
		*sum = ~csum_fold(csum_add((__force __wsum)pseudo, csum_unfold(*sum)));
		return;
	}
	csum_replace_by_diff(sum, (__force __wsum)pseudo);
	/* The device's sum does not cover IPv4's addresses. */
	if (skb->ip_summed == CHECKSUM_COMPLETE && !ipv6)
		skb->csum = ~csum_sub((__force __wsum)pseudo, skb->csum);
	csum_replace_by_diff(sum, (__force __wsum)plain);
	if (mangle_zero && !*sum)
		*sum = CSUM_MANGLED_0;
}

/* The CRC of SCTP at `at` changes by so much, unless who sends the packet makes it (skb_crc32c_csum_help, sctp_gso_segment). */
void ihmp_skb_crc(struct sk_buff *skb, u32 at, u32 difference)
{
	u8 *crc = skb->data + at;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		put_unaligned_le32(get_unaligned_le32(crc) ^ difference, crc);
	ihmp_skb_forget_csum(skb);
}

void ihmp_skb_forget_csum(struct sk_buff *skb)
{
	if (skb->ip_summed == CHECKSUM_COMPLETE)
		skb->ip_summed = CHECKSUM_NONE;
}

/* A device has taken IPsec off it, and says so once: the transport is to hear that (__xfrm_policy_check2). */
static bool ihmp_skb_is_offloaded(struct sk_buff *skb)
{
#ifdef CONFIG_XFRM
	return xfrm_offload(skb) && xfrm_input_state(skb)->xso.type == XFRM_DEV_OFFLOAD_PACKET;
#else
	return false;
#endif
}

/*
 * The policies of IPsec let in what has these addresses: those of the namespace,
 * or with a socket first those of the socket.
 */
bool ihmp_skb_is_admitted(struct sk_buff *skb, struct sock *sk, bool ipv6)
{
	return ihmp_skb_is_offloaded(skb) ||
	       xfrm_policy_check(sk, XFRM_POLICY_IN, skb, ipv6 ? AF_INET6 : AF_INET);
}

/* Whether the TCP header at `l4`, which is linear, answers a SYN cookie that this kernel has sent. */
bool ihmp_skb_has_cookie(const struct sk_buff *skb, u32 l4, bool ipv6)
{
#ifdef CONFIG_SYN_COOKIES
	const struct tcphdr *th = (const struct tcphdr *)(skb->data + l4);

	if (!th->ack || th->syn || th->rst)
		return false;
#if IS_ENABLED(CONFIG_IPV6)
	if (ipv6)
		return __cookie_v6_check((const struct ipv6hdr *)skb->data, th);
#endif
	return !ipv6 && __cookie_v4_check((const struct iphdr *)skb->data, th);
#else
	return false;
#endif
}

u32 ihmp_skb_len(const struct sk_buff *skb)
{
	return skb->len;
}

/* Octets of all the packets of IP that are sent for this one, or that it was made of: each segment has the headers again. */
u32 ihmp_skb_wire_len(const struct sk_buff *skb)
{
	u32 head = skb_transport_offset(skb);

	if (!skb_is_gso(skb) || skb_shinfo(skb)->gso_segs < 2)
		return skb->len;
	if (skb_is_gso_tcp(skb))
		head += skb_headlen(skb) < head + sizeof(struct tcphdr) ? sizeof(struct tcphdr) : tcp_hdrlen(skb);
	else
		head += sizeof(struct udphdr);
	return skb->len + (skb_shinfo(skb)->gso_segs - 1) * head;
}

bool ihmp_skb_out_loopback(const struct sk_buff *skb)
{
	return skb_dst(skb) && (skb_dst_dev(skb)->flags & IFF_LOOPBACK);
}

/* Index of the device by which it leaves, 0 without a route. */
u32 ihmp_skb_out_device(const struct sk_buff *skb)
{
	return skb_dst(skb) ? skb_dst_dev(skb)->ifindex : 0;
}

bool ihmp_skb_in_loopback(const struct sk_buff *skb)
{
	return skb->dev && (skb->dev->flags & IFF_LOOPBACK);
}

/*
 * The full socket whose packet it is, or NULL; `sk` is the hook's. A listener
 * of TCP sends nothing: IPv6 names it for the SYN-ACKs of its requests.
 */
struct sock *ihmp_skb_sock(struct sock *sk)
{
	if (!sk || !sk_fullsock(sk))
		return NULL;
	return sk->sk_protocol == IPPROTO_TCP && READ_ONCE(sk->sk_state) == TCP_LISTEN ? NULL : sk;
}

/*
 * The listener whose SYN-ACK it is, or NULL. IPv4 gives the request to the
 * hook, IPv6 its listener; with a SYN cookie there is the listener alone.
 */
struct sock *ihmp_skb_listener(const struct sk_buff *skb, struct sock *sk)
{
	if (!sk)
		return NULL;
	switch (READ_ONCE(sk->sk_state)) {
	case TCP_LISTEN:
		return sk->sk_protocol == IPPROTO_TCP ? sk : NULL;
	case TCP_NEW_SYN_RECV:
		return inet_reqsk(sk)->rsk_listener;
	default:
		return NULL;
	}
}

/*
 * A SYN-ACK of a request in the queue, and the device that the connection is
 * bound to. IPv4 gives the request to the hook, IPv6 its listener.
 */
bool ihmp_skb_request(const struct sk_buff *skb, const struct sock *sk, u32 *device)
{
	const struct sock *request = skb->sk;

	if (!sk || !request || READ_ONCE(request->sk_state) != TCP_NEW_SYN_RECV)
		return false;
	*device = READ_ONCE(request->sk_bound_dev_if);
	return request == sk || inet_reqsk(request)->rsk_listener == sk;
}

/* Early demultiplexing looked at the wire addresses: undo it. */
void ihmp_skb_forget_sock(struct sk_buff *skb)
{
	if (skb->sk)
		skb_orphan(skb);
}

u32 ihmp_skb_ifindex(const struct sk_buff *skb)
{
	return skb->dev ? skb->dev->ifindex : 0;
}

/*
 * Early demultiplexing comes before NAT, so it may find the socket of another flow: one with the addresses and ports that the packet
 * has half way through NAT. NAT undoes that itself (nf_nat_ipv4_local_in), but not for sockets with the transparent flag, which a
 * proxy's rules may have chosen. Where the flag is lent it is undone here; NAT is before us. What is left of a connection
 * in time-wait has the flag without our mark; of a proxy's, its addresses are those of its packets, and it stays.
 */
void ihmp_skb_check_sock(struct sk_buff *skb, bool ipv6)
{
	const struct sock *sk = skb->sk;
	const __be16 *sport;
	__be16 port;
	bool same;

	if (!sk || !sk->sk_dport)
		return;
	if (sk->sk_state == TCP_TIME_WAIT ? !inet_twsk(sk)->tw_transparent
					  : !sk_fullsock(sk) || !ihmp_sock_watched(sk))
		return;
	sport = skb_header_pointer(skb, skb_transport_offset(skb), sizeof(port), &port);
#if IS_ENABLED(CONFIG_IPV6)
	if (ipv6)
		same = ipv6_addr_equal(&sk->sk_v6_daddr, &ipv6_hdr(skb)->saddr);
	else
#endif
		same = sk->sk_daddr == ip_hdr(skb)->saddr;
	if (!sport || *sport != sk->sk_dport || !same)
		skb_orphan(skb);
}
