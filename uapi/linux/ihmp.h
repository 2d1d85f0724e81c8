/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	uapi/ihmp.yaml */
/* YNL-GEN uapi header */
/* To regenerate run: uapi/regen.sh */

#ifndef _UAPI_LINUX_IHMP_H
#define _UAPI_LINUX_IHMP_H

#define IHMP_FAMILY_NAME	"ihmp"
#define IHMP_FAMILY_VERSION	1

#define IHMP_MAX_ADDRS		16
#define IHMP_DEFAULT_PORT	61453
#define IHMP_NAME_MAX		63

/**
 * enum ihmp_mode - How the packets of a host are rewritten.
 * @IHMP_MODE_STACK_TRANS: Addresses are exchanged in place, no header is added
 *   (DIME).
 */
enum ihmp_mode {
	IHMP_MODE_STACK_TRANS,
};

/**
 * enum ihmp_host_state - What is known about the signalling ability of a host.
 * @IHMP_HOST_STATE_NEW: Discovered, the agent is asking; flows are recorded,
 *   not translated.
 * @IHMP_HOST_STATE_UP: The host takes part; its flows are translated.
 * @IHMP_HOST_STATE_CLASSIC: The host does not answer; no flow is recorded
 *   until the entry expires.
 */
enum ihmp_host_state {
	IHMP_HOST_STATE_NEW,
	IHMP_HOST_STATE_UP,
	IHMP_HOST_STATE_CLASSIC,
};

/**
 * enum ihmp_addr_set - The role of an address in a host entry.
 * @IHMP_ADDR_SET_ACTIVE: Foreign address that is reachable; may be a remote
 *   locator.
 * @IHMP_ADDR_SET_UNREACHABLE: Foreign address that may become reachable; never
 *   used for data.
 * @IHMP_ADDR_SET_LOCAL: Own address that the host can reach; may be a local
 *   locator.
 * @IHMP_ADDR_SET_ALIAS: Former address of the host; names it in flows that
 *   know it by this address.
 */
enum ihmp_addr_set {
	IHMP_ADDR_SET_ACTIVE,
	IHMP_ADDR_SET_UNREACHABLE,
	IHMP_ADDR_SET_LOCAL,
	IHMP_ADDR_SET_ALIAS,
};

/**
 * enum ihmp_scheduler - How the path of the next packet is chosen among the
 *   paths of a host.
 * @IHMP_SCHEDULER_BACKUP: The lowest preference that works.
 */
enum ihmp_scheduler {
	IHMP_SCHEDULER_BACKUP,
};

/**
 * enum ihmp_policy_action - What happens on the first packet of a flow to an
 *   unknown address.
 * @IHMP_POLICY_ACTION_AUTO: A host entry and a discovery event are made, if
 *   this machine opened the flow.
 * @IHMP_POLICY_ACTION_KNOWN: Only hosts that are configured or that signalled
 *   first take part.
 * @IHMP_POLICY_ACTION_NEVER: No host is ever made for the prefix, and none may
 *   use it.
 * @IHMP_POLICY_ACTION_AUTO_IN: As auto, also for TCP connections that the
 *   other end opened.
 */
enum ihmp_policy_action {
	IHMP_POLICY_ACTION_AUTO,
	IHMP_POLICY_ACTION_KNOWN,
	IHMP_POLICY_ACTION_NEVER,
	IHMP_POLICY_ACTION_AUTO_IN,
};

/**
 * enum ihmp_path_cause - Why the path of a host changed.
 * @IHMP_PATH_CAUSE_CONFIGURED: A command changed the address sets.
 * @IHMP_PATH_CAUSE_FOLLOWED: The host began to send from another of its active
 *   locators.
 * @IHMP_PATH_CAUSE_LOST: No pair of locators is left.
 * @IHMP_PATH_CAUSE_RESTORED: There is a path again.
 */
enum ihmp_path_cause {
	IHMP_PATH_CAUSE_CONFIGURED,
	IHMP_PATH_CAUSE_FOLLOWED,
	IHMP_PATH_CAUSE_LOST,
	IHMP_PATH_CAUSE_RESTORED,
};

