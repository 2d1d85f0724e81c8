// SPDX-License-Identifier: GPL-2.0
//! Netlink attributes as bytes (linux/netlink.h, `struct nlattr`): a reader that borrows and a writer that appends.
//!
//! An attribute is a length (header included) and a number, 16 bits each in host byte order, then the payload, then zeros
//! up to a multiple of four.

use std::{
    fmt,
    net::{
        IpAddr,
        Ipv4Addr,
        Ipv6Addr, //
    },
};

const HEADER: usize = 4;
/// The payload holds attributes.
const NESTED: u16 = 1 << 15;
/// Both flags that share the field with the number: the other one says that the payload is in network byte order.
const FLAGS: u16 = 3 << 14;

/// Bytes that are no attribute of the kind that was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    /// An error in these words.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One attribute of a message.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    offset: usize,
    number: u16,
    payload: &'a [u8],
}

impl<'a> Attr<'a> {
    /// Where its header starts, counted from the first attribute of the list.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What it is, in the list's own numbers.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its octets.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    fn array<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.payload
            .try_into()
            .map_err(|_| self.wrong(&format!("{N} octets")))
    }

    /// The error for a payload that is not what was expected.
    pub fn wrong(&self, expected: &str) -> Malformed {
        Malformed(format!(
            "attribute {}: {} octets that are not {expected}",
            self.number,
            self.payload.len()
        ))
    }

    /// A number of 8 bits.
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.array().map(u8::from_ne_bytes)
    }

    /// A number of 16 bits in host byte order.
    pub fn u16(&self) -> Result<u16, Malformed> {
        self.array().map(u16::from_ne_bytes)
    }

    /// A number of 32 bits in host byte order.
    pub fn u32(&self) -> Result<u32, Malformed> {
        self.array().map(u32::from_ne_bytes)
    }

    /// The netlink type `uint`: as few as possible of 4 or 8 octets.
    pub fn uint(&self) -> Result<u64, Malformed> {
        match self.payload.len() {
            4 => self.u32().map(u64::from),
            8 => self.array().map(u64::from_ne_bytes),
            _ => Err(self.wrong("4 or 8 octets")),
        }
    }

    /// Text up to the zero that ends it, which may be missing.
    pub fn string(&self) -> Result<&'a str, Malformed> {
        let end = self
            .payload
            .iter()
            .position(|&octet| octet == 0)
            .unwrap_or(self.payload.len());
        std::str::from_utf8(&self.payload[..end]).map_err(|_| self.wrong("UTF-8"))
    }

    /// An address of either family.
    pub fn addr(&self) -> Result<IpAddr, Malformed> {
        match self.payload.len() {
            4 => self
                .array::<4>()
                .map(|octets| Ipv4Addr::from(octets).into()),
            16 => self
                .array::<16>()
                .map(|octets| Ipv6Addr::from(octets).into()),
            _ => Err(self.wrong("an address")),
        }
    }

    /// The attributes that it holds.
    pub fn nest(&self) -> Attrs<'a> {
        Attrs::new(self.payload)
    }
}

/// The attributes of a message or of a nest, in order.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Attrs<'a> {
    /// Those that begin here.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let header = |at| Some(u16::from_ne_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
        let parsed = header(0).zip(header(2)).and_then(|(len, number)| {
            let payload = rest.get(HEADER..usize::from(len))?;
            Some(Attr {
                offset: self.at,
                number: number & !FLAGS,
                payload,
            })
        });
        self.at = match &parsed {
            Some(attr) => self.at + HEADER + attr.payload.len().next_multiple_of(4),
            None => self.bytes.len(),
        };
        Some(
            parsed
                .ok_or_else(|| Malformed(format!("{} octets that hold no attribute", rest.len()))),
        )
    }
}

