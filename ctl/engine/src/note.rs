// SPDX-License-Identifier: GPL-2.0
//! What is worth a line in the log.

use std::fmt;

use ihmp_core::addr::Addr;
use ihmp_core::message::Control;
use ihmp_core::time::Duration;

use crate::io::Refusal;
use crate::keys::{Changed, PublicKey};

/// What to do about a move that a router rejects.
const ADVICE: &str =
    "this router does not let connections move to this address; use another network, or ask who \
                      runs the router (router.reject)";

/// A line for the log; its text form is `event=... name=value ...` with stable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A message was sent.
    Sent {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
        /// 1 for the first send.
        attempt: u32,
    },
    /// A message was accepted.
    Received {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
    },
    /// A message was not used.
    Refused {
        /// Why.
        reason: Refusal,
        /// Its source.
        from: Addr,
        /// Its destination.
        to: Addr,
    },
    /// A request was acknowledged.
    Acked {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Who acknowledged it.
        by: Addr,
        /// Time since it was first sent.
        after: Duration,
    },
    /// A request was not acknowledged by any address of the peer.
    Unanswered {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
        /// Where it was last sent to.
        to: Addr,
    },
    /// A request was given up because a newer state replaces it.
    Superseded {
        /// Its kind.
        control: Control,
        /// Its number.
        seqno: u16,
        /// Its source.
        from: Addr,
    },
    /// A host takes part.
    Up {
        /// Its address.
        peer: Addr,
    },
    /// A host does not take part.
    Classic {
        /// Its address.
        peer: Addr,
        /// Why.
        reason: &'static str,
    },
    /// The peer is not told of an own address: it knows as many as can be told.
    LeftOut {
        /// An address of the peer.
        peer: Addr,
        /// The own address.
        addr: Addr,
    },
    /// No own address is left from which the host can be reached.
    Lost {
        /// Its address.
        peer: Addr,
    },
    /// A host was taken over from the kernel.
    Adopted {
        /// The kernel's number of it.
        id: u32,
        /// Its address.
        peer: Addr,
    },
    /// Two entries proved to be one host.
    Merged {
        /// An address of the one that stays.
        kept: Addr,
        /// An address of the other.
        gone: Addr,
    },
    /// A host is bound to a key.
    Bound {
        /// Its address.
        peer: Addr,
        /// The key.
        key: PublicKey,
    },
    /// A peer has a new key, by the word of the former one.
    Succeeded {
        /// The former key.
        former: PublicKey,
        /// The new key.
        key: PublicKey,
    },
    /// Another key is where one was remembered.
    KeyChanged(Changed),
    /// Another host answers at this address; it is taken off the host that had it.
    Mistaken {
        /// The address.
        peer: Addr,
    },
    /// A router brings what is sent to our old address to the new one; the peer is not told.
    Routed {
        /// The router.
        by: Addr,
        /// The new address.
        new: Addr,
        /// The old one.
        old: Addr,
    },
    /// A router does not: the peer is told.
    RouterDeclined {
        /// The router.
        by: Addr,
        /// The new address.
        new: Addr,
        /// The old one.
        old: Addr,
    },
    /// A router's policy is against a move: the peer was not told, and is not.
    RouterRejected {
        /// The router.
        by: Addr,
        /// The new address.
        new: Addr,
        /// The old one.
        old: Addr,
        /// For how long.
        seconds: u16,
    },
    /// A router did, and does no longer, as far as can be seen: the peer is told.
    EndToEnd {
        /// The new address.
        new: Addr,
        /// The old one.
        old: Addr,
        /// Why.
        reason: &'static str,
    },
    /// A peer was asked at an address that it announced, and did not answer; the address is not used any more.
    Unvalidated {
        /// The address.
        peer: Addr,
    },
    /// Something is sent on a path and nothing comes back: the path is probed, and others are.
    PathSilent {
        /// The own address.
        local: Addr,
        /// That of the peer.
        peer: Addr,
    },
    /// A path is not used any more: none of its probes was answered, and one on another path was.
    PathDead {
        /// The own address.
        local: Addr,
        /// That of the peer.
        peer: Addr,
        /// The own address of the path that works.
        by: Addr,
        /// That of the peer.
        to: Addr,
    },
    /// The peer was reached from an own address again.
    PathBack {
        /// The own address.
        local: Addr,
        /// An address of the peer.
        peer: Addr,
        /// Time for which that was not so.
        after: Duration,
    },
    /// The peer does not know our sequence number; it is greeted again.
    Resync {
        /// Its address.
        peer: Addr,
    },
    /// The kernel removed a host, or would not make it; or nobody needed it any more.
    Gone {
        /// Its address.
        peer: Addr,
        /// Why.
        reason: &'static str,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Sent {
                control,
                seqno,
                from,
                to,
                attempt,
            } => {
                write!(f, "event=sent control={control} seqno={seqno} from={from} to={to} attempt={attempt}")
            }
            Note::Received {
                control,
                seqno,
                from,
                to,
            } => {
                write!(
                    f,
                    "event=received control={control} seqno={seqno} from={from} to={to}"
                )
            }
            Note::Refused { reason, from, to } => {
                write!(
                    f,
                    "event=refused reason={} from={from} to={to}",
                    reason.name()
                )
            }
            Note::Acked {
                control,
                seqno,
                from,
                by,
                after,
            } => write!(
                f,
                "event=acked control={control} seqno={seqno} from={from} by={by} after_us={}",
                after.as_micros()
            ),
            Note::Unanswered {
                control,
                seqno,
                from,
                to,
            } => {
                write!(
                    f,
                    "event=unanswered control={control} seqno={seqno} from={from} to={to}"
                )
            }
            Note::Superseded {
                control,
                seqno,
                from,
            } => {
                write!(
                    f,
                    "event=superseded control={control} seqno={seqno} from={from}"
                )
            }
            Note::PathSilent { local, peer } => {
                write!(f, "event=path-silent local={local} peer={peer}")
            }
            Note::PathDead {
                local,
                peer,
                by,
                to,
            } => {
                write!(
                    f,
                    "event=path-dead local={local} peer={peer} by={by} to={to}"
                )
            }
            Note::PathBack { local, peer, after } => {
                write!(
                    f,
                    "event=path-back local={local} peer={peer} after_ms={}",
                    after.as_millis()
                )
            }
            Note::Up { peer } => write!(f, "event=up peer={peer}"),
            Note::Classic { peer, reason } => {
                write!(f, "event=classic peer={peer} reason={reason}")
            }
            Note::LeftOut { peer, addr } => write!(f, "event=left-out peer={peer} addr={addr}"),
            Note::Lost { peer } => write!(f, "event=lost peer={peer}"),
            Note::Adopted { id, peer } => write!(f, "event=adopted id={id} peer={peer}"),
            Note::Merged { kept, gone } => write!(f, "event=merged kept={kept} gone={gone}"),
            Note::Bound { peer, key } => {
                write!(f, "event=bound peer={peer} key={}", key.fingerprint())
            }
            Note::Succeeded { former, key } => write!(
                f,
                "event=succeeded former={} key={}",
                former.fingerprint(),
                key.fingerprint()
            ),
            Note::KeyChanged(changed) => write!(
                f,
                "event=key-changed peer={} former={} key={} outcome={}",
                changed.at,
                changed.former.fingerprint(),
                changed.key.fingerprint(),
                if changed.believed {
                    "believed"
                } else {
                    "refused"
                }
            ),
            Note::Routed { by, new, old } => {
                write!(f, "event=routed by={by} new={new} old={old}")
            }
            Note::RouterDeclined { by, new, old } => {
                write!(f, "event=router-declined by={by} new={new} old={old}")
            }
            Note::RouterRejected {
                by,
                new,
                old,
                seconds,
            } => {
                write!(f, "event=router-rejected by={by} new={new} old={old} seconds={seconds} advice=\"{ADVICE}\"")
            }
            Note::EndToEnd { new, old, reason } => {
                write!(f, "event=end-to-end new={new} old={old} reason={reason}")
            }
            Note::Mistaken { peer } => write!(f, "event=mistaken peer={peer}"),
            Note::Unvalidated { peer } => write!(f, "event=unvalidated peer={peer}"),
            Note::Resync { peer } => write!(f, "event=resync peer={peer}"),
            Note::Gone { peer, reason } => write!(f, "event=gone peer={peer} reason={reason}"),
        }
    }
}
