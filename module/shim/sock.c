// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets, found by the identifiers they are bound to. Addresses are 16
 * octets, IPv4 as ::ffff:a.b.c.d; ports are in host order.
 */
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "shim.h"

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

void ihmp_sock_put(struct sock *sk)
{
	sock_gen_put(sk);
}

/* Tells live sockets apart; 0 for time-wait and request sockets. */
u64 ihmp_sock_cookie(struct sock *sk)
{
	return sk_fullsock(sk) ? (uintptr_t)sk : 0;
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

/* The file by which a process has the socket; the caller holds RCU. */
static const struct file *ihmp_sock_file(const struct sock *sk)
{
	const struct socket *sock = sk_fullsock(sk) ? READ_ONCE(sk->sk_socket) : NULL;

	return sock ? READ_ONCE(sock->file) : NULL;
}

bool ihmp_sock_is_user(const struct sock *sk)
{
	return ihmp_sock_file(sk);
}

/* Tunnels and IPsec leave the inner socket on the outer packet. */
bool ihmp_sock_sends(const struct sock *sk, u8 proto, u16 sport)
{
	if (sk->sk_protocol != proto)
		return sk->sk_protocol == IPPROTO_RAW;
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

/* The flag lets IPv4 route from an address that is no longer local. */
void ihmp_sock_set_transparent(struct sock *sk, bool on)
{
	if (sk_fullsock(sk))
		inet_assign_bit(TRANSPARENT, sk, on);
}

/* The opener of the socket may send from any address without our help. */
bool ihmp_sock_may_spoof(struct sock *sk)
{
	const struct file *file = ihmp_sock_file(sk);

	return !file || file_ns_capable(file, sock_net(sk)->user_ns, CAP_NET_RAW) ||
	       file_ns_capable(file, sock_net(sk)->user_ns, CAP_NET_ADMIN);
}
