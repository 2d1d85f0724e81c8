// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets, found by the identifiers they are bound to. Addresses are 16
 * octets, IPv4 as ::ffff:a.b.c.d; ports are in host order.
 */
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/sock_reuseport.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "internal.h"

static __be32 ihmp_v4(const u8 *addr)
{
	__be32 a;

	memcpy(&a, addr + 12, sizeof(a));
	return a;
}

static struct in6_addr ihmp_v6(const u8 *addr)
{
	struct in6_addr a;

	memcpy(&a, addr, sizeof(a));
	return a;
}

/* The caller puts the socket; it may be a time-wait or request socket. */
struct sock *ihmp_sock_tcp(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
			   u32 ifindex, bool ipv6)
{
	struct in6_addr l6 = ihmp_v6(laddr), f6 = ihmp_v6(faddr);

	if (ipv6)
		return __inet6_lookup_established(net, &f6, htons(fport), &l6, lport, ifindex, 0);
	return __inet_lookup_established(net, ihmp_v4(faddr), htons(fport), ihmp_v4(laddr), lport,
					 ifindex, 0);
}

struct sock *ihmp_sock_udp(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
			   u32 ifindex, bool ipv6)
{
	struct in6_addr l6 = ihmp_v6(laddr), f6 = ihmp_v6(faddr);

	if (ipv6)
		return udp6_lib_lookup(net, &f6, htons(fport), &l6, htons(lport), ifindex);
	return udp4_lib_lookup(net, ihmp_v4(faddr), htons(fport), ihmp_v4(laddr), htons(lport),
			       ifindex);
}

/* The caller holds RCU, which keeps the socket; it need not be put. */
struct sock *ihmp_sock_listener(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
				u32 ifindex, bool ipv6)
{
	struct in6_addr l6 = ihmp_v6(laddr), f6 = ihmp_v6(faddr);

	if (ipv6)
		return inet6_lookup_listener(net, NULL, 0, &f6, htons(fport), &l6, lport, ifindex, 0);
	return __inet_lookup_listener(net, NULL, 0, ihmp_v4(faddr), htons(fport), ihmp_v4(laddr),
				      lport, ifindex, 0);
}

/* A listener that has sent cookies takes what belongs to no other socket; the caller holds RCU. */
bool ihmp_sock_cookies(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
		       u32 ifindex, bool ipv6)
{
	const struct sock *sk = ihmp_sock_listener(net, laddr, lport, faddr, fport, ifindex, ipv6);

	if (!sk || !READ_ONCE(net->ipv4.sysctl_tcp_syncookies))
		return false;
	/* Never is not recent, as jiffies near 0 would have it. */
	if (!sk->sk_reuseport && !READ_ONCE(tcp_sk(sk)->rx_opt.ts_recent_stamp))
		return false;
	return !tcp_synq_no_recent_overflow(sk);
}

void ihmp_sock_put(struct sock *sk)
{
	sock_gen_put(sk);
}

bool ihmp_sock_full(const struct sock *sk)
{
	return sk_fullsock(sk);
}

/* What follows is for full sockets. Tells live ones apart. */
u64 ihmp_sock_cookie(const struct sock *sk)
{
	return (uintptr_t)sk;
}

/* TCP: past the handshake; UDP: connected. */
bool ihmp_sock_established(const struct sock *sk)
{
	return (1 << READ_ONCE(sk->sk_state)) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_FIN_WAIT1 |
						 TCPF_FIN_WAIT2 | TCPF_CLOSING | TCPF_LAST_ACK);
}

bool ihmp_sock_opening(const struct sock *sk)
{
	return READ_ONCE(sk->sk_state) == TCP_SYN_SENT;
}

/* A TCP connection on which no data has come, nor gone and been acknowledged: the SYN counts as an octet. */
bool ihmp_sock_is_new(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return !READ_ONCE(tp->bytes_received) && READ_ONCE(tp->bytes_acked) <= 1;
}

