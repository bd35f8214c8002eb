//! The partition that every desktop shows: settings to read, a join card to write and to take away.

use super::partition::Partition;
use crate::files;
use appliance_core::card::{Card, png, svg, text};
use appliance_core::site;
use std::io;
use std::path::PathBuf;
use zeroize::Zeroizing;

const SETTINGS: &str = "bulle.toml";
/// The forms of the card.
const FORMS: [&str; 3] = ["JOIN.TXT", "JOIN.SVG", "JOIN.PNG"];
/// Larger than any card.
const LARGEST_CARD: usize = 1 << 20;

/// The partition.
#[derive(Debug)]
pub(super) struct BootPartition(Partition);

impl BootPartition {
    #[must_use]
    pub(super) const fn new(partition: Partition) -> Self {
        Self(partition)
    }

    /// The settings; `None` when there are none.
    ///
    /// # Errors
    /// When they are there and cannot be read.
    pub(super) fn settings(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        files::read(&self.file(SETTINGS), site::LARGEST_FILE + 1)
    }

    /// A file of the owner's.
    #[must_use]
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.dir().join(name)
    }

    /// Whether a card is there, whatever it says.
    #[must_use]
    pub(super) fn has_card(&self) -> bool {
        FORMS.iter().all(|name| self.file(name).symlink_metadata().is_ok())
    }

    /// Makes sure that this card is there, or none. Writes nothing when that is so already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn put(&self, card: Option<&Card>) -> io::Result<()> {
        let Some(card) = card else { return self.take_away() };
        let forms = forms(card);
        if forms.iter().all(|(name, bytes)| self.holds(name, bytes)) {
            return Ok(());
        }
        self.0.writable(|| {
            for (name, bytes) in &forms {
                let path = self.file(name);
                // A card that is replaced may hold an older secret.
                files::overwrite(&path);
                files::replace(&path, bytes, 0o644)?;
            }
            Ok(())
        })
    }

    fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        let found = files::read(&self.file(name), LARGEST_CARD);
        found.is_ok_and(|found| found.is_some_and(|found| found.as_slice() == bytes))
    }

    fn take_away(&self) -> io::Result<()> {
        let paths = FORMS.map(|name| self.file(name));
        let left: Vec<&PathBuf> = paths.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
        if left.is_empty() {
            return Ok(());
        }
        self.0.writable(|| {
            for path in left {
                files::overwrite(path);
                files::remove(path)?;
            }
            Ok(())
        })
    }
}

fn forms(card: &Card) -> [(&'static str, Zeroizing<Vec<u8>>); 3] {
    let text = text(card);
    // Notepad of old wants both.
    let mut lines = Zeroizing::new(Vec::with_capacity(text.len() + 512));
    for line in text.lines() {
        lines.extend(line.as_bytes());
        lines.extend(b"\r\n");
    }
    let drawing = Zeroizing::new(svg(card).as_bytes().to_vec());
    let [txt_name, svg_name, png_name] = FORMS;
    [(txt_name, lines), (svg_name, drawing), (png_name, png(card))]
}
