// SPDX-License-Identifier: GPL-2.0
//! The words of a command, read one after the other; keywords may be shortened as long as they stay unique.

use std::{
    fmt,
    net::IpAddr,
    str::FromStr,
    time::Duration, //
};

use nix::net::if_::if_nametoindex;

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Result of reading words.
pub(crate) type Result<T> = std::result::Result<T, Usage>;

/// The choice whose name the word is, or is the beginning of, if there is only one.
///
/// Several names may stand for the same value; then a word that begins more than one of them is not ambiguous.
pub(crate) fn pick<T: Copy + PartialEq>(
    word: &str,
    what: &str,
    choices: &[(&str, T)],
) -> Result<T> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let found: Vec<_> = choices
        .iter()
        .filter(|(name, _)| !word.is_empty() && name.starts_with(word))
        .collect();
    let list = |choices: &[&(&str, T)]| {
        choices
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match found.first() {
        Some((_, value)) if found.iter().all(|(_, other)| other == value) => Ok(*value),
        Some(_) => Err(Usage(format!(
            "\"{word}\" is ambiguous as {what}: {}",
            list(&found)
        ))),
        None => Err(Usage(format!(
            "\"{word}\" is not {what}: expected {}",
            list(&choices.iter().collect::<Vec<_>>())
        ))),
    }
}

/// Words that have not been read yet.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    rest: &'a [String],
}

impl<'a> Words<'a> {
    pub(crate) fn new(rest: &'a [String]) -> Self {
        Self { rest }
    }

