// SPDX-License-Identifier: GPL-2.0
//! The messages of one hand-off, counted, where nothing is lost.

use ihmp_core::addr::Addr;
use ihmp_engine::{Limits, Policy};

use crate::formula::Setting;
use crate::{ms, secs, Sim, FAIR};

/// How much of the moving host's addresses is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All networks change, which is what the formula counts.
    All,
    /// One network changes, the others stay.
    One,
}

/// An address of a host; each is in a prefix of its own.
fn address(host: u8, network: u8) -> Addr {
    Addr::v4([20 + network, host, 0, 1])
}

/// The messages of one hand-off, requests and answers; or which ends do not agree after it.
///
/// All addresses are known to work before: each host has one when it is greeted, and announces the others. Connections are
/// flows of the moving host; the module tells the engine of the first one with a host, so the others cannot cost anything.
///
/// # Panics
///
/// With more than 120 peers or 4 addresses at an end.
pub fn count(setting: Setting, extent: Extent) -> Result<u64, String> {
    let narrow = |count: u64| u8::try_from(count).ok();
    let (Some(local), Some(foreign)) = (narrow(setting.local), narrow(setting.foreign)) else {
        return Err("too many addresses".to_owned());
    };
    let peers = narrow(setting.peers)
        .filter(|peers| *peers <= 120)
        .ok_or("too many peers")?;
    let mut sim = Sim::new(1, FAIR);
    for host in 0..=peers {
        sim.place(vec![address(host, 0)], Limits::default(), Policy::FirstUse);
    }
    for peer in 1..=peers {
        for _ in 0..setting.connections {
            sim.open(0, address(0, 0), address(peer, 0));
        }
        sim.run(ms(20));
    }
    sim.run(secs(5));
    for network in 1..local {
        sim.relocate(0, &[], &[address(0, network)]);
        sim.run(secs(2));
    }
    for network in 1..foreign {
        for peer in 1..=peers {
            sim.relocate(peer.into(), &[], &[address(peer, network)]);
        }
        sim.run(secs(2));
    }
    // Until every address was proven.
    sim.run(secs(60));
    for peer in 1..=peers {
        agree(&sim, peer.into(), local, foreign)?;
    }
    sim.sent();
    let changed = match extent {
        Extent::All => local,
        Extent::One => 1,
    };
    let old: Vec<Addr> = (0..changed).map(|network| address(0, network)).collect();
    let new: Vec<Addr> = (0..changed)
        .map(|network| address(0, 50 + network))
        .collect();
    sim.relocate(0, &old, &new);
    // A peer that has nothing to ask within 20 s sends a PATH_PROBE to each new address: no part of the hand-off.
    sim.run(secs(15));
    for peer in 1..=peers {
        agree(&sim, peer.into(), local, foreign)?;
    }
    Ok(sim.sent().len() as u64)
}

/// Whether a peer and the moving host know so many addresses of each other.
fn agree(sim: &Sim, peer: usize, local: u8, foreign: u8) -> Result<(), String> {
    sim.agreement(0, peer)?;
    for (at, of, count) in [(peer, 0, local), (0, peer, foreign)] {
        let active = sim.find(at, of)?.record.active.len();
        if active != usize::from(count) {
            return Err(format!(
                "node {at} has {active} active addresses of node {of}, not {count}"
            ));
        }
    }
    Ok(())
}
