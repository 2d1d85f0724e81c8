/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C side of the fence: everything that Rust may call, and everything
 * that C calls in Rust. Only scalars, byte pointers and opaque pointers
 * cross, so no layout of a kernel structure is known on the other side.
 *
 * "payload" is a Rust value that lives behind a header of ours in one
 * allocation; C hands out and takes the address of the payload only.
 */
#ifndef IHMP_SHIM_H
#define IHMP_SHIM_H

#ifdef __BINDGEN__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef _Bool bool;
#else
#include <linux/types.h>
#endif

struct sk_buff;
struct sock;
struct net;
struct nlattr;
struct genl_info;
struct netlink_callback;
struct dst_cache;
struct nf_hook_state;
struct ihmp_net;

/* Octets of the keys at the head of the payloads. */
enum {
	IHMP_ADDR_KEY = 16,	/* address node: the address */
	IHMP_FLOW_KEY = 40,	/* row: five identifiers */
	IHMP_WIRE_KEY = 12,	/* row, after the flow key: host, proto, ports */
	IHMP_SEEN_KEY = 24,	/* nat: what comes from a NAT */
	IHMP_MEANT_KEY = 28,	/* nat, after the seen key: what goes to one */
	IHMP_COUNTERS = 64,	/* per-CPU counters of a namespace */
};

/* Limits of what is remembered of announced moves, and of the packets that wait for them. */
enum {
	IHMP_ANNOUNCED_BY_HOST = 64,		/* sources; the oldest makes room */
	IHMP_ANNOUNCED_BY_SOURCE = 64,		/* hosts; the same */
	IHMP_ANNOUNCED_MOST = 16384,
	IHMP_HELD_BY_HOST = 1024,		/* packets */
	IHMP_HELD_MOST = 4096,
	IHMP_HELD_OCTETS_BY_HOST = 4 << 20,	/* of memory */
	IHMP_HELD_OCTETS = 16 << 20,
};

/* Kinds of payload. */
enum ihmp_kind {
	IHMP_KIND_HOST,
	IHMP_KIND_VIEW,
	IHMP_KIND_ADDR,
	IHMP_KIND_ROW,
	IHMP_KIND_POLICY,
	IHMP_KIND_NAT,
	IHMP_KIND_NATTED,
	IHMP_KIND_NETWORK,
	IHMP_KIND_MAX,
};

/* For whom memory is, and what becomes of the limit of the memory cgroup that it is charged to. */
enum ihmp_memory {
	IHMP_MEMORY_COMMAND,	/* sleeps, and is refused at the limit */
	IHMP_MEMORY_PACKET,	/* goes beyond the limit */
	IHMP_MEMORY_WITHIN,	/* of a packet, and is refused at the limit */
};

/* Netfilter hooks of a namespace. */
enum ihmp_hook {
	IHMP_HOOK_OUT4,
	IHMP_HOOK_OUT6,
	IHMP_HOOK_IN4,
	IHMP_HOOK_IN6,
	IHMP_HOOK_MAX,
};

/* What a hook wants done with the packet. */
enum ihmp_verdict {
	IHMP_ACCEPT,
	IHMP_DROP,	/* freed without an error for the sender */
	IHMP_REFUSE,	/* freed, and the sender is told */
	IHMP_UNREACHABLE,	/* the same, with EHOSTUNREACH */
	IHMP_STOLEN,	/* the module keeps the packet */
};

/* What has become of a packet that was to wait. */
enum ihmp_held_as {
	IHMP_HELD,	/* the module keeps it */
	IHMP_HELD_NOT,	/* there is no room */
	IHMP_HELD_LOST,	/* it is to be dropped */
};

