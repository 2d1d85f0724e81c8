// SPDX-License-Identifier: GPL-2.0

//! What C calls: each function turns pointers into borrowed values and makes one call.
//!
//! C header: `shim/shim.h` (end), `shim/netlink_gen.h`

use super::{
    genl::{
        Dump,
        Request, //
    },
    initial::initial,
    net::Net,
    object::{
        Counted,
        PayloadKind,
        Shared, //
    },
    raw,
    skb::Skb,
    sock::Sock,
    table::{
        AddrKey,
        Apart,
        Change,
        Exchange,
        Exchanged,
        Find,
        FlowBytes,
        Link,
        MeantBytes,
        Next,
        Numbered,
        Only,
        Paired,
        Remove,
        Replace,
        Replaced,
        SeenBytes,
        Table,
        Unlink,
        WireBytes, //
    },
};
use crate::{
    control,
    credit::{
        Network,
        Networks, //
    },
    datapath,
    expiry,
    flow::{
        Flows,
        Row,
        Wires, //
    },
    host::{
        AddrNode,
        Addrs,
        Host, //
    },
    nat::{
        MeantNats,
        Nat,
        NatAddrs,
        Natted,
        SeenNats, //
    },
    netns::Netns,
    param::Params,
    policy::PolicyTable,
    stranded,
    view::View, //
};
use core::ptr::NonNull;
use ihmp_core::verdict::Reason;
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// Types of one size that may live under RCU.
macro_rules! payloads {
    ($($type:ty => $kind:ident;)*) => {$(
        // SAFETY: `ihmp_rs_drop` drops a value of the type for this number; the whole of it is where it
        // begins.
        unsafe impl PayloadKind for $type {
            const KIND: u32 = raw::$kind;

            unsafe fn at(payload: *mut c_void) -> *mut Self {
                payload.cast()
            }
        }
    )*};
}

payloads! {
    Host => ihmp_kind_IHMP_KIND_HOST;
    AddrNode => ihmp_kind_IHMP_KIND_ADDR;
    Row => ihmp_kind_IHMP_KIND_ROW;
    Nat => ihmp_kind_IHMP_KIND_NAT;
    Natted => ihmp_kind_IHMP_KIND_NATTED;
    Network => ihmp_kind_IHMP_KIND_NETWORK;
}

// SAFETY: `Host::new` shares it at once, and it is in no table but that of numbers, which has a count.
unsafe impl Counted for Host {}

// SAFETY: `ihmp_rs_drop` drops a `View` for this number; `whole` finds out how long it is.
unsafe impl PayloadKind for View {
    const KIND: u32 = raw::ihmp_kind_IHMP_KIND_VIEW;

    #[inline]
    unsafe fn at(payload: *mut c_void) -> *mut Self {
        // SAFETY: By the requirement.
        unsafe { Self::whole(payload) }
    }
}

// SAFETY: `ihmp_rs_drop` drops a `PolicyTable` for this number; `whole` finds out how long it is.
unsafe impl PayloadKind for PolicyTable {
    const KIND: u32 = raw::ihmp_kind_IHMP_KIND_POLICY;

    unsafe fn at(payload: *mut c_void) -> *mut Self {
        // SAFETY: By the requirement.
        unsafe { Self::whole(payload) }
    }
}

/// What each table has, found by which key.
macro_rules! tables {
    ($($table:ty: $key:ty => $value:ty, $find:ident, $insert:ident, $remove:ident;)*) => {$(
        // SAFETY: The three functions are made by one `IHMP_TABLE` of object.c, for keys of this length at the place in the value that
        // is asserted below. Each table is named once here, and nowhere else.
        unsafe impl Table for $table {
            type Key = $key;
            type Value = $value;
            const FIND: Find = raw::$find;
            const INSERT: Change = raw::$insert;
            const REMOVE: Change = raw::$remove;
        }
    )*};
}

tables! {
    Addrs: AddrKey => AddrNode, ihmp_addrs_find, ihmp_addrs_insert, ihmp_addrs_remove;
    Flows: FlowBytes => Row, ihmp_flows_find, ihmp_flows_insert, ihmp_flows_remove;
    Wires: WireBytes => Row, ihmp_wires_find, ihmp_wires_insert, ihmp_wires_remove;
    SeenNats: SeenBytes => Nat, ihmp_seen_find, ihmp_seen_insert, ihmp_seen_remove;
    MeantNats: MeantBytes => Nat, ihmp_meant_find, ihmp_meant_insert, ihmp_meant_remove;
    NatAddrs: AddrKey => Natted, ihmp_natted_find, ihmp_natted_insert, ihmp_natted_remove;
    Networks: AddrKey => Network, ihmp_networks_find, ihmp_networks_insert, ihmp_networks_remove;
}

