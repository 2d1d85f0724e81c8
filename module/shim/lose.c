// SPDX-License-Identifier: GPL-2.0
/*
 * A socket whose host has had no path for too long.
 */
#include <net/inet_sock.h>
#include <net/tcp.h>

#include "shim.h"

/* What an ICMP error does to a connected socket (__udp4_lib_err). */
static bool ihmp_udp_lose(struct sock *sk)
{
	if (READ_ONCE(sk->sk_state) != TCP_ESTABLISHED)
		return false;
	WRITE_ONCE(sk->sk_err, EHOSTUNREACH);
	sk_error_report(sk);
	return true;
}

/*
 * True when the socket has the error EHOSTUNREACH now: TCP ends, connected UDP
 * finds it at its next call. May sleep.
 */
bool ihmp_sock_lose(struct sock *sk)
{
	if (!sk_fullsock(sk))
		return false;
	switch (sk->sk_protocol) {
	case IPPROTO_TCP:
		return READ_ONCE(sk->sk_state) != TCP_LISTEN && !tcp_abort(sk, EHOSTUNREACH);
	case IPPROTO_UDP:
		return ihmp_udp_lose(sk);
	default:
		return false;
	}
}