/* net.c: life of a network namespace */
int ihmp_pernet_register(void);
void ihmp_pernet_unregister(void);
struct ihmp_net *ihmp_net_of(struct net *net);
struct net *ihmp_net_ns(struct ihmp_net *in);
void *ihmp_net_state(struct ihmp_net *in);
int ihmp_hooks_set(struct ihmp_net *in, bool on);
u32 ihmp_hooks_count(const struct ihmp_net *in);
void ihmp_count(struct ihmp_net *in, u32 counter, u64 n);
u64 ihmp_count_read(struct ihmp_net *in, u32 counter);
void ihmp_count_reset(struct ihmp_net *in);
void ihmp_gc_schedule(struct ihmp_net *in, u32 ms);
void *ihmp_net_initial(const struct ihmp_net *in);

/* object.c: payloads under RCU and the tables that hold them */
void *ihmp_object_alloc(u32 kind, u64 size, u32 memory);
void ihmp_object_free(void *payload);
void ihmp_object_retire(void *payload);
bool ihmp_object_get(void *payload);
void ihmp_object_put(void *payload);
void *ihmp_publish(void **slot, void *payload);
void *ihmp_deref(void *const *slot);

#define IHMP_TABLE_FUNCTIONS(table)						\
	void *ihmp_##table##_find(struct ihmp_net *in, const void *key);	\
	int ihmp_##table##_insert(struct ihmp_net *in, void *payload);		\
	int ihmp_##table##_remove(struct ihmp_net *in, void *payload);
IHMP_TABLE_FUNCTIONS(addrs)
IHMP_TABLE_FUNCTIONS(flows)
IHMP_TABLE_FUNCTIONS(wires)
IHMP_TABLE_FUNCTIONS(seen)
IHMP_TABLE_FUNCTIONS(meant)
IHMP_TABLE_FUNCTIONS(natted)
IHMP_TABLE_FUNCTIONS(networks)

#define IHMP_PAIR_FUNCTIONS(pair)						\
	int ihmp_##pair##_remove(struct ihmp_net *in, void *payload, bool apart); \
	int ihmp_##pair##_link(void *host, void *payload);			\
	void ihmp_##pair##_unlink(void *host, void *payload);			\
	void *ihmp_##pair##_next(void *host, u32 *id);
IHMP_PAIR_FUNCTIONS(row)
IHMP_PAIR_FUNCTIONS(nat)

int ihmp_addrs_replace(struct ihmp_net *in, void *old, void *payload);
int ihmp_nat_exchange(struct ihmp_net *in, void *payload, void **seen, void **meant);

int ihmp_row_wire(struct ihmp_net *in, void *payload);

int ihmp_host_reserve(struct ihmp_net *in, u32 *id);
void ihmp_host_link(struct ihmp_net *in, void *host, u32 id);
void *ihmp_host_by_id(struct ihmp_net *in, u32 id);
void *ihmp_host_unlink(struct ihmp_net *in, u32 id);
void *ihmp_host_next(struct ihmp_net *in, u32 *id);

/* charge.c: whose memory it is */
void *ihmp_charge(const struct sock *sk);
void ihmp_charge_end(void *before);

/* skb.c: one packet */
const u8 *ihmp_skb_head(struct sk_buff *skb, u32 *len);
bool ihmp_skb_pull(struct sk_buff *skb, u32 len);
u8 *ihmp_skb_writable(struct sk_buff *skb, u32 len);
void ihmp_skb_csum(struct sk_buff *skb, u32 at, u32 pseudo, u32 plain, bool mangle_zero, bool ipv6);
void ihmp_skb_crc(struct sk_buff *skb, u32 at, u32 difference);
void ihmp_skb_forget_csum(struct sk_buff *skb);
u32 ihmp_skb_len(const struct sk_buff *skb);
bool ihmp_skb_is_admitted(struct sk_buff *skb, struct sock *sk, bool ipv6);
bool ihmp_skb_has_cookie(const struct sk_buff *skb, u32 l4, bool ipv6);
u32 ihmp_skb_wire_len(const struct sk_buff *skb);
bool ihmp_skb_out_loopback(const struct sk_buff *skb);
u32 ihmp_skb_out_device(const struct sk_buff *skb);
bool ihmp_skb_in_loopback(const struct sk_buff *skb);
struct sock *ihmp_skb_sock(struct sock *sk);
struct sock *ihmp_skb_listener(const struct sk_buff *skb, struct sock *sk);
bool ihmp_skb_request(const struct sk_buff *skb, const struct sock *sk, u32 *device);
void ihmp_skb_forget_sock(struct sk_buff *skb);
void ihmp_skb_check_sock(struct sk_buff *skb, bool ipv6);
u32 ihmp_skb_ifindex(const struct sk_buff *skb);