/**
 * enum ihmp_reason - Why a packet was refused, or was passed without being
 *   translated.
 * @IHMP_REASON_NO_PATH: Dropped; the host of the flow has no path at the
 *   moment.
 * @IHMP_REASON_NO_ROUTE: Dropped; the path has no route out of this machine,
 *   or a policy of IPsec forbids it.
 * @IHMP_REASON_NOT_WRITABLE: Dropped; the headers could not be made writable.
 * @IHMP_REASON_NO_MEMORY: Passed; a flow or a host could not be allocated.
 * @IHMP_REASON_FLOW_LIMIT: Passed; the table of flows is full.
 * @IHMP_REASON_HOST_LIMIT: Passed; the table of hosts is full.
 * @IHMP_REASON_MALFORMED: Passed; the headers of the packet do not parse.
 * @IHMP_REASON_UNVALIDATED_RESET: Dropped; a reset or an ICMP error came while
 *   the local locator was not yet acknowledged.
 * @IHMP_REASON_HELD: Delayed; from an address at which its host announced to
 *   be, which is not applied yet.
 * @IHMP_REASON_HOLD_OVERFLOW: Passed; there was no room among the packets that
 *   wait for an announced move.
 * @IHMP_REASON_PORT_EXHAUSTED: Dropped; no free port for a flow that collides
 *   with another on the wire.
 * @IHMP_REASON_FOREIGN_SOURCE: Dropped; the source address is neither local
 *   nor the identifier of a flow.
 * @IHMP_REASON_ICMP_NO_FLOW: Passed; an ICMP error quotes a packet of a host,
 *   but of no flow.
 * @IHMP_REASON_DISCOVER_LIMIT: Not reported; discovery requests came faster
 *   than allowed.
 * @IHMP_REASON_PATH_UNREACHABLE: Dropped; a router says that a locator of a
 *   host cannot be reached. The host was heard on the flow in the last 10 s,
 *   and may be leaving.
 * @IHMP_REASON_NAT_UNMAPPED: Dropped; the host is behind a NAT, and no port
 *   mapping of it is known for the flow.
 * @IHMP_REASON_NAT_LIMIT: Not made; the table of NAT mappings is full.
 * @IHMP_REASON_LOCAL_GONE: Dropped; the local address of the path is no longer
 *   this machine's, and nothing else has been said yet.
 * @IHMP_REASON_LATE: Dropped; from where a host was before it moved, and
 *   nothing here would answer it but with a reset or an error.
 * @IHMP_REASON_SAME_WIRE: Dropped; an older flow of the host has the same
 *   addresses and ports on the wire.
 * @IHMP_REASON_STAYS: Dropped; the namespace is off, and the flow stays
 *   between its own addresses, while the host goes on elsewhere.
 * @IHMP_REASON_NO_CREDIT: Dropped; the host has announced the address and not
 *   shown that it is there, and its credit is spent.
 * @IHMP_REASON_IPSEC: Dropped; a policy of IPsec refuses the packet as it came
 *   in, before it was translated.
 * @IHMP_REASON_HOST_FLOW_LIMIT: Passed; the host has its share of the table of
 *   flows.
 * @IHMP_REASON_FLOW_EVICTED: Passed; datagrams went one way only, and a new
 *   flow has the place of their row, since the table or the share of the host
 *   was full.
 * @IHMP_REASON_HELD_LOST: Dropped; the packet waited, or was to wait, for an
 *   announced move, and its device or its route went away, or conntrack
 *   refused it.
 */
enum ihmp_reason {
	IHMP_REASON_NO_PATH,
	IHMP_REASON_NO_ROUTE,
	IHMP_REASON_NOT_WRITABLE,
	IHMP_REASON_NO_MEMORY,
	IHMP_REASON_FLOW_LIMIT,
	IHMP_REASON_HOST_LIMIT,
	IHMP_REASON_MALFORMED,
	IHMP_REASON_UNVALIDATED_RESET,
	IHMP_REASON_HELD,
	IHMP_REASON_HOLD_OVERFLOW,
	IHMP_REASON_PORT_EXHAUSTED,
	IHMP_REASON_FOREIGN_SOURCE,
	IHMP_REASON_ICMP_NO_FLOW,
	IHMP_REASON_DISCOVER_LIMIT,
	IHMP_REASON_PATH_UNREACHABLE,
	IHMP_REASON_NAT_UNMAPPED,
	IHMP_REASON_NAT_LIMIT,
	IHMP_REASON_LOCAL_GONE,
	IHMP_REASON_LATE,
	IHMP_REASON_SAME_WIRE,
	IHMP_REASON_STAYS,
	IHMP_REASON_NO_CREDIT,
	IHMP_REASON_IPSEC,
	IHMP_REASON_HOST_FLOW_LIMIT,
	IHMP_REASON_FLOW_EVICTED,
	IHMP_REASON_HELD_LOST,
};

