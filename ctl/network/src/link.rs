// SPDX-License-Identifier: GPL-2.0
//! Network devices.
//!
//! C header: linux/if_link.h

use ihmp_netlink::{
    Attrs,
    Malformed, //
};

use crate::rtnetlink::{
    octet,
    word,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    LINK_HEADER, //
};

const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 1 << 3;
const IFF_LOWER_UP: u32 = 1 << 16;
const IFLA_MASTER: u16 = 10;
const IFLA_PARENT_DEV_NAME: u16 = 56;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index of the device.
    pub index: u32,
    /// Name of the device.
    pub name: String,
    /// Kind of a virtual device (`veth`, `dummy`, `wireguard`), none for a real one.
    pub kind: Option<String>,
    /// The device is up and has a carrier.
    pub up: bool,
    /// The device is a loopback.
    pub loopback: bool,
    /// Type of its link (`ARPHRD_*`).
    pub link_type: u16,
    /// Index of the bridge, bond or VRF that it is a part of.
    pub master: Option<u32>,
    /// There is hardware behind it.
    pub hardware: bool,
}

impl Link {
    /// A device from its message.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let flags = word(bytes, 8);
        let mut link = Self {
            index: word(bytes, 4),
            name: String::new(),
            kind: None,
            up: flags & IFF_UP != 0 && flags & IFF_LOWER_UP != 0,
            loopback: flags & IFF_LOOPBACK != 0,
            link_type: u16::from_ne_bytes([octet(bytes, 2), octet(bytes, 3)]),
            master: None,
            hardware: false,
        };
        for attr in Attrs::new(bytes.get(LINK_HEADER..).unwrap_or_default()) {
            let attr = attr?;
            match attr.number() {
                IFLA_IFNAME => link.name = attr.string()?.to_owned(),
                IFLA_MASTER => link.master = Some(attr.u32()?),
                IFLA_PARENT_DEV_NAME => link.hardware = true,
                IFLA_LINKINFO => {
                    for inner in attr.nest() {
                        let inner = inner?;
                        if inner.number() == IFLA_INFO_KIND {
                            link.kind = Some(inner.string()?.to_owned());
                        }
                    }
                }
                _ => (),
            }
        }
        Ok(link)
    }
}
