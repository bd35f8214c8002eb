//! What the box is doing, in words: a file that `bulle box status` prints.
//!
//! No name, no address, no key: it may be read aloud on the telephone.

use super::world::World;
use crate::files;
use std::fmt::Write as _;
use std::io;

/// Larger than any status.
const LARGEST: usize = 16 * 1024;

/// What there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The decision, as a sentence.
    pub decision: Option<String>,
    /// The access point, as its plan says; `None` while there is none.
    pub radio: Option<String>,
    /// Why this radio and no other.
    pub choice: Option<String>,
    /// Whether phones can join.
    pub on_air: bool,
    /// Phones on the Wi-Fi.
    pub stations: u16,
    /// What is on the cable.
    pub cable: &'static str,
    /// Whether the box has been claimed.
    pub claimed: bool,
    /// Sentences for the owner.
    pub remarks: Vec<String>,
}

impl Status {
    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let decision = self.decision.as_deref().unwrap_or("This box is looking at what it is connected to.");
        // Writing into memory cannot fail.
        let _ = writeln!(text, "{decision}");
        if let Some(radio) = &self.radio {
            let _ =
                writeln!(text, "radio     {radio}, {}", if self.on_air { "on air" } else { "not on air" });
            if let Some(choice) = &self.choice {
                let _ = writeln!(text, "chosen    {choice}");
            }
            let _ = writeln!(text, "stations  {}", self.stations);
        }
        let _ = writeln!(text, "cable     {}", self.cable);
        let _ = writeln!(text, "claimed   {}", if self.claimed { "yes" } else { "no" });
        for remark in &self.remarks {
            let _ = writeln!(text, "- {remark}");
        }
        text
    }

    /// Where the file is.
    pub(super) fn path(world: &World) -> std::path::PathBuf {
        world.run().join("status")
    }

    /// Reads it as it is shown to the owner.
    ///
    /// # Errors
    /// When the controller does not run, or its file cannot be read.
    pub fn read(world: &World) -> io::Result<String> {
        let bytes = files::read(&Self::path(world), LARGEST)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "`bulle box` does not run on this machine")
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