/*
 * What a reason does to the packet.
 */
enum ihmp_effect {
	IHMP_EFFECT_DROP,
	IHMP_EFFECT_PASS,
	IHMP_EFFECT_DELAY,
};

enum {
	IHMP_A_ADDR_ADDRESS = 1,
	IHMP_A_ADDR_SET,
	IHMP_A_ADDR_PREFERENCE,
	IHMP_A_ADDR_UNVALIDATED,
	IHMP_A_ADDR_NAT,
	IHMP_A_ADDR_LEFT,
	IHMP_A_ADDR_DEVICE,

	__IHMP_A_ADDR_MAX,
	IHMP_A_ADDR_MAX = (__IHMP_A_ADDR_MAX - 1)
};

enum {
	IHMP_A_HOST_ID = 1,
	IHMP_A_HOST_MODE,
	IHMP_A_HOST_STATE,
	IHMP_A_HOST_SCHEDULER,
	IHMP_A_HOST_NAME,
	IHMP_A_HOST_ADDR,
	IHMP_A_HOST_CLEAR,
	IHMP_A_HOST_ADDRESS,
	IHMP_A_HOST_EXPIRES_IN,
	IHMP_A_HOST_LOCAL,
	IHMP_A_HOST_REMOTE,
	IHMP_A_HOST_FLOWS,
	IHMP_A_HOST_TX_PACKETS,
	IHMP_A_HOST_RX_PACKETS,
	IHMP_A_HOST_IDLE,
	IHMP_A_HOST_WAKE,
	IHMP_A_HOST_PAD,
	IHMP_A_HOST_DOUBT,
	IHMP_A_HOST_STAYING,
	IHMP_A_HOST_CREDIT,
	IHMP_A_HOST_WAKE_IDLE,

	__IHMP_A_HOST_MAX,
	IHMP_A_HOST_MAX = (__IHMP_A_HOST_MAX - 1)
};

enum {
	IHMP_A_PATH_HOST_ID = 1,
	IHMP_A_PATH_LOCAL,
	IHMP_A_PATH_REMOTE,
	IHMP_A_PATH_PREFERENCE,
	IHMP_A_PATH_ACTIVE,
	IHMP_A_PATH_UNVALIDATED,
	IHMP_A_PATH_CAUSE,

	__IHMP_A_PATH_MAX,
	IHMP_A_PATH_MAX = (__IHMP_A_PATH_MAX - 1)
};

enum {
	IHMP_A_FLOW_HOST_ID = 1,
	IHMP_A_FLOW_PROTO,
	IHMP_A_FLOW_LOCAL,
	IHMP_A_FLOW_REMOTE,
	IHMP_A_FLOW_LOCAL_PORT,
	IHMP_A_FLOW_REMOTE_PORT,
	IHMP_A_FLOW_WIRE_PORT,
	IHMP_A_FLOW_IDLE,
	IHMP_A_FLOW_PAD,
	IHMP_A_FLOW_HOST_PORT,

	__IHMP_A_FLOW_MAX,
	IHMP_A_FLOW_MAX = (__IHMP_A_FLOW_MAX - 1)
};

enum {
	IHMP_A_POLICY_ADDRESS = 1,
	IHMP_A_POLICY_PREFIX_LEN,
	IHMP_A_POLICY_ACTION,

	__IHMP_A_POLICY_MAX,
	IHMP_A_POLICY_MAX = (__IHMP_A_POLICY_MAX - 1)
};

enum {
	IHMP_A_PARAM_DISCOVERY = 1,
	IHMP_A_PARAM_PORT,
	IHMP_A_PARAM_MAX_HOSTS,
	IHMP_A_PARAM_MAX_FLOWS,
	IHMP_A_PARAM_UDP_TIMEOUT,
	IHMP_A_PARAM_HOLD_TIME,
	IHMP_A_PARAM_SCHEDULER,
	IHMP_A_PARAM_VERSION,
	IHMP_A_PARAM_PATH_TIMEOUT,
	IHMP_A_PARAM_MAX_NATS,
	IHMP_A_PARAM_ENABLED,

	__IHMP_A_PARAM_MAX,
	IHMP_A_PARAM_MAX = (__IHMP_A_PARAM_MAX - 1)
};

