// SPDX-License-Identifier: GPL-2.0
//! How many control messages one hand-off takes: Table III of [DIME-IFIP].
//!
//! The table gives each protocol's messages towards one correspondent. They are taken times the correspondents here, but
//! for the two that a host of Mobile IPv6 exchanges with its home agent. Figure 13 draws that for one address at each end
//! and four connections with each correspondent; its curves did not survive in the text that we have.

/// The connections with each correspondent in Figure 13.
pub const FIGURE_13_CONNECTIONS: u64 = 4;

/// What a hand-off depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Addresses of the host that moves.
    pub local: u64,
    /// Addresses of each correspondent.
    pub foreign: u64,
    /// Correspondents.
    pub peers: u64,
    /// Connections with each of them.
    pub connections: u64,
}

/// A protocol of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// This one.
    Ihmp,
    /// Multipath TCP.
    Mptcp,
    /// The Host Identity Protocol.
    Hip,
    /// Mobile IPv6 with route optimisation.
    Mipv6,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 4] = [
        Protocol::Ihmp,
        Protocol::Mptcp,
        Protocol::Hip,
        Protocol::Mipv6,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Ihmp => "IHMP",
            Protocol::Mptcp => "MPTCP",
            Protocol::Hip => "HIP",
            Protocol::Mipv6 => "MIPv6",
        }
    }

    /// The control messages of one hand-off ([DIME-IFIP] Table III).
    pub fn messages(self, setting: Setting) -> u64 {
        let Setting {
            local,
            foreign,
            peers,
            connections,
        } = setting;
        match self {
            Protocol::Ihmp => 2 * local.max(foreign) * peers,
            Protocol::Mptcp => 4 * local * foreign * connections * peers,
            Protocol::Hip => 4 * local * foreign * peers,
            // Two to the home agent, whoever the correspondents are; six to each of them.
            Protocol::Mipv6 => (2 + 6 * peers) * local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_at_each_end() {
        let setting = Setting {
            local: 1,
            foreign: 1,
            peers: 100,
            connections: FIGURE_13_CONNECTIONS,
        };
        let messages = Protocol::ALL.map(|protocol| protocol.messages(setting));
        assert_eq!(messages, [200, 1_600, 400, 602]);
    }

    #[test]
    fn the_example_of_the_paper() {
        // A1-B1, A1-B2, A2-B1 and A2-B2 against A1-B1 and A2-B2.
        let setting = Setting {
            local: 2,
            foreign: 2,
            peers: 1,
            connections: 1,
        };
        assert_eq!(Protocol::Hip.messages(setting), 4 * 4);
        assert_eq!(Protocol::Ihmp.messages(setting), 2 * 2);
    }
}
