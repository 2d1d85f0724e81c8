// SPDX-License-Identifier: GPL-2.0
//! Generic netlink: families, and the controller that knows their numbers (linux/genetlink.h).

use neli::consts::{
    genl::{
        CtrlAttr,
        CtrlAttrMcastGrp,
        CtrlCmd, //
    },
    nl::GenlId, //
};

use crate::{
    attrs::{
        Attrs,
        Malformed,
        Writer, //
    },
    error::Error,
    socket::{
        Flags,
        Socket, //
    },
};

/// Octets of the generic netlink header, which is a command, a version and two zeros.
const HEADER: usize = 4;
/// The version of the controller's messages.
const VERSION: u8 = 2;

/// A family as the kernel's controller describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    name: String,
    id: u16,
    groups: Vec<(String, u32)>,
}

impl Family {
    /// The controller's own name.
    pub const CONTROLLER: &'static str = "nlctrl";

    /// Asks the controller for a family; a kernel that does not have it may load its module now. It is refused with ENOENT when there
    /// is none.
    pub fn resolve(socket: &mut Socket, name: &str) -> Result<Self, Error> {
        let mut attrs = Writer::default();
        attrs.string(CtrlAttr::FamilyName.into(), name);
        let payload = attrs.behind(&[CtrlCmd::Getfamily.into(), VERSION, 0, 0]);
        let mut family = Self::default();
        socket.ask(GenlId::Ctrl.into(), Flags::empty(), payload, |message| {
            let attrs = message.get(HEADER..).unwrap_or_default();
            family = Self::read(Attrs::new(attrs))?;
            Ok(())
        })?;
        Ok(family)
    }

    /// What a message of the controller says of a family: whether it is there now. `None` if it says something else.
    pub fn changed(message: &[u8]) -> Result<Option<(Self, bool)>, Malformed> {
        let Some((&[command, ..], attrs)) = message.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let there = match CtrlCmd::from(command) {
            CtrlCmd::Newfamily => true,
            CtrlCmd::Delfamily => false,
            _ => return Ok(None),
        };
        Ok(Some((Self::read(Attrs::new(attrs))?, there)))
    }

    fn read(attrs: Attrs<'_>) -> Result<Self, Malformed> {
        let mut family = Self::default();
        for attr in attrs {
            let attr = attr?;
            match CtrlAttr::from(attr.number()) {
                CtrlAttr::FamilyName => family.name = attr.string()?.to_owned(),
                CtrlAttr::FamilyId => family.id = attr.u16()?,
                CtrlAttr::McastGroups => {
                    for group in attr.nest() {
                        let (mut name, mut id) = (String::new(), 0);
                        for attr in group?.nest() {
                            let attr = attr?;
                            match CtrlAttrMcastGrp::from(attr.number()) {
                                CtrlAttrMcastGrp::Name => name = attr.string()?.to_owned(),
                                CtrlAttrMcastGrp::Id => id = attr.u32()?,
                                _ => (),
                            }
                        }
                        family.groups.push((name, id));
                    }
                }
                _ => (),
            }
        }
        Ok(family)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its messages.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The number of one of its multicast groups.
    pub fn group(&self, group: &str) -> Result<u32, Error> {
        let mut groups = self.groups.iter();
        let found = groups.find(|(name, _)| name == group);
        found
            .map(|(_, id)| *id)
            .ok_or_else(|| Error::Protocol(format!("family {} has no group {group}", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Protocol;

    #[test]
    fn the_controller_answers() {
        let mut socket = Socket::open(Protocol::Generic).unwrap();
        let family = Family::resolve(&mut socket, Family::CONTROLLER).unwrap();
        assert_eq!(family.id, u16::from(GenlId::Ctrl));
        assert_eq!(family.name, Family::CONTROLLER);
        socket.join(family.group("notify").unwrap()).unwrap();
        assert!(matches!(family.group("nothing"), Err(Error::Protocol(_))));
        assert!(matches!(
            Family::resolve(&mut socket, "no such family"),
            Err(Error::Refused(_))
        ));
    }

    #[test]
    fn families_come_and_go() {
        let mut attrs = Writer::default();
        attrs.string(CtrlAttr::FamilyName.into(), "ihmp");
        attrs.u16(CtrlAttr::FamilyId.into(), 40);
        let changed = |command: CtrlCmd| {
            let message = attrs.behind(&[command.into(), VERSION, 0, 0]);
            let (family, there) = Family::changed(&message).unwrap()?;
            assert_eq!((family.name(), family.id()), ("ihmp", 40));
            Some(there)
        };
        assert_eq!(changed(CtrlCmd::Newfamily), Some(true));
        assert_eq!(changed(CtrlCmd::Delfamily), Some(false));
        assert_eq!(changed(CtrlCmd::NewmcastGrp), None);
        assert_eq!(Family::changed(&[1, 2, 0]), Ok(None));
    }
}