/// A list of attributes in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The attributes as octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A header and the attributes behind it.
    pub fn behind(&self, header: &[u8]) -> Vec<u8> {
        [header, &self.0].concat()
    }

    /// Appends an attribute. A payload that is too long for an attribute is cut; the kernel's own limits are far below that.
    fn put(&mut self, number: u16, payload: &[u8]) {
        let len = payload.len().min(usize::from(u16::MAX) - HEADER);
        // Cannot fail after the line above.
        let total = u16::try_from(HEADER + len).unwrap_or(u16::MAX);
        self.0.extend(total.to_ne_bytes());
        self.0.extend(number.to_ne_bytes());
        self.0.extend(&payload[..len]);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Octets as they are.
    pub fn bytes(&mut self, number: u16, value: &[u8]) {
        self.put(number, value);
    }

    /// An attribute whose presence is all that it says.
    pub fn flag(&mut self, number: u16) {
        self.put(number, &[]);
    }

    /// A number of 8 bits.
    pub fn u8(&mut self, number: u16, value: u8) {
        self.put(number, &value.to_ne_bytes());
    }

    /// A number of 16 bits in host byte order.
    pub fn u16(&mut self, number: u16, value: u16) {
        self.put(number, &value.to_ne_bytes());
    }

    /// A number of 32 bits in host byte order.
    pub fn u32(&mut self, number: u16, value: u32) {
        self.put(number, &value.to_ne_bytes());
    }

    /// The netlink type `uint`: as few as possible of 4 or 8 octets.
    pub fn uint(&mut self, number: u16, value: u64) {
        match u32::try_from(value) {
            Ok(value) => self.u32(number, value),
            Err(_) => self.put(number, &value.to_ne_bytes()),
        }
    }

    /// Text with the zero that ends it.
    pub fn string(&mut self, number: u16, value: &str) {
        self.put(number, &[value.as_bytes(), &[0]].concat());
    }

    /// An address of either family.
    pub fn addr(&mut self, number: u16, value: IpAddr) {
        match value {
            IpAddr::V4(value) => self.put(number, &value.octets()),
            IpAddr::V6(value) => self.put(number, &value.octets()),
        }
    }

    /// An attribute that holds attributes.
    pub fn nest(&mut self, number: u16, inner: &Writer) {
        self.put(number | NESTED, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8]) -> Vec<Result<(u16, usize, usize), Malformed>> {
        Attrs::new(bytes)
            .map(|attr| attr.map(|a| (a.number, a.offset, a.payload.len())))
            .collect()
    }

    #[test]
    fn every_type_comes_back() {
        let mut nest = Writer::default();
        nest.u16(9, 0x1234);
        let mut out = Writer::default();
        out.flag(1);
        out.u8(2, 200);
        out.u16(3, 60000);
        out.u32(4, 4_000_000_000);
        out.uint(5, 7);
        out.uint(6, 1 << 40);
        out.string(7, "name");
        out.addr(8, IpAddr::V4(Ipv4Addr::LOCALHOST));
        out.addr(9, IpAddr::V6(Ipv6Addr::LOCALHOST));
        out.nest(10, &nest);
        assert_eq!(out.0.len() % 4, 0);
        let attrs: Vec<_> = Attrs::new(&out.0).map(Result::unwrap).collect();
        assert_eq!(
            attrs.iter().map(|a| a.number).collect::<Vec<_>>(),
            (1..=10).collect::<Vec<_>>()
        );
        assert_eq!(attrs[0].payload.len(), 0);
        assert_eq!(attrs[1].u8(), Ok(200));
        assert_eq!(attrs[2].u16(), Ok(60000));
        assert_eq!(attrs[3].u32(), Ok(4_000_000_000));
        assert_eq!((attrs[4].payload.len(), attrs[4].uint()), (4, Ok(7)));
        assert_eq!((attrs[5].payload.len(), attrs[5].uint()), (8, Ok(1 << 40)));
        assert_eq!(attrs[6].string(), Ok("name"));
        assert_eq!(attrs[7].addr(), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(attrs[8].addr(), Ok(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(attrs[9].nest().next().unwrap().unwrap().u16(), Ok(0x1234));
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let mut out = Writer::default();
        out.u32(1, 0);
        let attr = Attrs::new(&out.0).next().unwrap().unwrap();
        assert!(attr.u8().is_err() && attr.u16().is_err());
        assert!(Attr {
            payload: &[0; 5],
            ..attr
        }
        .uint()
        .is_err());
        assert!(Attr {
            payload: &[0; 5],
            ..attr
        }
        .addr()
        .is_err());
        assert!(Attr {
            payload: b"\xff\0",
            ..attr
        }
        .string()
        .is_err());
        assert_eq!(
            Attr {
                payload: b"no end",
                ..attr
            }
            .string(),
            Ok("no end")
        );
    }

    #[test]
    fn broken_lists_end_with_one_error() {
        assert_eq!(numbers(&[]), []);
        // Shorter than a header; a length below the header's; a length beyond the end.
        for bytes in [
            &[8, 0, 1][..],
            &[3, 0, 1, 0],
            &[0, 0, 0, 0],
            &[9, 0, 1, 0, 1, 2, 3, 4],
        ] {
            let found = numbers(bytes);
            assert!(
                found.len() == 1 && found[0].is_err(),
                "{bytes:?}: {found:?}"
            );
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn padding_may_be_missing_at_the_end() {
        assert_eq!(numbers(&[5, 0, 1, 0, 9]), [Ok((1, 0, 1))]);
        assert_eq!(
            numbers(&[5, 0, 1, 0, 9, 0, 0, 0, 4, 0, 2, 0x80]),
            [Ok((1, 0, 1)), Ok((2, 8, 0))]
        );
    }

    #[test]
    fn too_long_is_cut() {
        let mut out = Writer::default();
        out.string(1, &"x".repeat(70_000));
        out.flag(2);
        assert_eq!(numbers(&out.0), [Ok((1, 0, 65_531)), Ok((2, 65_536, 0))]);
    }
}
