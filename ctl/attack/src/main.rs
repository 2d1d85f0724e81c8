// SPDX-License-Identifier: GPL-2.0
//! An attacker on the link, for the selftests. It sends messages that agents must not believe, and prints as JSON what it has sent. It
//! writes whole Ethernet frames to a packet socket, so that it can send from any address.

#![forbid(unsafe_code)]

mod forge;
mod frame;
mod greet;
mod lie;
mod link;
mod random;
mod seen;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Arg, ArgMatches, Command};
use ihmp_core::addr::Addr;

use crate::frame::Mac;
use crate::link::Link;

fn command() -> Command {
    let of = |name: &'static str| Arg::new(name).required(true);
    let option = |name: &'static str, default| Arg::new(name).long(name).default_value(default);
    let common = [
        of("dev").help("Interface to send by"),
        of("mac").help("Hardware address of the victim"),
        of("victim").help("Address of the victim"),
    ];
    let paced = [
        option("count", "1000000").help("Messages"),
        option("rate", "0").help("Messages in a second; 0 for as fast as it goes"),
    ];
    let seen = of("seen").help("What attacker.py saw");
    let host = of("host").help("Address of the host in whose name is spoken");
    Command::new("ihmp-attack")
        .about("Forged messages for the selftests")
        .subcommand_required(true)
        .subcommand(
            Command::new("forge")
                .about("HELLO, ADDR_UP, HANDOFF, ACK and ROUTER_ACK in turn, forged in all ways that take no key")
                .args(common.clone())
                .args([seen.clone(), host.clone()])
                .args([of("attacker").help("The attacker's own address")])
                .args([of("bystander").help("An address to have messages sent to")])
                .args(paced.clone()),
        )
        .subcommand(
            Command::new("greet")
                .about("HELLOs from addresses of nobody, every fourth signed by a key of its own")
                .args(common.clone())
                .args(paced),
        )
        .subcommand(
            Command::new("lie")
                .about("A HANDOFF of a host to an address that is not its own, signed by the host's own key")
                .args(common)
                .args([seen, host])
                .args([of("at").help("Where it says it is")])
                .args([of("state").help("The folder with its key")])
                .args([option("ahead", "1").help("How far its number is ahead of the last that was seen")]),
        )
}

/// The command line.
struct Words<'a>(&'a ArgMatches);

impl Words<'_> {
    fn text(&self, name: &str) -> &str {
        self.0.get_one::<String>(name).map_or("", String::as_str)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.text(name).into()
    }

    fn number(&self, name: &str) -> anyhow::Result<u64> {
        self.text(name)
            .parse()
            .with_context(|| format!("--{name}: not a number"))
    }

    fn addr(&self, name: &str) -> anyhow::Result<Addr> {
        let addr = self.text(name).parse().ok();
        addr.with_context(|| format!("{name}: not an address"))
    }

    fn mac(&self) -> anyhow::Result<Mac> {
        let octets = self.text("mac").split(':');
        let octets: Result<Vec<u8>, _> = octets.map(|text| u8::from_str_radix(text, 16)).collect();
        let mac = octets.ok().and_then(|octets| octets.try_into().ok());
        mac.context("mac: not a hardware address")
    }
}

fn main() -> anyhow::Result<()> {
    let matches = command().get_matches();
    let (name, matches) = matches.subcommand().context("no command")?;
    let words = Words(matches);
    let (dev, mac, victim) = (words.text("dev"), words.mac()?, words.addr("victim")?);
    let report = match name {
        "forge" => {
            let cast = forge::Cast {
                host: words.addr("host")?,
                victim,
                attacker: words.addr("attacker")?,
                bystander: words.addr("bystander")?,
            };
            let seen = seen::read(&words.path("seen"))?;
            let mut link = Link::open(dev, words.number("rate")?)?;
            forge::run(&mut link, mac, cast, &seen, words.number("count")?)?
        }
        "greet" => {
            let mut link = Link::open(dev, words.number("rate")?)?;
            greet::run(&mut link, mac, victim, words.number("count")?)?
        }
        _ => {
            let seen = seen::read(&words.path("seen"))?;
            let mut link = Link::open(dev, 0)?;
            let lie = lie::Lie {
                host: words.addr("host")?,
                victim,
                at: words.addr("at")?,
                ahead: words.number("ahead")?.try_into()?,
            };
            lie::run(&mut link, mac, &lie, &seen, &words.path("state"))?
        }
    };
    println!("{report}");
    Ok(())
}
