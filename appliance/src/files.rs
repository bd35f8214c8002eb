//! Small files, read with a limit and replaced whole.

use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No file of ours that holds a secret is larger.
const LARGEST_OVERWRITTEN: usize = 1 << 20;

/// Behind the name of a file whose new content is not in its place yet.
pub const PART: &str = ".part";

/// The first `largest` bytes of a file; `None` when it is not there. Links and pipes are refused: some of these
/// files lie where somebody with fewer rights can write.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path, largest: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    // The room is there from the start, so that no copy of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(largest.min(128 * 1024)));
    file.take(u64::try_from(largest).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes beside it, makes it durable, and renames: whenever the power goes, the old or the new content is there.
///
/// # Errors
/// When it cannot be written; the old content is there then.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    rename(&prepare(path, contents, mode)?, path)
}

/// The first half of [`replace`]: the new content beside the old one, durable, to be renamed.
///
/// # Errors
/// When it cannot be written.
pub fn prepare(path: &Path, contents: &[u8], mode: u32) -> io::Result<PathBuf> {
    let part = beside(path, PART);
    let _ = fs::remove_file(&part);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&part)?;
    // Whatever the mask of this process says. It can only have taken rights away, and FAT has none to give.
    let _ = file.set_permissions(Permissions::from_mode(mode));
    file.write_all(contents)?;
    file.sync_all()?;
    Ok(part)
}

/// Zeros over the content of a file that held a secret, as far as the disk's own bookkeeping lets them arrive.
pub fn overwrite(path: &Path) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    if let Ok(mut file) = OpenOptions::new().write(true).open(path)
        && meta.is_file()
    {
        let length = usize::try_from(meta.len()).unwrap_or_default().min(LARGEST_OVERWRITTEN);
        let _ = file.write_all(&vec![0; length]);
        let _ = file.sync_all();
    }
}

/// Removes a file, if it is there, for good.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Renames durably.
///
/// # Errors
/// When it cannot be renamed.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_dir(to)
}

/// The same path with more behind it.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sync_dir(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
