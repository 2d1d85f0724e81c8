// SPDX-License-Identifier: GPL-2.0
/*
 * A socket whose host has had no path for too long.
 */
#include <net/inet_sock.h>
#include <net/tcp.h>

#include "shim.h"

/* What an ICMP error does to a connected socket (__udp4_lib_err). */
static int ihmp_udp_lose(struct sock *sk)
{
	if (READ_ONCE(sk->sk_state) != TCP_ESTABLISHED)
		return -ENOENT;
	WRITE_ONCE(sk->sk_err, EHOSTUNREACH);
	sk_error_report(sk);
	return 0;
}

/*
 * A program may sleep with the socket locked for as long as it likes, as while
 * it copies from a page that nobody provides, and tcp_abort() would wait for
 * it. It does for one that locks the socket between the look and the call.
 */
static int ihmp_tcp_lose(struct sock *sk)
{
	bool used;

	local_bh_disable();
	bh_lock_sock(sk);
	used = sock_owned_by_user(sk);
	bh_unlock_sock(sk);
	local_bh_enable();
	if (used)
		return -EBUSY;
	return READ_ONCE(sk->sk_state) == TCP_LISTEN ? -ENOENT : tcp_abort(sk, EHOSTUNREACH);
}

/*
 * 0 when the socket has the error EHOSTUNREACH now: TCP ends, connected UDP
 * finds it at its next call. -EBUSY when it is in use, another error when it is
 * connected no more. May sleep.
 */
int ihmp_sock_lose(struct sock *sk)
{
	switch (sk->sk_protocol) {
	case IPPROTO_TCP:
		return ihmp_tcp_lose(sk);
	case IPPROTO_UDP:
		return ihmp_udp_lose(sk);
	default:
		return -ENOENT;
	}
}