    /// The next word, left where it is.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.rest.first().map(String::as_str)
    }

    /// The next word, if there is one.
    pub(crate) fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next word, which must be there.
    pub(crate) fn need(&mut self, what: &str) -> Result<&'a str> {
        self.take()
            .ok_or_else(|| Usage(format!("{what} is missing")))
    }

    /// Fails if words are left.
    pub(crate) fn end(&self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(Usage(format!("\"{word}\" was not expected"))),
        }
    }

    /// One of the choices.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &mut self,
        what: &str,
        choices: &[(&str, T)],
    ) -> Result<T> {
        pick(self.need(what)?, what, choices)
    }

    /// One of the values of an enum of the spec.
    pub(crate) fn value<T: Copy + PartialEq>(
        &mut self,
        what: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<T> {
        self.choice(
            what,
            &all.iter()
                .map(|&value| (name(value), value))
                .collect::<Vec<_>>(),
        )
    }

    /// A number, or another word that is parsed as a whole.
    pub(crate) fn parse<T: FromStr>(&mut self, what: &str) -> Result<T> {
        let word = self.need(what)?;
        word.parse()
            .map_err(|_| Usage(format!("\"{word}\" is not {what}")))
    }

    /// An address; an IPv4-mapped one is the IPv4 address.
    pub(crate) fn addr(&mut self, what: &str) -> Result<IpAddr> {
        self.parse::<IpAddr>(what).map(|addr| addr.to_canonical())
    }

    /// A prefix; without a length it is a single address.
    pub(crate) fn prefix(&mut self) -> Result<(IpAddr, u8)> {
        let word = self.need("a prefix")?;
        let parse = || {
            let (addr, len) = word
                .split_once('/')
                .map_or((word, None), |(addr, len)| (addr, Some(len)));
            let addr: IpAddr = addr.parse().ok()?;
            let most = if addr.is_ipv4() { 32 } else { 128 };
            let len = len.map_or(Some(most), |len| len.parse().ok())?;
            (len <= most).then_some((addr, len))
        };
        parse().ok_or_else(|| Usage(format!("\"{word}\" is not a prefix")))
    }

    /// A time in seconds, with or without a fraction and an `s`.
    pub(crate) fn seconds(&mut self, what: &str) -> Result<Duration> {
        let word = self.need(what)?;
        let number = word.strip_suffix('s').unwrap_or(word).parse().ok();
        number
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| Usage(format!("\"{word}\" is not {what}")))
    }

    /// A device by its name, or its index.
    pub(crate) fn device(&mut self) -> Result<u32> {
        let word = self.need("a device")?;
        let index = word.parse().ok().filter(|index| *index > 0);
        index
            .or_else(|| if_nametoindex(word).ok())
            .ok_or_else(|| Usage(format!("there is no device \"{word}\"")))
    }

    /// The keyword, if it is next: in full or shortened.
    pub(crate) fn keyword(&mut self, keyword: &str) -> bool {
        let next = self
            .peek()
            .is_some_and(|word| !word.is_empty() && keyword.starts_with(word));
        if next {
            self.take();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICES: &[(&str, u8)] = &[
        ("set", 1),
        ("show", 2),
        ("list", 2),
        ("lost", 3),
        ("del", 4),
        ("delete", 4),
    ];

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn shortening() {
        assert_eq!(pick("se", "a verb", CHOICES), Ok(1));
        assert_eq!(pick("show", "a verb", CHOICES), Ok(2));
        assert_eq!(pick("li", "a verb", CHOICES), Ok(2));
        assert_eq!(pick("de", "a verb", CHOICES), Ok(4));
        assert_eq!(pick("delete", "a verb", CHOICES), Ok(4));
        let error = |word| pick(word, "a verb", CHOICES).unwrap_err().0;
        assert_eq!(error("s"), "\"s\" is ambiguous as a verb: set, show");
        assert_eq!(
            error("x"),
            "\"x\" is not a verb: expected set, show, list, lost, del, delete"
        );
        assert!(error("").contains("is not a verb"));
        assert!(error("shows").contains("is not a verb"));
    }

    #[test]
    fn values() {
        let all = words("192.0.2.1 ::ffff:192.0.2.1 2001:db8::/32 10.0.0.1 1.5s 600 7 x");
        let mut words = Words::new(&all);
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(words.addr("an address"), Ok(v4));
        assert_eq!(words.addr("an address"), Ok(v4));
        assert_eq!(words.prefix(), Ok(("2001:db8::".parse().unwrap(), 32)));
        assert_eq!(words.prefix(), Ok(("10.0.0.1".parse().unwrap(), 32)));
        assert_eq!(words.seconds("a time"), Ok(Duration::from_millis(1500)));
        assert_eq!(words.seconds("a time"), Ok(Duration::from_secs(600)));
        assert_eq!(words.end(), Err(Usage("\"7\" was not expected".to_owned())));
        assert_eq!(words.parse::<u8>("a number"), Ok(7));
        assert_eq!(
            words.parse::<u8>("a number"),
            Err(Usage("\"x\" is not a number".to_owned()))
        );
        assert_eq!(
            words.parse::<u8>("a number"),
            Err(Usage("a number is missing".to_owned()))
        );
        assert_eq!(words.end(), Ok(()));
    }

    #[test]
    fn bad_prefixes_and_times() {
        for word in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "/8",
            "x/8",
            "10.0.0.0/8/8",
            "10.0.0.0/-1",
        ] {
            assert!(Words::new(&words(word)).prefix().is_err(), "{word}");
        }
        for word in ["-1", "nan", "inf", "s", "1m", "1e30"] {
            assert!(
                Words::new(&words(word)).seconds("a time").is_err(),
                "{word}"
            );
        }
    }

    #[test]
    fn devices() {
        let all = words("lo 7 no-such-device 0");
        let mut words = Words::new(&all);
        assert_eq!(words.device(), Ok(1));
        assert_eq!(words.device(), Ok(7));
        let none = Usage("there is no device \"no-such-device\"".to_owned());
        assert_eq!(words.device(), Err(none));
        assert!(words.device().is_err());
        assert_eq!(words.device(), Err(Usage("a device is missing".to_owned())));
    }

    #[test]
    fn keywords() {
        let all = words("pref 3");
        let mut words = Words::new(&all);
        assert!(!words.keyword("unvalidated"));
        assert!(words.keyword("preference"));
        assert_eq!(words.peek(), Some("3"));
        assert!(!words.keyword("preference"));
    }
}