// SAFETY: Address nodes are in no other table.
unsafe impl Only for Addrs {}
// SAFETY: Addresses of NATs are in no other table.
unsafe impl Only for NatAddrs {}
// SAFETY: Networks are in no other table.
unsafe impl Only for Networks {}

// SAFETY: The function is made by `IHMP_REPLACE` of object.c for this table.
unsafe impl Replaced for Addrs {
    const REPLACE: Replace = raw::ihmp_addrs_replace;
}

/// What is in two tables, and linked to its host.
macro_rules! pairs {
    ($($type:ty: $first:ty, $second:ty => $link:ident, $unlink:ident, $next:ident, $remove:ident
        $(, apart by $apart:ident)?;)*) => {$(
        // SAFETY: The four functions are made by one `IHMP_PAIR` of object.c, of these two tables.
        unsafe impl Paired for $type {
            type First = $first;
            type Second = $second;
            type Owner = Host;
            const LINK: Link = raw::$link;
            const UNLINK: Unlink = raw::$unlink;
            const NEXT: Next = raw::$next;
            const REMOVE: Remove = raw::$remove;

            fn owner(&self) -> &Shared<Host> {
                self.host()
            }
            $(
            fn is_apart(&self) -> bool {
                self.$apart()
            })?
        }
    )*};
}

pairs! {
    Row: Flows, Wires => ihmp_row_link, ihmp_row_unlink, ihmp_row_next, ihmp_row_remove, apart by is_apart;
    Nat: SeenNats, MeantNats => ihmp_nat_link, ihmp_nat_unlink, ihmp_nat_next, ihmp_nat_remove;
}

// SAFETY: The function puts a row among the wires.
unsafe impl Apart for Row {
    const JOIN: Change = raw::ihmp_row_wire;
}

// SAFETY: The function is that of these two tables, and mappings are never apart.
unsafe impl Exchanged for Nat {
    const EXCHANGE: Exchange = raw::ihmp_nat_exchange;
}

// SAFETY: This is the only one.
unsafe impl Numbered for Host {}

// The tables compare these octets of the payloads.
const _: () = {
    assert!(core::mem::offset_of!(AddrNode, key) == 0);
    assert!(core::mem::offset_of!(Row, flow) == 0);
    assert!(core::mem::offset_of!(Row, wire) == size_of::<FlowBytes>());
    assert!(size_of::<AddrKey>() == 16 && size_of::<WireBytes>() == 12);
    assert!(core::mem::offset_of!(Nat, seen) == 0);
    assert!(core::mem::offset_of!(Nat, meant) == size_of::<SeenBytes>());
    assert!(size_of::<SeenBytes>() == 24 && size_of::<MeantBytes>() == 28);
    // They hash each as numbers of 32 bits; a payload is aligned to 8 octets.
    assert!(size_of::<FlowBytes>() % 4 == 0 && size_of::<SeenBytes>() % 4 == 0);
    assert!(core::mem::offset_of!(Natted, key) == 0);
    assert!(core::mem::offset_of!(Network, key) == 0);
    // With the header of 64 octets a row has at most 256.
    assert!(size_of::<Row>() <= 192);
};

/// Frees what a payload owns, a grace period after it was retired.
///
/// # Safety
///
/// `payload` is a value of the kind, retired a grace period ago, and given once.
#[no_mangle]
unsafe extern "C" fn ihmp_rs_drop(kind: u32, payload: *mut c_void) {
    // SAFETY: `PayloadKind` binds the number to the type; nobody can see the payload any more.
    unsafe {
        match kind {
            Host::KIND => Host::at(payload).drop_in_place(),
            View::KIND => View::at(payload).drop_in_place(),
            AddrNode::KIND => AddrNode::at(payload).drop_in_place(),
            Row::KIND => Row::at(payload).drop_in_place(),
            PolicyTable::KIND => PolicyTable::at(payload).drop_in_place(),
            Nat::KIND => Nat::at(payload).drop_in_place(),
            Natted::KIND => Natted::at(payload).drop_in_place(),
            Network::KIND => Network::at(payload).drop_in_place(),
            _ => (),
        }
    }
}

