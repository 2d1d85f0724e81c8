// SPDX-License-Identifier: GPL-2.0
//! The parser of messages, and what is done to octets before a signature is verified.

use ihmp_core::addr::Addr;
use ihmp_core::message::{
    put_signature, signed, Message, Options, ED25519, ED25519_SUCCESSION, MAX_ADDRESSES, MAX_LEN,
    MAX_SIGNED,
};

/// No octets make the parser panic; what it takes is written back the same, and means what the octets say.
pub fn message(octets: &[u8]) {
    let to = Addr::v4([192, 0, 2, 1]);
    let mut out = [0; MAX_SIGNED];
    let over = signed(octets, to, 7, &mut out).map(<[u8]>::to_vec);
    assert!(over.is_err() || octets.len() <= MAX_LEN);
    let Ok(message) = Message::parse(octets) else {
        return;
    };
    assert!(message.addresses.as_slice().len() <= MAX_ADDRESSES);
    assert_eq!(
        message.options.has(Options::SIGNED),
        message.signature.is_some()
    );
    let mut buffer = vec![0; octets.len()];
    assert_eq!(message.emit(&mut buffer), Ok(octets));
    assert_eq!(Message::parse(&buffer), Ok(message));
    if let Some(short) = octets.len().checked_sub(1) {
        assert!(message.emit(&mut vec![0; short]).is_err());
    }
    for addr in message.addresses.as_slice().iter().chain([&message.host]) {
        // An address that is written is read as the same one.
        assert_eq!(addr.to_string().parse(), Ok(*addr));
        let _ = (addr.translatable(), addr.scope(), addr.family());
    }
    let Some(signature) = message.signature else {
        return;
    };
    let known = [ED25519, ED25519_SUCCESSION].contains(&signature.algorithm);
    let block = signature.ed25519();
    assert_eq!(block.is_some(), known);
    let Some(block) = block else { return };
    assert_eq!(
        block.succession.is_some(),
        signature.algorithm == ED25519_SUCCESSION
    );
    // What is signed is all but the signature, whatever that is.
    let over = over.expect("a message with a block can be signed");
    let mut other = octets.to_vec();
    put_signature(&mut other, &[0x5a; 64]).expect("there is room for a signature");
    assert_eq!(signed(&other, to, 7, &mut out), Ok(&over[..]));
    let parsed = Message::parse(&other).expect("a signature is any octets");
    let parts = parsed.signature.and_then(|signature| signature.ed25519());
    assert_eq!(parts.map(|parts| parts.signature), Some(&[0x5a; 64]));
}
