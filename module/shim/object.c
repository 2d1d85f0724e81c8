// SPDX-License-Identifier: GPL-2.0
/*
 * Payloads under RCU, and the tables that hold them. The tables are keyed by
 * octets at the head of the payload, hashed with a random seed by rhashtable.
 */
#include <linux/refcount.h>
#include <linux/slab.h>

#include "internal.h"

/* In front of every payload; the links are used by what is found by a key. */
struct ihmp_header {
	union {
		struct {
			struct rhash_head first;	/* addrs, flows, seen, natted, or networks */
			struct rhash_head second;	/* wires, or meant */
		};
		struct xarray nats;	/* of a host */
	};
	struct rcu_head rcu;
	struct xarray rows;		/* of a host */
	refcount_t refs;
	u32 kind;
	u32 id;				/* of a row or nat, within its host */
};

static struct ihmp_header *ihmp_header(void *payload)
{
	return (struct ihmp_header *)payload - 1;
}

static void *ihmp_payload(struct ihmp_header *header)
{
	return header ? header + 1 : NULL;
}

/*
 * Charged to who causes it, see charge.c. A command fails at the limit of its
 * cgroup, where GFP_KERNEL alone would have a process killed. A packet may be
 * let go beyond it: a cgroup whose files fill its limit, as they do in time,
 * would have no rows, since a packet cannot wait until files have made room.
 */
static gfp_t ihmp_object_gfp(u32 memory)
{
	switch (memory) {
	case IHMP_MEMORY_PACKET:
		return GFP_ATOMIC;
	case IHMP_MEMORY_WITHIN:
		return GFP_NOWAIT;
	default:
		return GFP_KERNEL | __GFP_RETRY_MAYFAIL;
	}
}

void *ihmp_object_alloc(u32 kind, u64 size, u32 memory)
{
	gfp_t gfp = ihmp_object_gfp(memory);
	struct ihmp_header *header;

	header = kmalloc(sizeof(*header) + size, gfp | __GFP_ACCOUNT | __GFP_NOWARN);
	if (!header)
		return NULL;
	/* The payload is initialised as a whole by who asks. */
	memset(header, 0, sizeof(*header));
	header->kind = kind;
	refcount_set(&header->refs, 1);
	if (kind == IHMP_KIND_HOST) {
		xa_init_flags(&header->rows, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH | XA_FLAGS_ACCOUNT);
		xa_init_flags(&header->nats, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH | XA_FLAGS_ACCOUNT);
	}
	return header + 1;
}

/* The payload was never published, or has been dropped already. */
void ihmp_object_free(void *payload)
{
	kfree(ihmp_header(payload));
}

static void ihmp_object_rcu(struct rcu_head *rcu)
{
	struct ihmp_header *header = container_of(rcu, struct ihmp_header, rcu);

	ihmp_rs_drop(header->kind, header + 1);
	if (header->kind == IHMP_KIND_HOST) {
		xa_destroy(&header->rows);
		xa_destroy(&header->nats);
	}
	kfree(header);
}

void ihmp_object_retire(void *payload)
{
	call_rcu(&ihmp_header(payload)->rcu, ihmp_object_rcu);
}

/* Under RCU the payload is there, but it may be on its way out. */
bool ihmp_object_get(void *payload)
{
	return refcount_inc_not_zero(&ihmp_header(payload)->refs);
}

void ihmp_object_put(void *payload)
{
	if (refcount_dec_and_test(&ihmp_header(payload)->refs))
		ihmp_object_retire(payload);
}

void *ihmp_publish(void **slot, void *payload)
{
	return xchg(slot, payload);
}

void *ihmp_deref(void *const *slot)
{
	return rcu_dereference_raw(*(void __rcu *const *)slot);
}

