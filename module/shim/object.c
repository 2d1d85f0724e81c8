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

void *ihmp_object_alloc(u32 kind, u64 size, bool atomic)
{
	struct ihmp_header *header;

	header = kmalloc(sizeof(*header) + size, (atomic ? GFP_ATOMIC : GFP_KERNEL) | __GFP_NOWARN);
	if (!header)
		return NULL;
	/* The payload is initialised as a whole by who asks. */
	memset(header, 0, sizeof(*header));
	header->kind = kind;
	refcount_set(&header->refs, 1);
	if (kind == IHMP_KIND_HOST) {
		xa_init_flags(&header->rows, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH);
		xa_init_flags(&header->nats, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH);
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

#define IHMP_PARAMS(link, offset, length)				\
	{								\
		.head_offset = offsetof(struct ihmp_header, link),	\
		.key_offset = sizeof(struct ihmp_header) + (offset),	\
		.key_len = (length),					\
		.automatic_shrinking = true,				\
	}

static const struct rhashtable_params ihmp_addrs_params = IHMP_PARAMS(first, 0, IHMP_ADDR_KEY);
static const struct rhashtable_params ihmp_flows_params = IHMP_PARAMS(first, 0, IHMP_FLOW_KEY);
static const struct rhashtable_params ihmp_wires_params =
	IHMP_PARAMS(second, IHMP_FLOW_KEY, IHMP_WIRE_KEY);
static const struct rhashtable_params ihmp_seen_params = IHMP_PARAMS(first, 0, IHMP_SEEN_KEY);
static const struct rhashtable_params ihmp_meant_params =
	IHMP_PARAMS(second, IHMP_SEEN_KEY, IHMP_MEANT_KEY);
static const struct rhashtable_params ihmp_natted_params = IHMP_PARAMS(first, 0, IHMP_ADDR_KEY);
static const struct rhashtable_params ihmp_networks_params = IHMP_PARAMS(first, 0, IHMP_ADDR_KEY);

void *ihmp_addr_lookup(struct ihmp_net *in, const void *key)
{
	return ihmp_payload(rhashtable_lookup(&in->addrs, key, ihmp_addrs_params));
}

int ihmp_addr_insert(struct ihmp_net *in, void *payload)
{
	return rhashtable_lookup_insert_fast(&in->addrs, &ihmp_header(payload)->first,
					     ihmp_addrs_params);
}

void ihmp_addr_remove(struct ihmp_net *in, void *payload)
{
	rhashtable_remove_fast(&in->addrs, &ihmp_header(payload)->first, ihmp_addrs_params);
}

void *ihmp_row_by_flow(struct ihmp_net *in, const void *key)
{
	return ihmp_payload(rhashtable_lookup(&in->flows, key, ihmp_flows_params));
}

void *ihmp_row_by_wire(struct ihmp_net *in, const void *key)
{
	struct ihmp_header *header = rhashtable_lookup(&in->wires, key, ihmp_wires_params);

	return ihmp_payload(header);
}

int ihmp_row_insert_flow(struct ihmp_net *in, void *payload)
{
	return rhashtable_lookup_insert_fast(&in->flows, &ihmp_header(payload)->first,
					     ihmp_flows_params);
}

int ihmp_row_insert_wire(struct ihmp_net *in, void *payload)
{
	return rhashtable_lookup_insert_fast(&in->wires, &ihmp_header(payload)->second,
					     ihmp_wires_params);
}

int ihmp_row_remove_wire(struct ihmp_net *in, void *payload)
{
	return rhashtable_remove_fast(&in->wires, &ihmp_header(payload)->second,
				      ihmp_wires_params);
}

/*
 * Takes a row out of both tables; an error when somebody else did. One that is
 * apart may just be put among the wires, which ends with this.
 */
int ihmp_row_remove(struct ihmp_net *in, void *payload, bool apart)
{
	struct rhash_head *link = &ihmp_header(payload)->first;
	int err;

	if (apart)
		spin_lock_bh(&in->wiring);
	err = rhashtable_remove_fast(&in->flows, link, ihmp_flows_params);
	if (!err)
		ihmp_row_remove_wire(in, payload);
	if (apart)
		spin_unlock_bh(&in->wiring);
	return err;
}

/* Puts a row that is apart among the wires, if it is still among the flows. */
int ihmp_row_wire(struct ihmp_net *in, void *payload)
{
	int err = -ENOENT;

	spin_lock_bh(&in->wiring);
	if (ihmp_row_by_flow(in, payload) == payload)
		err = ihmp_row_insert_wire(in, payload);
	spin_unlock_bh(&in->wiring);
	return err;
}

void *ihmp_nat_by_seen(struct ihmp_net *in, const void *key)
{
	return ihmp_payload(rhashtable_lookup(&in->seen, key, ihmp_seen_params));
}

void *ihmp_nat_by_meant(struct ihmp_net *in, const void *key)
{
	return ihmp_payload(rhashtable_lookup(&in->meant, key, ihmp_meant_params));
}

int ihmp_nat_insert_seen(struct ihmp_net *in, void *payload)
{
	return rhashtable_lookup_insert_fast(&in->seen, &ihmp_header(payload)->first,
					     ihmp_seen_params);
}

int ihmp_nat_insert_meant(struct ihmp_net *in, void *payload)
{
	return rhashtable_lookup_insert_fast(&in->meant, &ihmp_header(payload)->second,
					     ihmp_meant_params);
}

void ihmp_nat_remove_seen(struct ihmp_net *in, void *payload)
{
	rhashtable_remove_fast(&in->seen, &ihmp_header(payload)->first, ihmp_seen_params);
}

void ihmp_nat_remove_meant(struct ihmp_net *in, void *payload)
{
	rhashtable_remove_fast(&in->meant, &ihmp_header(payload)->second, ihmp_meant_params);
}

void *ihmp_natted_lookup(struct ihmp_net *in, const void *key)
{
	return ihmp_payload(rhashtable_lookup(&in->natted, key, ihmp_natted_params));
}

int ihmp_natted_insert(struct ihmp_net *in, void *payload)
{
	return rhashtable_lookup_insert_fast(&in->natted, &ihmp_header(payload)->first,
					     ihmp_natted_params);
}

void ihmp_natted_remove(struct ihmp_net *in, void *payload)
{
	rhashtable_remove_fast(&in->natted, &ihmp_header(payload)->first, ihmp_natted_params);
}

void *ihmp_network_lookup(struct ihmp_net *in, const void *key)
{
	return ihmp_payload(rhashtable_lookup(&in->networks, key, ihmp_networks_params));
}

int ihmp_network_insert(struct ihmp_net *in, void *payload)
{
	return rhashtable_lookup_insert_fast(&in->networks, &ihmp_header(payload)->first,
					     ihmp_networks_params);
}

void ihmp_network_remove(struct ihmp_net *in, void *payload)
{
	rhashtable_remove_fast(&in->networks, &ihmp_header(payload)->first, ihmp_networks_params);
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

int ihmp_row_link(void *host, void *row)
{
	return ihmp_link(&ihmp_header(host)->rows, row);
}

void ihmp_row_unlink(void *host, void *row)
{
	xa_erase_bh(&ihmp_header(host)->rows, ihmp_header(row)->id);
}

void *ihmp_row_next(void *host, u32 *id)
{
	return ihmp_next(&ihmp_header(host)->rows, id);
}

int ihmp_nat_link(void *host, void *nat)
{
	return ihmp_link(&ihmp_header(host)->nats, nat);
}

void ihmp_nat_unlink(void *host, void *nat)
{
	xa_erase_bh(&ihmp_header(host)->nats, ihmp_header(nat)->id);
}

void *ihmp_nat_next(void *host, u32 *id)
{
	return ihmp_next(&ihmp_header(host)->nats, id);
}

int ihmp_host_link(struct ihmp_net *in, void *host, u32 *id)
{
	int err;

	err = xa_alloc_cyclic_bh(&in->hosts, id, host, XA_LIMIT(1, S32_MAX), &in->next_host,
				 GFP_ATOMIC | __GFP_NOWARN);
	return err < 0 ? err : 0;
}

void *ihmp_host_by_id(struct ihmp_net *in, u32 id)
{
	return xa_load(&in->hosts, id);
}

void *ihmp_host_unlink(struct ihmp_net *in, u32 id)
{
	return xa_erase_bh(&in->hosts, id);
}

void *ihmp_host_next(struct ihmp_net *in, u32 *id)
{
	return ihmp_next(&in->hosts, id);
}

int ihmp_tables_init(struct ihmp_net *in)
{
	int err;

	spin_lock_init(&in->wiring);
	xa_init_flags(&in->hosts, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH);
	xa_init_flags(&in->lent, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_BH);
	err = rhashtable_init(&in->addrs, &ihmp_addrs_params);
	if (err)
		return err;
	err = rhashtable_init(&in->flows, &ihmp_flows_params);
	if (err)
		goto free_addrs;
	err = rhashtable_init(&in->wires, &ihmp_wires_params);
	if (err)
		goto free_flows;
	err = rhashtable_init(&in->seen, &ihmp_seen_params);
	if (err)
		goto free_wires;
	err = rhashtable_init(&in->meant, &ihmp_meant_params);
	if (err)
		goto free_seen;
	err = rhashtable_init(&in->natted, &ihmp_natted_params);
	if (err)
		goto free_meant;
	err = rhashtable_init(&in->networks, &ihmp_networks_params);
	if (!err)
		return 0;
	rhashtable_destroy(&in->natted);
free_meant:
	rhashtable_destroy(&in->meant);
free_seen:
	rhashtable_destroy(&in->seen);
free_wires:
	rhashtable_destroy(&in->wires);
free_flows:
	rhashtable_destroy(&in->flows);
free_addrs:
	rhashtable_destroy(&in->addrs);
	return err;
}

/* The Rust side has emptied the tables. */
void ihmp_tables_exit(struct ihmp_net *in)
{
	rhashtable_destroy(&in->networks);
	rhashtable_destroy(&in->natted);
	rhashtable_destroy(&in->meant);
	rhashtable_destroy(&in->seen);
	rhashtable_destroy(&in->wires);
	rhashtable_destroy(&in->flows);
	rhashtable_destroy(&in->addrs);
	xa_destroy(&in->lent);
	xa_destroy(&in->hosts);
}