/* route.c: where a packet goes after rewriting */
struct dst_cache *ihmp_dst_cache_new(void);
void ihmp_dst_cache_free(struct dst_cache *cache);
int ihmp_route_out(struct net *net, struct sk_buff *skb, struct sock *sk, struct dst_cache *cache, u32 tag,
		   u32 device, bool ipv6);
void ihmp_routes_renew6(struct ihmp_net *in);
void ihmp_route_last_resort6(const struct sk_buff *skb, struct sock *sk);

/* addr.c: whether an address is this machine's, and which device has it */
u32 ihmp_addrs_change(const struct net *net, bool ipv6);
bool ihmp_device_serves(struct net *net, u32 device, u32 bound);
s32 ihmp_addr_device(struct net *net, const struct sk_buff *skb, const u8 *addr, bool ipv6);
bool ihmp_addr_is_up(struct net *net, const struct sk_buff *skb, const u8 *addr, bool ipv6);
bool ihmp_source_is_local(struct net *net, const struct sk_buff *skb, bool ipv6);

/* sock.c: sockets, looked up by identifiers, ports in host order */
struct sock *ihmp_sock_tcp(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
			   u32 ifindex, bool ipv6);
struct sock *ihmp_sock_udp(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
			   u32 ifindex, bool ipv6);
struct sock *ihmp_sock_listener(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
				u32 ifindex, bool ipv6);
bool ihmp_sock_cookies(struct net *net, const u8 *laddr, u16 lport, const u8 *faddr, u16 fport,
		       u32 ifindex, bool ipv6);
void ihmp_sock_put(struct sock *sk);
bool ihmp_sock_full(const struct sock *sk);
u64 ihmp_sock_cookie(const struct sock *sk);
bool ihmp_sock_established(const struct sock *sk);
bool ihmp_sock_opening(const struct sock *sk);
bool ihmp_sock_is_new(const struct sock *sk);
bool ihmp_sock_is_within(const struct sock *sk, u32 sequence, u32 acknowledged);
bool ihmp_sock_is_user(const struct sock *sk);
bool ihmp_sock_sends(const struct sock *sk, const struct net *net, u8 proto, u16 sport);
u32 ihmp_sock_device(const struct sock *sk);
bool ihmp_sock_transparent(const struct sock *sk);
bool ihmp_sock_may_spoof(struct sock *sk);
bool ihmp_sock_own_source(const struct sock *sk);
bool ihmp_sock_shares(const struct sock *a, const struct sock *b);

/* lend.c: sockets that we let send from any address */
bool ihmp_sock_watched(const struct sock *sk);
bool ihmp_sock_own_transparent(const struct sock *sk);
int ihmp_sock_lend(struct ihmp_net *in, struct sock *sk);
int ihmp_sock_lend_group(struct ihmp_net *in, struct sock *sk);
void ihmp_sock_take_back(struct sock *sk);
void ihmp_sock_return(struct ihmp_net *in, bool all);

/* opener.c: who opened a connection */
bool ihmp_sock_accepting(const struct sock *sk);
void ihmp_sock_opens(struct sock *sk);
bool ihmp_sock_accepted(const struct sock *sk);
bool ihmp_sock_calls(const struct sock *sk);

/* stranded.c: sockets whose IPv4 address is gone */
void ihmp_stranded_schedule(struct ihmp_net *in);
u8 ihmp_sock_flow4(const struct sock *sk, u8 *laddr, u16 *lport, u8 *faddr, u16 *fport);

