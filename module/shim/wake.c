// SPDX-License-Identifier: GPL-2.0
/*
 * A TCP socket whose path was lost and is there again, or is another one.
 *
 * What was in flight is lost, and the back-off grew with the length of the
 * gap, which says nothing about the new path. The socket times out now (RFC
 * 6298 section 5 applies as at any timeout), but then goes on with three
 * quarters of ssthresh, about half of its earlier window, as Careful Resume
 * (draft-ietf-tsvwg-careful-resume) does on a path that it cannot know; and it
 * acknowledges what it has, so that the other end begins at once, too.
 */
#include <net/tcp.h>

#include "shim.h"

/* Milliseconds after which nothing is expected to be in flight towards us. */
#define IHMP_ACK_RECENT_MS 120000

static bool ihmp_tcp_waits(const struct sock *sk)
{
	return tcp_sk(sk)->packets_out || inet_csk(sk)->icsk_probes_out;
}

/* Bottom halves are off, the socket is locked and not in use by its owner. */
static void ihmp_tcp_expire(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);

	icsk->icsk_backoff = 0;
	if (tcp_sk(sk)->srtt_us)
		icsk->icsk_rto = __tcp_set_rto(tcp_sk(sk));
	if (icsk->icsk_pending != ICSK_TIME_PROBE0)
		smp_store_release(&icsk->icsk_pending, ICSK_TIME_RETRANS);
}

static void ihmp_tcp_resume(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u32 window = max_t(u32, TCP_INIT_CWND, tp->snd_ssthresh / 4 * 3);

	if (inet_csk(sk)->icsk_ca_state != TCP_CA_Loss || tcp_in_initial_slowstart(tp))
		return;
	/*
	 * The loss was real, though an acknowledgement of what came before the
	 * gap looks as if it was not: no trial with new data (RFC 5682), no
	 * return to the state before (RFC 4015).
	 */
	tp->frto = 0;
	tp->undo_marker = 0;
	tcp_snd_cwnd_set(tp, min(tp->snd_cwnd_clamp, tcp_packets_in_flight(tp) + window));
}

static void ihmp_tcp_ack(struct sock *sk)
{
	u32 silence = tcp_jiffies32 - inet_csk(sk)->icsk_ack.lrcvtime;

	if (sk->sk_state == TCP_ESTABLISHED && silence < msecs_to_jiffies(IHMP_ACK_RECENT_MS))
		__tcp_send_ack(sk, tcp_sk(sk)->rcv_nxt, 0);
}

/* True when something was waiting. */
bool ihmp_sock_wake(struct sock *sk)
{
	bool waits = false;

	if (!sk_fullsock(sk) || sk->sk_protocol != IPPROTO_TCP)
		return false;
	local_bh_disable();
	bh_lock_sock(sk);
	waits = ihmp_tcp_waits(sk);
	if (waits && !sock_owned_by_user(sk))
		ihmp_tcp_expire(sk);
	bh_unlock_sock(sk);
	if (waits) {
		/* The timer's function: it locks, and puts a reference. */
		sk_reset_timer(sk, &sk->tcp_retransmit_timer, jiffies);
		sock_hold(sk);
		sk->tcp_retransmit_timer.function(&sk->tcp_retransmit_timer);
	}
	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk)) {
		ihmp_tcp_resume(sk);
		ihmp_tcp_ack(sk);
	}
	bh_unlock_sock(sk);
	local_bh_enable();
	return waits;
}