/*
 * A segment of the connection begins here: in the window, or no farther before
 * it than a window without scaling; and it acknowledges what TCP would believe
 * (RFC 5961 section 5.2). The fields may change meanwhile.
 */
bool ihmp_sock_is_within(const struct sock *sk, u32 sequence, u32 acknowledged)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 oldest = READ_ONCE(tp->snd_una) - READ_ONCE(tp->max_window);
	u32 before = U16_MAX;

	return sequence - (READ_ONCE(tp->rcv_nxt) - before) <= before + READ_ONCE(tp->rcv_wnd) &&
	       between(acknowledged, oldest, READ_ONCE(tp->snd_nxt));
}

/* The file by which a process has the socket; the caller holds RCU. */
static const struct file *ihmp_sock_file(const struct sock *sk)
{
	const struct socket *sock = READ_ONCE(sk->sk_socket);

	return sock ? READ_ONCE(sock->file) : NULL;
}

bool ihmp_sock_is_user(const struct sock *sk)
{
	return ihmp_sock_file(sk);
}

/*
 * IPsec gives the inner socket to the hook with the outer packet, which may be
 * that of another namespace, and the kernel's own raw socket sends resets and
 * the acknowledgements of time-wait.
 */
bool ihmp_sock_sends(const struct sock *sk, const struct net *net, u8 proto, u16 sport)
{
	if (!net_eq(sock_net(sk), net))
		return false;
	if (sk->sk_protocol != proto)
		return sk->sk_protocol == IPPROTO_RAW;
	if (sk->sk_type == SOCK_RAW && (proto == IPPROTO_TCP || proto == IPPROTO_UDP))
		return false;
	return proto != IPPROTO_TCP && proto != IPPROTO_UDP ? true : inet_sk(sk)->inet_num == sport;
}

/* The device that the socket is bound to, or 0. */
u32 ihmp_sock_device(const struct sock *sk)
{
	return READ_ONCE(sk->sk_bound_dev_if);
}

bool ihmp_sock_transparent(const struct sock *sk)
{
	return inet_test_bit(TRANSPARENT, sk);
}

/* The opener of the socket may send from any address without our help. */
bool ihmp_sock_may_spoof(struct sock *sk)
{
	const struct file *file = ihmp_sock_file(sk);

	return file && (file_ns_capable(file, sock_net(sk)->user_ns, CAP_NET_RAW) ||
			file_ns_capable(file, sock_net(sk)->user_ns, CAP_NET_ADMIN));
}

/* The program itself set FREEBIND, TRANSPARENT (not lent) or HDRINCL. */
bool ihmp_sock_own_source(const struct sock *sk)
{
	return inet_test_bit(FREEBIND, sk) || inet_test_bit(HDRINCL, sk) ||
	       ihmp_sock_own_transparent(sk);
}

static bool ihmp_sock_bound_alike(const struct sock *a, const struct sock *b)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (a->sk_family == AF_INET6 && !ipv6_addr_equal(&a->sk_v6_rcv_saddr, &b->sk_v6_rcv_saddr))
		return false;
#endif
	return a->sk_family == b->sk_family && a->sk_rcv_saddr == b->sk_rcv_saddr &&
	       inet_sk(a)->inet_num == inet_sk(b)->inet_num &&
	       READ_ONCE(a->sk_bound_dev_if) == READ_ONCE(b->sk_bound_dev_if);
}

/* One socket, or two among which the kernel spreads what comes in. connect() binds one to an address, but it stays. */
bool ihmp_sock_shares(const struct sock *a, const struct sock *b)
{
	if (a == b)
		return true;
	if (a->sk_protocol != b->sk_protocol ||
	    !a->sk_reuseport || !b->sk_reuseport || !uid_eq(sk_uid(a), sk_uid(b)))
		return false;
	if (rcu_access_pointer(a->sk_reuseport_cb) &&
	    rcu_access_pointer(a->sk_reuseport_cb) == rcu_access_pointer(b->sk_reuseport_cb))
		return true;
	return ihmp_sock_bound_alike(a, b);
}
