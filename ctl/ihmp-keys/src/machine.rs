// SPDX-License-Identifier: GPL-2.0
//! Which machine the own keys belong to. A copy of a machine's disk has its keys as well, and peers would take both machines for one host.

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

/// The file with the machine's id (machine-id(5)).
pub const MACHINE_ID: &str = "/etc/machine-id";

/// The machine's id; `None` if the file has something else, as before the first boot.
fn machine(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let id = text.trim();
    let good = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    good.then(|| id.to_ascii_lowercase())
}

impl State {
    /// Makes sure that the own keys belong to this machine, whose id is in the file `path`. Keys that came with a copy of another machine
    /// are moved to the folder `copied`; true if there were such keys.
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

    /// Moves the own keys to the folder `copied`; true if there were any.
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
