// SPDX-License-Identifier: GPL-2.0
/* Life of a network namespace: its state, its hooks, its counters, its work. */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/slab.h>
#include <net/netns/generic.h>
#include <net/netfilter/ipv6/nf_defrag_ipv6.h>

#include "internal.h"

static unsigned int ihmp_net_id;

struct ihmp_net *ihmp_net_of(struct net *net)
{
	return net_generic(net, ihmp_net_id);
}

struct net *ihmp_net_ns(struct ihmp_net *in)
{
	return in->net;
}

void *ihmp_net_state(struct ihmp_net *in)
{
	return in->state;
}

/*
 * `sk` is the hook's socket, not the packet's: tunnels leave the inner socket on what they make. `wait` is
 * how a packet goes on that had to wait, null if it may not.
 */
static unsigned int ihmp_hook_run(struct ihmp_net *in, struct sk_buff *skb, struct sock *sk, u32 hook,
				  const struct nf_hook_state *wait)
{
	switch (ihmp_rs_hook(in->state, skb, sk, hook, wait)) {
	case IHMP_ACCEPT:
		return NF_ACCEPT;
	case IHMP_DROP:
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
		return NF_STOLEN;
	case IHMP_REFUSE:
		return NF_DROP;
	case IHMP_UNREACHABLE:
		return NF_DROP_ERR(-EHOSTUNREACH);
	default:
		return NF_STOLEN;
	}
}

static unsigned int ihmp_out4(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return ihmp_hook_run(priv, skb, state->sk, IHMP_HOOK_OUT4, NULL);
}

static unsigned int ihmp_out6(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	ihmp_route_last_resort6(skb, state->sk);
	return ihmp_hook_run(priv, skb, state->sk, IHMP_HOOK_OUT6, NULL);
}

static unsigned int ihmp_in4(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	ihmp_skb_check_sock(skb, false);
	return ihmp_hook_run(priv, skb, NULL, IHMP_HOOK_IN4, state);
}

static unsigned int ihmp_in6(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	ihmp_skb_check_sock(skb, true);
	return ihmp_hook_run(priv, skb, NULL, IHMP_HOOK_IN6, state);
}

/* Out: before everybody. In: last, beside conntrack's confirmation. See Documentation/firewall.rst. */
static const struct nf_hook_ops ihmp_hook_ops[IHMP_HOOK_MAX] = {
	[IHMP_HOOK_OUT4] = { .hook = ihmp_out4, .pf = NFPROTO_IPV4,
			     .hooknum = NF_INET_LOCAL_OUT, .priority = NF_IP_PRI_FIRST },
	[IHMP_HOOK_OUT6] = { .hook = ihmp_out6, .pf = NFPROTO_IPV6,
			     .hooknum = NF_INET_LOCAL_OUT, .priority = NF_IP6_PRI_FIRST },
	[IHMP_HOOK_IN4] = { .hook = ihmp_in4, .pf = NFPROTO_IPV4,
			    .hooknum = NF_INET_LOCAL_IN, .priority = NF_IP_PRI_LAST },
	[IHMP_HOOK_IN6] = { .hook = ihmp_in6, .pf = NFPROTO_IPV6,
			    .hooknum = NF_INET_LOCAL_IN, .priority = NF_IP6_PRI_LAST },
};

static void ihmp_hooks_off(struct ihmp_net *in)
{
	nf_unregister_net_hooks(in->net, in->ops, IHMP_HOOK_MAX);
	nf_defrag_ipv6_disable(in->net);
	WRITE_ONCE(in->hooked, false);
}

static int ihmp_hooks_on(struct ihmp_net *in)
{
	int err = nf_defrag_ipv6_enable(in->net);

	if (err)
		return err;
	err = nf_register_net_hooks(in->net, in->ops, IHMP_HOOK_MAX);
	if (err)
		nf_defrag_ipv6_disable(in->net);
	else
		WRITE_ONCE(in->hooked, true);
	in->routes |= !err;
	return err;
}

/* The caller serialises calls for one namespace. */
int ihmp_hooks_set(struct ihmp_net *in, bool on)
{
	if (on == in->hooked)
		return 0;
	if (on)
		return ihmp_hooks_on(in);
	ihmp_hooks_off(in);
	return 0;
}

u32 ihmp_hooks_count(const struct ihmp_net *in)
{
	return READ_ONCE(in->hooked) ? IHMP_HOOK_MAX : 0;
}

