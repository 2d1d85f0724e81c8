// SPDX-License-Identifier: GPL-2.0
/*
 * A TCP socket whose path was lost and is there again, or is another one.
 *
 * What was in flight is lost, and the back-off grew with the length of the
 * gap, which says nothing about the new path. The socket times out now (RFC
 * 6298 section 5 applies as at any timeout), but then goes on with half of its
 * earlier window, and in slow start up to all of it, as Careful Resume
 * (draft-ietf-tsvwg-careful-resume) does on a path that it cannot know; and it
 * acknowledges what it has, so that the other end begins at once, too.
 */
#include <net/arp.h>
#include <net/ndisc.h>
#include <net/tcp.h>

#include "shim.h"

/* Milliseconds after which nothing is expected to be in flight towards us. */
#define IHMP_ACK_RECENT_MS 120000

static bool ihmp_tcp_waits(const struct sock *sk)
{
	return tcp_sk(sk)->packets_out || inet_csk(sk)->icsk_pending == ICSK_TIME_PROBE0;
}

/*
 * Lets the retransmission timer do now what it does at this event. Bottom
 * halves are off, the socket is not locked. A socket that its owner uses does
 * later what was due anyway.
 */
static void ihmp_tcp_fire(struct sock *sk, u8 event)
{
	/* The timer's function locks, and puts a reference. */
	sk_reset_timer(sk, &sk->tcp_retransmit_timer, jiffies);
	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk))
		smp_store_release(&inet_csk(sk)->icsk_pending, event);
	bh_unlock_sock(sk);
	sock_hold(sk);
	sk->tcp_retransmit_timer.function(&sk->tcp_retransmit_timer);
}

/* The socket is locked and not in use by its owner. */
static void ihmp_tcp_forget_backoff(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);

	icsk->icsk_backoff = 0;
	if (tcp_sk(sk)->srtt_us)
		icsk->icsk_rto = __tcp_set_rto(tcp_sk(sk));
}

static void ihmp_tcp_resume(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u32 window = max_t(u32, TCP_INIT_CWND, tp->prior_cwnd / 2);

	if (inet_csk(sk)->icsk_ca_state != TCP_CA_Loss || tcp_in_initial_slowstart(tp))
		return;
	/*
	 * The loss was real, though an acknowledgement of what came before the
	 * gap looks as if it was not: no trial with new data (RFC 5682), no
	 * return to the state before (RFC 4015).
	 */
	tp->frto = 0;
	tp->undo_marker = 0;
	tp->snd_ssthresh = max(tp->snd_ssthresh, tp->prior_cwnd);
	tcp_snd_cwnd_set(tp, min(tp->snd_cwnd_clamp, tcp_packets_in_flight(tp) + window));
}

static void ihmp_tcp_ack(struct sock *sk, bool idle)
{
	u32 silence = tcp_jiffies32 - inet_csk(sk)->icsk_ack.lrcvtime;

	if (sk->sk_state == TCP_ESTABLISHED &&
	    (idle || silence < msecs_to_jiffies(IHMP_ACK_RECENT_MS)))
		__tcp_send_ack(sk, tcp_sk(sk)->rcv_nxt, 0);
}

/* Whether something beyond what is unacknowledged can be sent. */
static bool ihmp_tcp_can_probe(struct sock *sk)
{
	if (sk->sk_state != TCP_ESTABLISHED || !tcp_send_head(sk))
		return false;
	tcp_sk(sk)->tlp_high_seq = 0;
	return true;
}

/*
 * True when something was waiting. When what was in flight has arrived and only
 * its acknowledgements are lost, what is sent again is of no use to the other
 * end, and something new is: the probe of RFC 8985 section 7.3. A socket that
 * has been idle acknowledges only if it is to, so that the other end hears it.
 */
bool ihmp_sock_wake(struct sock *sk, bool probe, bool idle)
{
	bool waits = false, window_probe = false;

	if (sk->sk_protocol != IPPROTO_TCP)
		return false;
	local_bh_disable();
	bh_lock_sock(sk);
	waits = ihmp_tcp_waits(sk);
	if (waits && !sock_owned_by_user(sk)) {
		ihmp_tcp_forget_backoff(sk);
		window_probe = inet_csk(sk)->icsk_pending == ICSK_TIME_PROBE0;
	}
	bh_unlock_sock(sk);
	if (waits)
		ihmp_tcp_fire(sk, window_probe ? ICSK_TIME_PROBE0 : ICSK_TIME_RETRANS);
	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk)) {
		ihmp_tcp_resume(sk);
		ihmp_tcp_ack(sk, idle);
		probe = probe && waits && !window_probe && ihmp_tcp_can_probe(sk);
	} else {
		probe = false;
	}
	bh_unlock_sock(sk);
	if (probe)
		ihmp_tcp_fire(sk, ICSK_TIME_LOSS_PROBE);
	local_bh_enable();
	return waits;
}

static void ihmp_neighbour_drop(struct neighbour *n, void *net)
{
	if (!net_eq(dev_net(n->dev), net) || netif_carrier_ok(n->dev))
		return;
	write_lock_bh(&n->lock);
	__skb_queue_purge(&n->arp_queue);
	n->arp_queue_len_bytes = 0;
	write_unlock_bh(&n->lock);
}

/*
 * Drops what waits for neighbours on devices without a carrier. The kernel
 * forgets its neighbours there as the carrier goes, and asks for them again
 * with the next packets, for three seconds. As long as a packet waits for the
 * answer TCP does not send it again by another device, since it takes it for
 * not sent yet (skb_still_in_host_queue).
 */
void ihmp_neighbours_drop(struct net *net)
{
	neigh_for_each(&arp_tbl, ihmp_neighbour_drop, net);
#if IS_ENABLED(CONFIG_IPV6)
	neigh_for_each(&nd_tbl, ihmp_neighbour_drop, net);
#endif
}