/* wake.c: TCP after a gap */
bool ihmp_sock_wake(struct sock *sk, bool probe, bool idle);
void ihmp_neighbours_drop(struct net *net);

/* lose.c: a host without a path for too long */
int ihmp_sock_lose(struct sock *sk);

/* announce.c: announced moves */
bool ihmp_announce(struct ihmp_net *in, const u8 *source, u32 host, bool natted, u64 until, u64 forget);
bool ihmp_announced_next(struct ihmp_net *in, const u8 *source, const void **at, u32 *host, u64 *until,
			 bool *natted);
void ihmp_announced_forget(struct ihmp_net *in, u64 now);

/* hold.c: packets that wait for them */
u32 ihmp_hold(struct ihmp_net *in, struct sk_buff *skb, const struct nf_hook_state *state, const u8 *source,
	       u32 host, u64 until);
void ihmp_hold_release(struct ihmp_net *in, u32 host, const u8 *source);

/* genl.c: messages of the family */
int ihmp_family_register(void);
void ihmp_family_unregister(void);
struct ihmp_net *ihmp_info_net(struct genl_info *info);
struct ihmp_net *ihmp_cb_net(struct netlink_callback *cb);
const struct nlattr *ihmp_info_attr(const struct genl_info *info, u32 type);
const struct nlattr *ihmp_info_next(const struct genl_info *info, const struct nlattr *prev, u32 type);
const struct nlattr *ihmp_cb_attr(const struct netlink_callback *cb, u32 type);
const struct nlattr *ihmp_nest_attr(const struct nlattr *nest, u32 type);
u32 ihmp_attr_len(const struct nlattr *attr);
const u8 *ihmp_attr_data(const struct nlattr *attr);
u64 ihmp_attr_uint(const struct nlattr *attr);
void ihmp_info_error(struct genl_info *info, const struct nlattr *attr, const u8 *text, u64 len);
void ihmp_info_missing(struct genl_info *info, u32 type);
u64 *ihmp_cb_position(struct netlink_callback *cb);

struct sk_buff *ihmp_reply_new(struct genl_info *info, void **header);
struct sk_buff *ihmp_events_new(u32 count, u32 room);
void *ihmp_event_put(struct sk_buff *msg, u32 cmd);
void *ihmp_dump_put(struct sk_buff *msg, struct netlink_callback *cb, u32 cmd);
void ihmp_msg_end(struct sk_buff *msg, void *header);
void ihmp_msg_cancel(struct sk_buff *msg, void *header);
int ihmp_reply_send(struct sk_buff *msg, struct genl_info *info);
void ihmp_events_send(struct ihmp_net *in, struct sk_buff *msg);
bool ihmp_events_wanted(struct ihmp_net *in);
void ihmp_msg_free(struct sk_buff *msg);
int ihmp_put(struct sk_buff *msg, u32 type, const void *data, u32 len);
int ihmp_put_uint(struct sk_buff *msg, u32 type, u64 value);
struct nlattr *ihmp_nest_start(struct sk_buff *msg, u32 type);
void ihmp_nest_end(struct sk_buff *msg, struct nlattr *nest);

/* time.c: clocks and chance */
u64 ihmp_jiffies(void);
u64 ihmp_jiffies_to_ms(u64 jiffies);
u64 ihmp_ms_to_jiffies(u64 ms);
u32 ihmp_random(void);

/* Called by C, written in Rust (module/ffi/entry.rs). */
void *ihmp_rs_net_init(struct ihmp_net *in);
void ihmp_rs_net_exit(void *state);
u32 ihmp_rs_hook(void *state, struct sk_buff *skb, struct sock *sk, u32 hook, const struct nf_hook_state *wait);
void ihmp_rs_held_lost(void *state);
void ihmp_rs_drop(u32 kind, void *payload);
void ihmp_rs_gc(void *state);
void ihmp_rs_stranded(void *state, struct sock *sk);

#endif
