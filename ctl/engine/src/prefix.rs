// SPDX-License-Identifier: GPL-2.0
//! Which addresses are in one network.

use ihmp_core::addr::{Addr, Family};

/// Whether another address is that of a host in the prefix of this length around one of ours.
pub(crate) fn is_connected(ours: Addr, other: Addr, len: u8) -> bool {
    if ours.family() != other.family() {
        return false;
    }
    // The length counts from the start of the family's own form.
    let skipped = if ours.is_v4() { 96 } else { 0 };
    let len = u32::from(len).saturating_add(skipped).min(128);
    let hosts = u128::MAX.checked_shr(len).unwrap_or(0);
    let (ours, other) = (
        u128::from_be_bytes(ours.octets()),
        u128::from_be_bytes(other.octets()),
    );
    // The first address of a prefix is nobody's, the last one of IPv4 everybody's; where there are two, both are hosts.
    let odd = [0, hosts].contains(&(other & hosts)) && hosts > 1;
    (ours ^ other) & !hosts == 0 && !odd
}

/// Whether two addresses are of the same /64.
pub(crate) fn is_same_network(one: Addr, other: Addr) -> bool {
    let v6 = one.family() == Family::V6 && other.family() == Family::V6;
    v6 && one
        .octets()
        .iter()
        .take(8)
        .eq(other.octets().iter().take(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_prefixes() {
        let addr = |text: &str| text.parse::<Addr>().unwrap();
        let connected = |one, other, len| is_connected(addr(one), addr(other), len);
        assert!(connected("10.1.2.3", "10.1.2.200", 24));
        assert!(!connected("10.1.2.3", "10.1.3.3", 24));
        assert!(!connected("10.1.2.3", "10.1.2.4", 32));
        assert!(connected("10.1.2.3", "11.1.2.4", 0));
        assert!(connected("fd00::1", "fd00::2", 64));
        assert!(!connected("fd00::1", "fd00:0:0:1::2", 64));
        assert!(!connected("fd00::1", "10.0.0.1", 0));
        assert!(!connected("10.1.2.3", "10.1.2.255", 24) && !connected("10.1.2.3", "10.1.2.0", 24));
        assert!(connected("10.1.2.3", "10.1.2.2", 31));
    }
}