/// Makes the state of a namespace; null when there is no memory.
///
/// # Safety
///
/// `net` outlives the state, which C gives back to `ihmp_rs_net_exit`.
#[no_mangle]
unsafe extern "C" fn ihmp_rs_net_init(net: *mut raw::ihmp_net) -> *mut c_void {
    let Some(net) = NonNull::new(net) else {
        return core::ptr::null_mut();
    };
    // SAFETY: C frees the state in `ihmp_rs_net_exit`, before the namespace goes.
    let net = unsafe { Net::from_raw(net) };
    let params = Params::new(initial(&net).map(|initial| &initial.params));
    match Netns::new(net, params) {
        Ok(state) => {
            // SAFETY: The value is not moved out of its box again; exit makes the same box.
            KBox::into_raw(unsafe { Pin::into_inner_unchecked(state) }).cast()
        }
        Err(_) => core::ptr::null_mut(),
    }
}

/// Ends the state of a namespace; no hook, work or command runs in it any more.
///
/// # Safety
///
/// `state` came from `ihmp_rs_net_init`, and is given once.
#[no_mangle]
unsafe extern "C" fn ihmp_rs_net_exit(state: *mut c_void) {
    // SAFETY: The pointer came from `ihmp_rs_net_init`, and is given once.
    let state = unsafe { Pin::new_unchecked(KBox::from_raw(state.cast::<Netns>())) };
    state.empty();
}

/// The state behind a pointer that C kept for us.
///
/// # Safety
///
/// The pointer came from `ihmp_rs_net_init` and `ihmp_rs_net_exit` waits for the caller.
unsafe fn netns<'a>(state: *mut c_void) -> &'a Netns {
    // SAFETY: By the requirement.
    unsafe { &*state.cast::<Netns>() }
}

/// One packet in a hook.
///
/// # Safety
///
/// `state` is live, RCU is held, and the hook owns `skb`; `sk` is null or the hook's socket, and `wait` is null or the hook's state, from
/// which the packet goes on when it had to wait. Both stay while the hook runs.
#[no_mangle]
unsafe extern "C" fn ihmp_rs_hook(
    state: *mut c_void,
    skb: *mut raw::sk_buff,
    sk: *mut raw::sock,
    hook: u32,
    wait: *const raw::nf_hook_state,
) -> u32 {
    let Some(skb) = NonNull::new(skb) else {
        return raw::ihmp_verdict_IHMP_ACCEPT;
    };
    // SAFETY: Hooks are gone, and a grace period is over, before `ihmp_rs_net_exit`; a hook runs
    // under RCU, owns its packet, and its caller holds the socket and the hook's state.
    let (netns, skb) = unsafe { (netns(state), Skb::from_raw(skb, sk, wait)) };
    let verdict = match hook {
        raw::ihmp_hook_IHMP_HOOK_OUT4 => datapath::output(netns, skb, false),
        raw::ihmp_hook_IHMP_HOOK_OUT6 => datapath::output(netns, skb, true),
        raw::ihmp_hook_IHMP_HOOK_IN4 => datapath::input(netns, skb, false),
        _ => datapath::input(netns, skb, true),
    };
    match verdict {
        datapath::Verdict::Accept => raw::ihmp_verdict_IHMP_ACCEPT,
        datapath::Verdict::Drop => raw::ihmp_verdict_IHMP_DROP,
        datapath::Verdict::Refuse => raw::ihmp_verdict_IHMP_REFUSE,
        datapath::Verdict::Unreachable => raw::ihmp_verdict_IHMP_UNREACHABLE,
        datapath::Verdict::Stolen => raw::ihmp_verdict_IHMP_STOLEN,
    }
}

/// A packet that waited for an announced move is dropped, since its device has left the namespace.
///
/// # Safety
///
/// `state` is live until no packet waits.
#[no_mangle]
unsafe extern "C" fn ihmp_rs_held_lost(state: *mut c_void) {
    // SAFETY: Packets that wait are freed before `ihmp_rs_net_exit`.
    unsafe { netns(state) }.refuse(Reason::HeldLost);
}

