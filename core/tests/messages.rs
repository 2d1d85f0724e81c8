// SPDX-License-Identifier: GPL-2.0
//! The messages of messages.txt are what they are said to be; the dissector for Wireshark is held to the same list.

use ihmp_core::message::{Message, MAX_LEN};

fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).unwrap().try_into().unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "{text}");
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4) | pair[1])
        .collect()
}

#[test]
fn listed_messages_are_what_they_are_said_to_be() {
    let list = include_str!("messages.txt").lines();
    let mut count = 0;
    for line in list.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (want, text) = line.split_once(' ').unwrap();
        let octets = octets(text);
        let got = Message::parse(&octets);
        assert_eq!(
            got.map_or_else(|error| error.name(), |_| "ok"),
            want,
            "{line}"
        );
        if let Ok(message) = got {
            let mut buffer = [0; MAX_LEN];
            assert_eq!(message.emit(&mut buffer), Ok(&octets[..]));
        }
        count += 1;
    }
    assert!(count > 20);
}
