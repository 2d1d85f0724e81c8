/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	uapi/ihmp.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: uapi/regen.sh */

#ifndef _LINUX_IHMP_GEN_H
#define _LINUX_IHMP_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/ihmp.h>

/* Common nested types */
extern const struct nla_policy ihmp_addr_nl_policy[IHMP_A_ADDR_DEVICE + 1];

int ihmp_nl_host_get_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_host_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ihmp_nl_host_new_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_host_set_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_host_del_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_host_flush_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_addr_new_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_addr_del_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_path_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ihmp_nl_flow_get_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_flow_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ihmp_nl_flow_del_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_flow_flush_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_policy_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ihmp_nl_policy_new_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_policy_del_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_policy_flush_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_param_get_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_param_set_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_stats_flush_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_nat_get_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_nat_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ihmp_nl_nat_new_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_nat_del_doit(struct sk_buff *skb, struct genl_info *info);
int ihmp_nl_nat_flush_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	IHMP_NLGRP_EVENTS,
};

extern struct genl_family ihmp_nl_family;

#endif /* _LINUX_IHMP_GEN_H */
