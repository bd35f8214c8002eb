//! The other end of the control socket: the commands `bulle dump` and `bulle purge`.

use super::{END, SOCKET};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the daemon may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are passed on at once.
const PIECE: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody listens there.
    #[error(
        "no bulle answers at {}: {source}; start it, or name the state directory that it uses with --state or \
         --config (and be root, or the user that runs it)", path.display()
    )]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon said no; its words.
    #[error("bulle {0}")]
    Refused(String),
    /// The answer has no end.
    #[error("the answer of bulle was cut short; ask again")]
    Cut,
    /// The answer cannot be passed on.
    #[error("cannot write the answer: {0}")]
    Output(io::Error),
}

/// Sends one request to the daemon whose state directory this is, and passes its answer on to `out`.
///
/// # Errors
/// When nobody answers, or not to the end.
pub fn ask(state: &Path, request: &str, out: &mut impl Write) -> Result<(), AskError> {
    let path = state.join(SOCKET);
    let mut stream = connect(&path, request).map_err(|source| AskError::NoDaemon { path, source })?;
    // What came last is held back until it is known whether it is the end.
    let mut held = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(AskError::Cut),
        };
        held.extend_from_slice(piece.get(..read).unwrap_or_default());
        let said = held.len().saturating_sub(PIECE);
        if said > 0 {
            out.write_all(held.get(..said).unwrap_or_default()).map_err(AskError::Output)?;
            held.drain(..said);
        }
    }
    if let Some(text) = held.strip_suffix(END.as_bytes()) {
        return out.write_all(text).and_then(|()| out.flush()).map_err(AskError::Output);
    }
    let text = String::from_utf8_lossy(&held);
    Err(if text.starts_with("refused: ") {
        AskError::Refused(text.trim_end().to_owned())
    } else {
        AskError::Cut
    })
}

fn connect(path: &Path, request: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    Ok(stream)
}
