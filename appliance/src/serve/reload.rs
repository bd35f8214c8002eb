//! Settings that are read again while the daemon runs.

use crate::live::Live;
use appliance_core::settings::Settings;
use tracing::{info, warn};

/// Reads the settings again; the number of problems when they cannot be used, since their words quote the file and are
/// not for the log.
pub type Reread = Box<dyn Fn() -> Result<Settings, usize> + Send + Sync>;

/// Takes over what may change while the daemon runs.
pub(super) fn reload(live: &Live, reread: &Reread) {
    match reread() {
        Ok(new) => {
            let (now, waiting) = live.settings().changed_to(new);
            live.replace(now);
            for key in waiting {
                warn!(key, "this setting changes at the next start");
            }
            info!("settings read again");
        }
        Err(problems) => warn!(
            problems,
            "the settings file is wrong, so nothing changes; `bulle check-config` says what is wrong with it"
        ),
    }
}
