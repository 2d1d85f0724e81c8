// SPDX-License-Identifier: GPL-2.0
/*
 * Who opened the connection of a socket.
 */
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/tcp.h>

#include "internal.h"

/* A bit that the kernel does not use, beside the one in sock.c: a SYN of the socket has passed. */
#define IHMP_OPENED (BITS_PER_LONG - 2)
static_assert(INET_FLAGS_RTALERT < IHMP_OPENED);

void ihmp_sock_opens(struct sock *sk)
{
	if (!test_bit(IHMP_OPENED, &inet_sk(sk)->inet_flags))
		set_bit(IHMP_OPENED, &inet_sk(sk)->inet_flags);
}

/* TCP: made by a listener, and the handshake is not over: by TCP Fast Open it exists before. */
bool ihmp_sock_accepting(const struct sock *sk)
{
	return READ_ONCE(sk->sk_state) == TCP_SYN_RECV;
}

static bool ihmp_listens(const struct sock *sk)
{
	struct net *net = sock_net(sk);
	int dif = READ_ONCE(sk->sk_bound_dev_if);

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr))
		return inet6_lookup_listener(net, NULL, 0, &sk->sk_v6_daddr, sk->sk_dport,
					     &sk->sk_v6_rcv_saddr, sk->sk_num, dif, 0);
#endif
	return __inet_lookup_listener(net, NULL, 0, sk->sk_daddr, sk->sk_dport, sk->sk_rcv_saddr,
				      sk->sk_num, dif, 0);
}

/*
 * TCP: what is accepted is a copy of its listener, with the backlog of that. Where that is 0, a
 * listener of its port tells, unless a SYN was seen; the caller holds RCU.
 */
bool ihmp_sock_accepted(const struct sock *sk)
{
	if (READ_ONCE(sk->sk_max_ack_backlog))
		return true;
	return !test_bit(IHMP_OPENED, &inet_sk(sk)->inet_flags) && ihmp_listens(sk);
}

/* UDP: connected, from a port that the program did not choose: nobody can have known it before. */
bool ihmp_sock_calls(const struct sock *sk)
{
	return READ_ONCE(sk->sk_state) == TCP_ESTABLISHED &&
	       !(READ_ONCE(sk->sk_userlocks) & SOCK_BINDPORT_LOCK);
}