/* The functions of a table, whose entries are found by `length` octets at `offset` of the payload. */
#define IHMP_TABLE(table, link, offset, length)						\
	static const struct rhashtable_params ihmp_##table##_params = {			\
		.head_offset = offsetof(struct ihmp_header, link),			\
		.key_offset = sizeof(struct ihmp_header) + (offset),			\
		.key_len = (length),							\
		.automatic_shrinking = true,						\
	};										\
	void *ihmp_##table##_find(struct ihmp_net *in, const void *key)			\
	{										\
		return ihmp_payload(rhashtable_lookup(&in->tables.table, key,		\
						      ihmp_##table##_params));		\
	}										\
	int ihmp_##table##_insert(struct ihmp_net *in, void *payload)			\
	{										\
		return rhashtable_lookup_insert_fast(&in->tables.table,			\
						     &ihmp_header(payload)->link,	\
						     ihmp_##table##_params);		\
	}										\
	int ihmp_##table##_remove(struct ihmp_net *in, void *payload)			\
	{										\
		return rhashtable_remove_fast(&in->tables.table,			\
					      &ihmp_header(payload)->link,		\
					      ihmp_##table##_params);			\
	}

#define IHMP_TABLES(each)				\
	each(addrs, first, 0, IHMP_ADDR_KEY)		\
	each(flows, first, 0, IHMP_FLOW_KEY)		\
	each(wires, second, IHMP_FLOW_KEY, IHMP_WIRE_KEY) \
	each(seen, first, 0, IHMP_SEEN_KEY)		\
	each(meant, second, IHMP_SEEN_KEY, IHMP_MEANT_KEY) \
	each(natted, first, 0, IHMP_ADDR_KEY)		\
	each(networks, first, 0, IHMP_ADDR_KEY)

IHMP_TABLES(IHMP_TABLE)

/* Puts a payload in the place of another one with the same key; needs no memory. */
#define IHMP_REPLACE(table, link)							\
	int ihmp_##table##_replace(struct ihmp_net *in, void *old, void *payload)	\
	{										\
		return rhashtable_replace_fast(&in->tables.table,			\
					       &ihmp_header(old)->link,			\
					       &ihmp_header(payload)->link,		\
					       ihmp_##table##_params);			\
	}

IHMP_REPLACE(addrs, first)
static IHMP_REPLACE(seen, first)
static IHMP_REPLACE(meant, second)

/* Puts a row that is apart among the wires, if it is still among the flows. */
int ihmp_row_wire(struct ihmp_net *in, void *payload)
{
	int err = -ENOENT;

	spin_lock_bh(&in->tables.wiring);
	if (ihmp_flows_find(in, payload) == payload)
		err = ihmp_wires_insert(in, payload);
	spin_unlock_bh(&in->tables.wiring);
	return err;
}

static int ihmp_link(struct xarray *of, void *payload)
{
	int err = xa_alloc_bh(of, &ihmp_header(payload)->id, payload, xa_limit_32b,
			      GFP_ATOMIC | __GFP_NOWARN);

	return err < 0 ? err : 0;
}

/* The first after *id; *id becomes its index. */
static void *ihmp_next(struct xarray *of, u32 *id)
{
	unsigned long index = *id;
	void *payload = xa_find_after(of, &index, U32_MAX, XA_PRESENT);

	*id = index;
	return payload;
}

/*
 * The functions of what is in two tables, and in an array of its host. It is out
 * of both when it is out of the first one; an error when somebody else took it
 * out. What is apart may just be put into the second one, which ends with this.
 */
#define IHMP_PAIR(pair, array, first, second, locked)					\
	int ihmp_##pair##_remove(struct ihmp_net *in, void *payload, bool apart)	\
	{										\
		int err;								\
											\
		if (apart || (locked))							\
			spin_lock_bh(&in->tables.wiring);				\
		err = ihmp_##first##_remove(in, payload);				\
		if (!err)								\
			ihmp_##second##_remove(in, payload);				\
		if (apart || (locked))							\
			spin_unlock_bh(&in->tables.wiring);				\
		return err;								\
	}										\
	int ihmp_##pair##_link(void *host, void *payload)				\
	{										\
		return ihmp_link(&ihmp_header(host)->array, payload);			\
	}										\
	void ihmp_##pair##_unlink(void *host, void *payload)				\
	{										\
		xa_erase_bh(&ihmp_header(host)->array, ihmp_header(payload)->id);	\
	}										\
	void *ihmp_##pair##_next(void *host, u32 *id)					\
	{										\
		return ihmp_next(&ihmp_header(host)->array, id);			\
	}

IHMP_PAIR(row, rows, flows, wires, false)
IHMP_PAIR(nat, nats, seen, meant, true)

/*
 * Puts a mapping into both tables. Those that have its keys there come out of
 * both, and are in *seen and *meant. What needs memory comes first: an error
 * leaves everything as it was. The lock keeps others from removing them
 * meanwhile. The caller holds RCU.
 */
int ihmp_nat_exchange(struct ihmp_net *in, void *payload, void **seen, void **meant)
{
	int err = 0;

	spin_lock_bh(&in->tables.wiring);
	*seen = ihmp_seen_find(in, payload);
	*meant = ihmp_meant_find(in, payload + IHMP_SEEN_KEY);
	if (!*meant)
		err = ihmp_meant_insert(in, payload);
	if (err)
		goto out;
	if (!*seen)
		err = ihmp_seen_insert(in, payload);
	if (err) {
		if (!*meant)
			ihmp_meant_remove(in, payload);
		goto out;
	}
	if (*meant)
		ihmp_meant_replace(in, *meant, payload);
	if (*seen)
		ihmp_seen_replace(in, *seen, payload);
	if (*seen == *meant) {
		*meant = NULL;
		goto out;
	}
	if (*seen)
		ihmp_meant_remove(in, *seen);
	if (*meant)
		ihmp_seen_remove(in, *meant);
out:
	spin_unlock_bh(&in->tables.wiring);
	return err;
}

/* A number for a host, by which nobody finds it yet. */
int ihmp_host_reserve(struct ihmp_net *in, u32 *id)
{
	int err;

	err = xa_alloc_cyclic_bh(&in->tables.hosts, id, NULL, XA_LIMIT(1, S32_MAX),
				 &in->tables.next_host, GFP_ATOMIC | __GFP_NOWARN);
	return err < 0 ? err : 0;
}

/* The number has its place already: this needs no memory. */
void ihmp_host_link(struct ihmp_net *in, void *host, u32 id)
{
	WARN_ON_ONCE(xa_err(xa_store_bh(&in->tables.hosts, id, host, GFP_ATOMIC | __GFP_NOWARN)));
}

void *ihmp_host_by_id(struct ihmp_net *in, u32 id)
{
	return xa_load(&in->tables.hosts, id);
}

void *ihmp_host_unlink(struct ihmp_net *in, u32 id)
{
	return xa_erase_bh(&in->tables.hosts, id);
}

void *ihmp_host_next(struct ihmp_net *in, u32 *id)
{
	return ihmp_next(&in->tables.hosts, id);
}

static const struct {
	size_t at;
	const struct rhashtable_params *params;
} ihmp_table_list[] = {
#define IHMP_TABLE_AT(table, ...) { offsetof(struct ihmp_tables, table), &ihmp_##table##_params },
	IHMP_TABLES(IHMP_TABLE_AT)
};

static struct rhashtable *ihmp_table(struct ihmp_net *in, u32 i)
{
	return (void *)&in->tables + ihmp_table_list[i].at;
}

/*
 * The arrays are charged like what is in them. rhashtable takes no flags for
 * its buckets, and makes most of them in work of its own: 11 to 27 octets for
 * each entry of a table are nobody's.
 */
int ihmp_tables_init(struct ihmp_net *in)
{
	u32 i;

	spin_lock_init(&in->tables.wiring);
	xa_init_flags(&in->tables.hosts, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH | XA_FLAGS_ACCOUNT);
	xa_init_flags(&in->lent, XA_FLAGS_LOCK_BH | XA_FLAGS_ACCOUNT);
	for (i = 0; i < ARRAY_SIZE(ihmp_table_list); i++) {
		int err = rhashtable_init(ihmp_table(in, i), ihmp_table_list[i].params);

		if (!err)
			continue;
		while (i--)
			rhashtable_destroy(ihmp_table(in, i));
		return err;
	}
	return 0;
}

/* The Rust side has emptied the tables. */
void ihmp_tables_exit(struct ihmp_net *in)
{
	u32 i = ARRAY_SIZE(ihmp_table_list);

	while (i--)
		rhashtable_destroy(ihmp_table(in, i));
	xa_destroy(&in->lent);
	xa_destroy(&in->tables.hosts);
}