/// The periodic look at what has expired.
///
/// # Safety
///
/// `state` is live until the work is stopped.
#[no_mangle]
unsafe extern "C" fn ihmp_rs_gc(state: *mut c_void) {
    // SAFETY: The work is stopped before `ihmp_rs_net_exit`.
    expiry::run(unsafe { netns(state) });
}

/// One socket that is connected over IPv4 from an address that is gone.
///
/// # Safety
///
/// `state` is live until the work is stopped; `sk` is null, or a full socket that the caller holds.
#[no_mangle]
unsafe extern "C" fn ihmp_rs_stranded(state: *mut c_void, sk: *mut raw::sock) {
    let Some(sk) = NonNull::new(sk) else {
        return;
    };
    // SAFETY: The work is stopped before `ihmp_rs_net_exit`, and holds the socket during this call.
    let (netns, sock) = unsafe { (netns(state), Sock::borrowed(sk)) };
    stranded::join(netns, &sock);
}

/// Handlers that the generated table of operations names.
macro_rules! commands {
    ($($name:ident => $handler:path;)*) => {$(
        /// # Safety
        ///
        /// `info` is null or a request of this family.
        #[no_mangle]
        unsafe extern "C" fn $name(_: *mut raw::sk_buff, info: *mut raw::genl_info) -> c_int {
            let Some(info) = NonNull::new(info) else {
                return EINVAL.to_errno();
            };
            // SAFETY: The family is gone before the namespaces' state; the request lasts as long
            // as this call.
            let (netns, request) = unsafe {
                (
                    netns(raw::ihmp_net_state(raw::ihmp_info_net(info.as_ptr()))),
                    Request::from_raw(info),
                )
            };
            match $handler(netns, &request) {
                Ok(()) => 0,
                Err(error) => error.to_errno(),
            }
        }
    )*};
}

/// Dump handlers that the generated table of operations names.
macro_rules! dumps {
    ($($name:ident => $handler:path;)*) => {$(
        /// # Safety
        ///
        /// Both are null or those of a dump of this family.
        #[no_mangle]
        unsafe extern "C" fn $name(
            msg: *mut raw::sk_buff,
            cb: *mut raw::netlink_callback,
        ) -> c_int {
            let (Some(msg), Some(cb)) = (NonNull::new(msg), NonNull::new(cb)) else {
                return EINVAL.to_errno();
            };
            // SAFETY: As for commands.
            let (netns, mut dump) = unsafe {
                (
                    netns(raw::ihmp_net_state(raw::ihmp_cb_net(cb.as_ptr()))),
                    Dump::from_raw(msg, cb),
                )
            };
            match $handler(netns, &mut dump) {
                Ok(()) => dump.finish(),
                Err(error) => error.to_errno(),
            }
        }
    )*};
}

commands! {
    ihmp_nl_host_get_doit => control::host::get;
    ihmp_nl_host_new_doit => control::host::new;
    ihmp_nl_host_set_doit => control::host::set;
    ihmp_nl_host_del_doit => control::host::del;
    ihmp_nl_host_flush_doit => control::host::flush;
    ihmp_nl_addr_new_doit => control::addr::new;
    ihmp_nl_addr_del_doit => control::addr::del;
    ihmp_nl_flow_get_doit => control::flow::get;
    ihmp_nl_flow_del_doit => control::flow::del;
    ihmp_nl_flow_flush_doit => control::flow::flush;
    ihmp_nl_policy_new_doit => control::policy::new;
    ihmp_nl_policy_del_doit => control::policy::del;
    ihmp_nl_policy_flush_doit => control::policy::flush;
    ihmp_nl_param_get_doit => control::param::get;
    ihmp_nl_param_set_doit => control::param::set;
    ihmp_nl_stats_get_doit => control::stats::get;
    ihmp_nl_stats_flush_doit => control::stats::flush;
    ihmp_nl_nat_get_doit => control::nat::get;
    ihmp_nl_nat_new_doit => control::nat::new;
    ihmp_nl_nat_del_doit => control::nat::del;
    ihmp_nl_nat_flush_doit => control::nat::flush;
}

dumps! {
    ihmp_nl_host_get_dumpit => control::host::dump;
    ihmp_nl_path_get_dumpit => control::path::dump;
    ihmp_nl_flow_get_dumpit => control::flow::dump;
    ihmp_nl_policy_get_dumpit => control::policy::dump;
    ihmp_nl_nat_get_dumpit => control::nat::dump;
}
