// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	uapi/ihmp.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: uapi/regen.sh */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/ihmp.h>

/* Integer value ranges */
static const struct netlink_range_validation ihmp_a_param_max_hosts_range = {
	.min	= 1ULL,
	.max	= 1048576ULL,
};

static const struct netlink_range_validation ihmp_a_param_max_flows_range = {
	.min	= 1ULL,
	.max	= 4194304ULL,
};

static const struct netlink_range_validation ihmp_a_param_udp_timeout_range = {
	.min	= 1ULL,
	.max	= 86400ULL,
};

static const struct netlink_range_validation ihmp_a_param_path_timeout_range = {
	.max	= 86400ULL,
};

static const struct netlink_range_validation ihmp_a_param_max_nats_range = {
	.min	= 1ULL,
	.max	= 1048576ULL,
};

/* Common nested types */
const struct nla_policy ihmp_addr_nl_policy[IHMP_A_ADDR_DEVICE + 1] = {
	[IHMP_A_ADDR_ADDRESS] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_ADDR_SET] = NLA_POLICY_MAX(NLA_U32, 3),
	[IHMP_A_ADDR_PREFERENCE] = { .type = NLA_U16, },
	[IHMP_A_ADDR_UNVALIDATED] = { .type = NLA_FLAG, },
	[IHMP_A_ADDR_NAT] = { .type = NLA_FLAG, },
	[IHMP_A_ADDR_LEFT] = { .type = NLA_FLAG, },
	[IHMP_A_ADDR_DEVICE] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* IHMP_CMD_HOST_GET - do */
