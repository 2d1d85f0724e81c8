// SPDX-License-Identifier: GPL-2.0
//! A flood of HELLOs, each from another address.

use ihmp_core::addr::Addr;
use ihmp_core::message::{put_signature, Addresses, Control, Ed25519, Message, Options};
use ihmp_core::message::{MAX_LEN, SUCCESSION_LEN};
use ihmp_engine::OwnKey;
use serde_json::{json, Value};

use crate::frame::{frame, Mac};
use crate::link::Link;
use crate::random::Random;

/// One in so many has a valid signature, each by a key of its own.
const SIGNED: u64 = 4;

/// An address in a prefix of its own.
fn nobody(victim: Addr, random: &mut Random) -> Addr {
    if victim.is_v4() {
        let [a, b, c] = random.fill();
        // 64.0.0.0/3 has nothing but unicast addresses.
        return Addr::v4([64 | (a & 0x1f), b, c, 1]);
    }
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb9]);
    octets[4..8].copy_from_slice(&random.fill::<4>());
    octets[15] = 1;
    Addr::v6(octets)
}

/// Sends so many.
pub(crate) fn run(link: &mut Link, mac: Mac, victim: Addr, count: u64) -> anyhow::Result<Value> {
    let mut random = Random(2);
    let mut signed = 0;
    for number in 0..count {
        let from = nobody(victim, &mut random);
        let message = Message {
            control: Control::Hello,
            options: Options::NONE,
            seqno: u16::from_be_bytes(random.fill()),
            signature: None,
            host: from,
            addresses: Addresses::of(&[from]).unwrap_or(Addresses::EMPTY),
        };
        let octets = if number % SIGNED == 0 {
            signed += 1;
            OwnKey::new(&random.fill(), Vec::new()).seal(&message, victim, number + 1, 0)
        } else {
            let mut body = [0; SUCCESSION_LEN];
            let block = Ed25519::unsigned(number + 1, &random.fill(), None, &mut body);
            let mut buffer = [0; MAX_LEN];
            let message = Message {
                signature: block.ok(),
                ..message
            };
            // INVARIANT: the buffer holds the longest message.
            let mut octets = message.emit(&mut buffer).unwrap_or_default().to_vec();
            let _ = put_signature(&mut octets, &random.fill());
            octets
        };
        link.send(frame(mac, from, victim, &octets))?;
    }
    link.flush()?;
    Ok(json!({"sent": count, "signed": signed}))
}