enum {
	IHMP_A_COUNTER_REASON = 1,
	IHMP_A_COUNTER_EFFECT,
	IHMP_A_COUNTER_PACKETS,
	IHMP_A_COUNTER_PAD,

	__IHMP_A_COUNTER_MAX,
	IHMP_A_COUNTER_MAX = (__IHMP_A_COUNTER_MAX - 1)
};

enum {
	IHMP_A_STATS_HOSTS = 1,
	IHMP_A_STATS_FLOWS,
	IHMP_A_STATS_HOOKS,
	IHMP_A_STATS_OUT_TRANSLATED,
	IHMP_A_STATS_OUT_UNCHANGED,
	IHMP_A_STATS_IN_TRANSLATED,
	IHMP_A_STATS_IN_UNCHANGED,
	IHMP_A_STATS_ICMP_OUT,
	IHMP_A_STATS_ICMP_IN,
	IHMP_A_STATS_PORT_MAPPED,
	IHMP_A_STATS_TCP_WOKEN,
	IHMP_A_STATS_DISCOVERED,
	IHMP_A_STATS_FLOWS_MADE,
	IHMP_A_STATS_FLOWS_EXPIRED,
	IHMP_A_STATS_COUNTER,
	IHMP_A_STATS_PAD,
	IHMP_A_STATS_UNREACHABLE,
	IHMP_A_STATS_NATS,

	__IHMP_A_STATS_MAX,
	IHMP_A_STATS_MAX = (__IHMP_A_STATS_MAX - 1)
};

enum {
	IHMP_A_LIMIT_REASON = 1,
	IHMP_A_LIMIT_PACKETS,
	IHMP_A_LIMIT_PAD,

	__IHMP_A_LIMIT_MAX,
	IHMP_A_LIMIT_MAX = (__IHMP_A_LIMIT_MAX - 1)
};

enum {
	IHMP_A_NAT_HOST_ID = 1,
	IHMP_A_NAT_PROTO,
	IHMP_A_NAT_ADDRESS,
	IHMP_A_NAT_NAT_PORT,
	IHMP_A_NAT_PORT,
	IHMP_A_NAT_LOCAL_PORT,
	IHMP_A_NAT_EXPIRES_IN,
	IHMP_A_NAT_PAD,

	__IHMP_A_NAT_MAX,
	IHMP_A_NAT_MAX = (__IHMP_A_NAT_MAX - 1)
};

enum {
	IHMP_CMD_HOST_GET = 1,
	IHMP_CMD_HOST_NEW,
	IHMP_CMD_HOST_SET,
	IHMP_CMD_HOST_DEL,
	IHMP_CMD_HOST_FLUSH,
	IHMP_CMD_ADDR_NEW,
	IHMP_CMD_ADDR_DEL,
	IHMP_CMD_HOST_NTF,
	IHMP_CMD_HOST_DEL_NTF,
	IHMP_CMD_PATH_GET,
	IHMP_CMD_PATH_NTF,
	IHMP_CMD_FLOW_GET,
	IHMP_CMD_FLOW_DEL,
	IHMP_CMD_FLOW_FLUSH,
	IHMP_CMD_POLICY_GET,
	IHMP_CMD_POLICY_NEW,
	IHMP_CMD_POLICY_DEL,
	IHMP_CMD_POLICY_FLUSH,
	IHMP_CMD_PARAM_GET,
	IHMP_CMD_PARAM_SET,
	IHMP_CMD_STATS_GET,
	IHMP_CMD_STATS_FLUSH,
	IHMP_CMD_DISCOVER_NTF,
	IHMP_CMD_LIMIT_NTF,
	IHMP_CMD_NAT_GET,
	IHMP_CMD_NAT_NEW,
	IHMP_CMD_NAT_DEL,
	IHMP_CMD_NAT_FLUSH,
	IHMP_CMD_NAT_NTF,
	IHMP_CMD_NAT_DEL_NTF,
	IHMP_CMD_PARAM_NTF,
	IHMP_CMD_CREDIT_NTF,
	IHMP_CMD_SILENT_NTF,

	__IHMP_CMD_MAX,
	IHMP_CMD_MAX = (__IHMP_CMD_MAX - 1)
};

#define IHMP_MCGRP_EVENTS	"events"

#endif /* _UAPI_LINUX_IHMP_H */