static const struct nla_policy ihmp_host_get_nl_policy[IHMP_A_HOST_ADDRESS + 1] = {
	[IHMP_A_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[IHMP_A_HOST_ADDRESS] = NLA_POLICY_MAX_LEN(16),
};

/* IHMP_CMD_HOST_NEW - do */
static const struct nla_policy ihmp_host_new_nl_policy[IHMP_A_HOST_EXPIRES_IN + 1] = {
	[IHMP_A_HOST_MODE] = NLA_POLICY_MAX(NLA_U32, 0),
	[IHMP_A_HOST_STATE] = NLA_POLICY_MAX(NLA_U32, 2),
	[IHMP_A_HOST_SCHEDULER] = NLA_POLICY_MAX(NLA_U32, 0),
	[IHMP_A_HOST_NAME] = { .type = NLA_NUL_STRING, .len = IHMP_NAME_MAX, },
	[IHMP_A_HOST_ADDR] = NLA_POLICY_NESTED(ihmp_addr_nl_policy),
	[IHMP_A_HOST_EXPIRES_IN] = { .type = NLA_UINT, },
};

/* IHMP_CMD_HOST_SET - do */
static const struct nla_policy ihmp_host_set_nl_policy[IHMP_A_HOST_WAKE_IDLE + 1] = {
	[IHMP_A_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[IHMP_A_HOST_STATE] = NLA_POLICY_MAX(NLA_U32, 2),
	[IHMP_A_HOST_SCHEDULER] = NLA_POLICY_MAX(NLA_U32, 0),
	[IHMP_A_HOST_NAME] = { .type = NLA_NUL_STRING, .len = IHMP_NAME_MAX, },
	[IHMP_A_HOST_ADDR] = NLA_POLICY_NESTED(ihmp_addr_nl_policy),
	[IHMP_A_HOST_CLEAR] = NLA_POLICY_MAX(NLA_U32, 3),
	[IHMP_A_HOST_EXPIRES_IN] = { .type = NLA_UINT, },
	[IHMP_A_HOST_WAKE] = { .type = NLA_FLAG, },
	[IHMP_A_HOST_DOUBT] = { .type = NLA_FLAG, },
	[IHMP_A_HOST_WAKE_IDLE] = { .type = NLA_FLAG, },
};

/* IHMP_CMD_HOST_DEL - do */
static const struct nla_policy ihmp_host_del_nl_policy[IHMP_A_HOST_ID + 1] = {
	[IHMP_A_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* IHMP_CMD_ADDR_NEW - do */
static const struct nla_policy ihmp_addr_new_nl_policy[IHMP_A_HOST_ADDR + 1] = {
	[IHMP_A_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[IHMP_A_HOST_ADDR] = NLA_POLICY_NESTED(ihmp_addr_nl_policy),
};

/* IHMP_CMD_ADDR_DEL - do */
static const struct nla_policy ihmp_addr_del_nl_policy[IHMP_A_HOST_ADDR + 1] = {
	[IHMP_A_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[IHMP_A_HOST_ADDR] = NLA_POLICY_NESTED(ihmp_addr_nl_policy),
};

/* IHMP_CMD_PATH_GET - dump */
static const struct nla_policy ihmp_path_get_nl_policy[IHMP_A_PATH_HOST_ID + 1] = {
	[IHMP_A_PATH_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* IHMP_CMD_FLOW_GET - do */
static const struct nla_policy ihmp_flow_get_do_nl_policy[IHMP_A_FLOW_REMOTE_PORT + 1] = {
	[IHMP_A_FLOW_PROTO] = { .type = NLA_U8, },
	[IHMP_A_FLOW_LOCAL] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_FLOW_REMOTE] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_FLOW_LOCAL_PORT] = { .type = NLA_U16, },
	[IHMP_A_FLOW_REMOTE_PORT] = { .type = NLA_U16, },
};

/* IHMP_CMD_FLOW_GET - dump */
static const struct nla_policy ihmp_flow_get_dump_nl_policy[IHMP_A_FLOW_HOST_ID + 1] = {
	[IHMP_A_FLOW_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* IHMP_CMD_FLOW_DEL - do */
static const struct nla_policy ihmp_flow_del_nl_policy[IHMP_A_FLOW_REMOTE_PORT + 1] = {
	[IHMP_A_FLOW_PROTO] = { .type = NLA_U8, },
	[IHMP_A_FLOW_LOCAL] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_FLOW_REMOTE] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_FLOW_LOCAL_PORT] = { .type = NLA_U16, },
	[IHMP_A_FLOW_REMOTE_PORT] = { .type = NLA_U16, },
};

/* IHMP_CMD_FLOW_FLUSH - do */
static const struct nla_policy ihmp_flow_flush_nl_policy[IHMP_A_FLOW_HOST_ID + 1] = {
	[IHMP_A_FLOW_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* IHMP_CMD_POLICY_NEW - do */
static const struct nla_policy ihmp_policy_new_nl_policy[IHMP_A_POLICY_ACTION + 1] = {
	[IHMP_A_POLICY_ADDRESS] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_POLICY_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
	[IHMP_A_POLICY_ACTION] = NLA_POLICY_MAX(NLA_U32, 3),
};

/* IHMP_CMD_POLICY_DEL - do */
static const struct nla_policy ihmp_policy_del_nl_policy[IHMP_A_POLICY_PREFIX_LEN + 1] = {
	[IHMP_A_POLICY_ADDRESS] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_POLICY_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, 128),
};

/* IHMP_CMD_PARAM_SET - do */
static const struct nla_policy ihmp_param_set_nl_policy[IHMP_A_PARAM_ENABLED + 1] = {
	[IHMP_A_PARAM_DISCOVERY] = NLA_POLICY_MAX(NLA_U32, 1),
	[IHMP_A_PARAM_PORT] = NLA_POLICY_MIN(NLA_U16, 1),
	[IHMP_A_PARAM_MAX_HOSTS] = NLA_POLICY_FULL_RANGE(NLA_U32, &ihmp_a_param_max_hosts_range),
	[IHMP_A_PARAM_MAX_FLOWS] = NLA_POLICY_FULL_RANGE(NLA_U32, &ihmp_a_param_max_flows_range),
	[IHMP_A_PARAM_UDP_TIMEOUT] = NLA_POLICY_FULL_RANGE(NLA_U32, &ihmp_a_param_udp_timeout_range),
	[IHMP_A_PARAM_HOLD_TIME] = NLA_POLICY_MAX(NLA_U32, 1000),
	[IHMP_A_PARAM_SCHEDULER] = NLA_POLICY_MAX(NLA_U32, 0),
	[IHMP_A_PARAM_PATH_TIMEOUT] = NLA_POLICY_FULL_RANGE(NLA_U32, &ihmp_a_param_path_timeout_range),
	[IHMP_A_PARAM_MAX_NATS] = NLA_POLICY_FULL_RANGE(NLA_U32, &ihmp_a_param_max_nats_range),
	[IHMP_A_PARAM_ENABLED] = NLA_POLICY_MAX(NLA_U32, 1),
};

/* IHMP_CMD_NAT_GET - do */
static const struct nla_policy ihmp_nat_get_do_nl_policy[IHMP_A_NAT_LOCAL_PORT + 1] = {
	[IHMP_A_NAT_PROTO] = { .type = NLA_U8, },
	[IHMP_A_NAT_ADDRESS] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_NAT_NAT_PORT] = { .type = NLA_U16, },
	[IHMP_A_NAT_LOCAL_PORT] = { .type = NLA_U16, },
};

/* IHMP_CMD_NAT_GET - dump */
static const struct nla_policy ihmp_nat_get_dump_nl_policy[IHMP_A_NAT_HOST_ID + 1] = {
	[IHMP_A_NAT_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* IHMP_CMD_NAT_NEW - do */
static const struct nla_policy ihmp_nat_new_nl_policy[IHMP_A_NAT_EXPIRES_IN + 1] = {
	[IHMP_A_NAT_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[IHMP_A_NAT_PROTO] = { .type = NLA_U8, },
	[IHMP_A_NAT_ADDRESS] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_NAT_NAT_PORT] = { .type = NLA_U16, },
	[IHMP_A_NAT_PORT] = { .type = NLA_U16, },
	[IHMP_A_NAT_LOCAL_PORT] = { .type = NLA_U16, },
	[IHMP_A_NAT_EXPIRES_IN] = { .type = NLA_UINT, },
};

/* IHMP_CMD_NAT_DEL - do */
static const struct nla_policy ihmp_nat_del_nl_policy[IHMP_A_NAT_LOCAL_PORT + 1] = {
	[IHMP_A_NAT_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[IHMP_A_NAT_PROTO] = { .type = NLA_U8, },
	[IHMP_A_NAT_ADDRESS] = NLA_POLICY_MAX_LEN(16),
	[IHMP_A_NAT_NAT_PORT] = { .type = NLA_U16, },
	[IHMP_A_NAT_LOCAL_PORT] = { .type = NLA_U16, },
};

/* IHMP_CMD_NAT_FLUSH - do */
static const struct nla_policy ihmp_nat_flush_nl_policy[IHMP_A_NAT_HOST_ID + 1] = {
	[IHMP_A_NAT_HOST_ID] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* Ops table for ihmp */
static const struct genl_split_ops ihmp_nl_ops[] = {
	{
		.cmd		= IHMP_CMD_HOST_GET,
		.doit		= ihmp_nl_host_get_doit,
		.policy		= ihmp_host_get_nl_policy,
		.maxattr	= IHMP_A_HOST_ADDRESS,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IHMP_CMD_HOST_GET,
		.dumpit	= ihmp_nl_host_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= IHMP_CMD_HOST_NEW,
		.doit		= ihmp_nl_host_new_doit,
		.policy		= ihmp_host_new_nl_policy,
		.maxattr	= IHMP_A_HOST_EXPIRES_IN,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_HOST_SET,
		.doit		= ihmp_nl_host_set_doit,
		.policy		= ihmp_host_set_nl_policy,
		.maxattr	= IHMP_A_HOST_WAKE_IDLE,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_HOST_DEL,
		.doit		= ihmp_nl_host_del_doit,
		.policy		= ihmp_host_del_nl_policy,
		.maxattr	= IHMP_A_HOST_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IHMP_CMD_HOST_FLUSH,
		.doit	= ihmp_nl_host_flush_doit,
		.flags	= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_ADDR_NEW,
		.doit		= ihmp_nl_addr_new_doit,
		.policy		= ihmp_addr_new_nl_policy,
		.maxattr	= IHMP_A_HOST_ADDR,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_ADDR_DEL,
		.doit		= ihmp_nl_addr_del_doit,
		.policy		= ihmp_addr_del_nl_policy,
		.maxattr	= IHMP_A_HOST_ADDR,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_PATH_GET,
		.dumpit		= ihmp_nl_path_get_dumpit,
		.policy		= ihmp_path_get_nl_policy,
		.maxattr	= IHMP_A_PATH_HOST_ID,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= IHMP_CMD_FLOW_GET,
		.doit		= ihmp_nl_flow_get_doit,
		.policy		= ihmp_flow_get_do_nl_policy,
		.maxattr	= IHMP_A_FLOW_REMOTE_PORT,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_FLOW_GET,
		.dumpit		= ihmp_nl_flow_get_dumpit,
		.policy		= ihmp_flow_get_dump_nl_policy,
		.maxattr	= IHMP_A_FLOW_HOST_ID,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= IHMP_CMD_FLOW_DEL,
		.doit		= ihmp_nl_flow_del_doit,
		.policy		= ihmp_flow_del_nl_policy,
		.maxattr	= IHMP_A_FLOW_REMOTE_PORT,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_FLOW_FLUSH,
		.doit		= ihmp_nl_flow_flush_doit,
		.policy		= ihmp_flow_flush_nl_policy,
		.maxattr	= IHMP_A_FLOW_HOST_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IHMP_CMD_POLICY_GET,
		.dumpit	= ihmp_nl_policy_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= IHMP_CMD_POLICY_NEW,
		.doit		= ihmp_nl_policy_new_doit,
		.policy		= ihmp_policy_new_nl_policy,
		.maxattr	= IHMP_A_POLICY_ACTION,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_POLICY_DEL,
		.doit		= ihmp_nl_policy_del_doit,
		.policy		= ihmp_policy_del_nl_policy,
		.maxattr	= IHMP_A_POLICY_PREFIX_LEN,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IHMP_CMD_POLICY_FLUSH,
		.doit	= ihmp_nl_policy_flush_doit,
		.flags	= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IHMP_CMD_PARAM_GET,
		.doit	= ihmp_nl_param_get_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_PARAM_SET,
		.doit		= ihmp_nl_param_set_doit,
		.policy		= ihmp_param_set_nl_policy,
		.maxattr	= IHMP_A_PARAM_ENABLED,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IHMP_CMD_STATS_GET,
		.doit	= ihmp_nl_stats_get_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= IHMP_CMD_STATS_FLUSH,
		.doit	= ihmp_nl_stats_flush_doit,
		.flags	= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_NAT_GET,
		.doit		= ihmp_nl_nat_get_doit,
		.policy		= ihmp_nat_get_do_nl_policy,
		.maxattr	= IHMP_A_NAT_LOCAL_PORT,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_NAT_GET,
		.dumpit		= ihmp_nl_nat_get_dumpit,
		.policy		= ihmp_nat_get_dump_nl_policy,
		.maxattr	= IHMP_A_NAT_HOST_ID,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= IHMP_CMD_NAT_NEW,
		.doit		= ihmp_nl_nat_new_doit,
		.policy		= ihmp_nat_new_nl_policy,
		.maxattr	= IHMP_A_NAT_EXPIRES_IN,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_NAT_DEL,
		.doit		= ihmp_nl_nat_del_doit,
		.policy		= ihmp_nat_del_nl_policy,
		.maxattr	= IHMP_A_NAT_LOCAL_PORT,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
	{
		.cmd		= IHMP_CMD_NAT_FLUSH,
		.doit		= ihmp_nl_nat_flush_doit,
		.policy		= ihmp_nat_flush_nl_policy,
		.maxattr	= IHMP_A_NAT_HOST_ID,
		.flags		= GENL_UNS_ADMIN_PERM | GENL_CMD_CAP_DO,
	},
};

static const struct genl_multicast_group ihmp_nl_mcgrps[] = {
	[IHMP_NLGRP_EVENTS] = { "events", },
};

struct genl_family ihmp_nl_family __ro_after_init = {
	.name		= IHMP_FAMILY_NAME,
	.version	= IHMP_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= ihmp_nl_ops,
	.n_split_ops	= ARRAY_SIZE(ihmp_nl_ops),
	.mcgrps		= ihmp_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(ihmp_nl_mcgrps),
};
