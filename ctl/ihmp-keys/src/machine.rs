// SPDX-License-Identifier: GPL-2.0
//! Whose keys these are. A copy of a machine's disk has its keys, too; peers would take the two for one host.

use std::{
    fs::{
        self,
        DirBuilder, //
    },
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use crate::{
    replace,
    At,
    Result,
    State, //
};

/// Where a machine says which one it is (machine-id(5)).
pub const MACHINE_ID: &str = "/etc/machine-id";

/// What a file says that is no number of a machine, as before the first boot, is none.
fn machine(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let id = text.trim();
    let good = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    good.then(|| id.to_ascii_lowercase())
}

impl State {
    /// Makes sure that the own keys are those of this machine, which `path` names: where they came with a copy of another
    /// one, they are put aside in the folder `copied`. True when they were.
    pub fn claim(&self, path: &Path) -> Result<bool> {
        let Some(id) = machine(path) else {
            return Ok(false);
        };
        let name = self.path("machine");
        let copied = match fs::read_to_string(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            known => {
                let known = known.at(&name)?;
                if known.trim() == id {
                    return Ok(false);
                }
                self.put_aside()?
            }
        };
        replace(&name, format!("{id}\n").as_bytes())?;
        Ok(copied)
    }

    /// True when there were own keys.
    fn put_aside(&self) -> Result<bool> {
        let (own, aside) = (self.path("own"), self.path("copied"));
        let mut some = false;
        for entry in fs::read_dir(&own).at(&own)? {
            let key = entry.at(&own)?;
            let mut folder = DirBuilder::new();
            folder.recursive(true).mode(0o700);
            folder.create(&aside).at(&aside)?;
            fs::rename(key.path(), aside.join(key.file_name())).at(&key.path())?;
            some = true;
        }
        Ok(some)
    }
}
