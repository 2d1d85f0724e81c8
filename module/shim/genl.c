// SPDX-License-Identifier: GPL-2.0
/* Messages of the family; operations and policies are in netlink_gen.c. */
#include <net/genetlink.h>
#include <net/sock.h>

#include "internal.h"
#include "netlink_gen.h"

int ihmp_family_register(void)
{
	return genl_register_family(&ihmp_nl_family);
}

void ihmp_family_unregister(void)
{
	genl_unregister_family(&ihmp_nl_family);
}

struct ihmp_net *ihmp_info_net(struct genl_info *info)
{
	return ihmp_net_of(genl_info_net(info));
}

struct ihmp_net *ihmp_cb_net(struct netlink_callback *cb)
{
	return ihmp_net_of(sock_net(cb->skb->sk));
}

const struct nlattr *ihmp_info_attr(const struct genl_info *info, u32 type)
{
	return info->attrs ? info->attrs[type] : NULL;
}

/* Attributes that may be there more than once; prev is NULL at first. */
const struct nlattr *ihmp_info_next(const struct genl_info *info, const struct nlattr *prev, u32 type)
{
	const void *start = info->genlhdr + 1, *end = start + genlmsg_len(info->genlhdr);

	if (prev)
		start = (const void *)prev + NLA_ALIGN(prev->nla_len);
	return start < end ? nla_find(start, end - start, type) : NULL;
}

const struct nlattr *ihmp_cb_attr(const struct netlink_callback *cb, u32 type)
{
	const struct genl_info *info = genl_info_dump((struct netlink_callback *)cb);

	return info->attrs ? info->attrs[type] : NULL;
}

const struct nlattr *ihmp_nest_attr(const struct nlattr *nest, u32 type)
{
	return nla_find_nested(nest, type);
}

u32 ihmp_attr_len(const struct nlattr *attr)
{
	return nla_len(attr);
}

const u8 *ihmp_attr_data(const struct nlattr *attr)
{
	return nla_data(attr);
}

/* The number in an attribute of 1, 2, 4 or 8 octets. */
u64 ihmp_attr_uint(const struct nlattr *attr)
{
	switch (nla_len(attr)) {
	case 1:
		return nla_get_u8(attr);
	case 2:
		return nla_get_u16(attr);
	default:
		return nla_get_uint(attr);
	}
}

void ihmp_info_error(struct genl_info *info, const struct nlattr *attr, const u8 *text, u64 len)
{
	NL_SET_ERR_MSG_FMT(info->extack, "%.*s", (int)len, text);
	if (attr)
		NL_SET_BAD_ATTR(info->extack, attr);
}

void ihmp_info_missing(struct genl_info *info, u32 type)
{
	NL_SET_ERR_ATTR_MISS(info->extack, NULL, type);
}

/* Two numbers that a dump keeps between its messages, zero at first. */
u64 *ihmp_cb_position(struct netlink_callback *cb)
{
	return (u64 *)cb->ctx;
}

struct sk_buff *ihmp_reply_new(struct genl_info *info, void **header)
{
	struct sk_buff *msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (msg)
		*header = genlmsg_iput(msg, info);
	return msg;
}

/* With room for so many events, and so many octets of attributes in all: what is much too big is copied for each. */
struct sk_buff *ihmp_events_new(u32 count, u32 room)
{
	return nlmsg_new(count * genlmsg_total_size(NLMSG_HDRLEN) + room,
			 GFP_ATOMIC | __GFP_NOWARN);
}

void *ihmp_event_put(struct sk_buff *msg, u32 cmd)
{
	return genlmsg_put(msg, 0, 0, &ihmp_nl_family, 0, cmd);
}

void *ihmp_dump_put(struct sk_buff *msg, struct netlink_callback *cb, u32 cmd)
{
	return genlmsg_put(msg, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &ihmp_nl_family,
			   NLM_F_MULTI, cmd);
}

void ihmp_msg_end(struct sk_buff *msg, void *header)
{
	genlmsg_end(msg, header);
}

void ihmp_msg_cancel(struct sk_buff *msg, void *header)
{
	genlmsg_cancel(msg, header);
}

int ihmp_reply_send(struct sk_buff *msg, struct genl_info *info)
{
	return genlmsg_reply(msg, info);
}

void ihmp_events_send(struct ihmp_net *in, struct sk_buff *msg)
{
	genlmsg_multicast_netns(&ihmp_nl_family, in->net, msg, 0, IHMP_NLGRP_EVENTS, GFP_ATOMIC);
}

bool ihmp_events_wanted(struct ihmp_net *in)
{
	return genl_has_listeners(&ihmp_nl_family, in->net, IHMP_NLGRP_EVENTS);
}

void ihmp_msg_free(struct sk_buff *msg)
{
	nlmsg_free(msg);
}

int ihmp_put(struct sk_buff *msg, u32 type, const void *data, u32 len)
{
	return nla_put(msg, type, len, data);
}

int ihmp_put_uint(struct sk_buff *msg, u32 type, u64 value)
{
	return nla_put_uint(msg, type, value);
}

struct nlattr *ihmp_nest_start(struct sk_buff *msg, u32 type)
{
	return nla_nest_start(msg, type);
}

void ihmp_nest_end(struct sk_buff *msg, struct nlattr *nest)
{
	nla_nest_end(msg, nest);
}