void ihmp_count(struct ihmp_net *in, u32 counter, u64 n)
{
	this_cpu_add(in->counters->n[counter], n);
}

u64 ihmp_count_read(struct ihmp_net *in, u32 counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(in->counters, cpu)->n[counter]);
	return sum;
}

void ihmp_count_reset(struct ihmp_net *in)
{
	int cpu;

	for_each_possible_cpu(cpu)
		memset(per_cpu_ptr(in->counters, cpu), 0, sizeof(struct ihmp_counters));
}

static void ihmp_gc_work(struct work_struct *work)
{
	ihmp_rs_gc(container_of(work, struct ihmp_net, gc.work)->state);
}

void ihmp_gc_schedule(struct ihmp_net *in, u32 ms)
{
	queue_delayed_work(system_power_efficient_wq, &in->gc, msecs_to_jiffies(ms));
}

/* The state of the initial namespace, for one that belongs to another user namespace than that; NULL for others. */
void *ihmp_net_initial(const struct ihmp_net *in)
{
	return in->net->user_ns == init_net.user_ns ? NULL : ihmp_net_of(&init_net)->state;
}

static int __net_init ihmp_net_init(struct net *net)
{
	struct ihmp_net *in = ihmp_net_of(net);
	int err, i;

	in->net = net;
	for (i = 0; i < IHMP_HOOK_MAX; i++) {
		in->ops[i] = ihmp_hook_ops[i];
		in->ops[i].priv = in;
	}
	INIT_DELAYED_WORK(&in->gc, ihmp_gc_work);
	ihmp_stranded_init(in);
	err = ihmp_hold_init(in);
	if (err)
		return err;
	err = -ENOMEM;
	in->counters = alloc_percpu_gfp(struct ihmp_counters, GFP_KERNEL_ACCOUNT);
	if (!in->counters)
		goto end_hold;
	err = ihmp_tables_init(in);
	if (err)
		goto free_counters;
	in->state = ihmp_rs_net_init(in);
	if (in->state)
		return 0;
	err = -ENOMEM;
	ihmp_tables_exit(in);
free_counters:
	free_percpu(in->counters);
end_hold:
	ihmp_hold_exit(in);
	return err;
}

/* Before the grace period that the core waits for: no new packet enters. */
static void __net_exit ihmp_net_pre_exit(struct net *net)
{
	struct ihmp_net *in = ihmp_net_of(net);

	/* It changes the hooks, too. */
	disable_delayed_work_sync(&in->gc);
	ihmp_stranded_exit(in);
	if (in->hooked)
		ihmp_hooks_off(in);
}

/* After the grace period: no hook runs any more. */
static void __net_exit ihmp_net_exit(struct net *net)
{
	struct ihmp_net *in = ihmp_net_of(net);

	ihmp_hold_exit(in);
	ihmp_rs_net_exit(in->state);
	ihmp_tables_exit(in);
	free_percpu(in->counters);
}

/* What was retired is freed. A row's callback may retire its host, and a host's its view: three generations. */
static void ihmp_retired_wait(void)
{
	rcu_barrier();
	rcu_barrier();
	rcu_barrier();
}

/*
 * The routes that views keep count in their namespace's IPv6, which goes after
 * us and waits for nobody: percpu_counter_destroy() in ip6_route_net_exit().
 */
static void __net_exit ihmp_net_exit_batch(struct list_head *nets)
{
	struct net *net;

	list_for_each_entry(net, nets, exit_list) {
		if (ihmp_net_of(net)->routes) {
			ihmp_retired_wait();
			return;
		}
	}
}

static struct pernet_operations ihmp_pernet_ops = {
	.init = ihmp_net_init,
	.pre_exit = ihmp_net_pre_exit,
	.exit = ihmp_net_exit,
	.exit_batch = ihmp_net_exit_batch,
	.id = &ihmp_net_id,
	.size = sizeof(struct ihmp_net),
};

int ihmp_pernet_register(void)
{
	int err = register_pernet_subsys(&ihmp_pernet_ops);

	/* Namespaces that were done already have retired something, and this text goes. */
	if (err)
		ihmp_retired_wait();
	return err;
}

void ihmp_pernet_unregister(void)
{
	unregister_pernet_subsys(&ihmp_pernet_ops);
	ihmp_retired_wait();
}
