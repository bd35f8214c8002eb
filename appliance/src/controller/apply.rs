//! Carries a network plan out: files for networkd and the daemon, rules for the packet filter, and word to both.

use super::boot_partition::BootPartition;
use super::commands;
use super::services::{Asked, NETWORK, SERVE};
use super::world::World;
use crate::files;
use crate::host;
use appliance_core::firewall::ruleset;
use appliance_core::names::DnsName;
use appliance_core::network::{self, Plan, Serve};
use appliance_core::pki::Supplied;
use appliance_core::settings::HostFacts;
use appliance_core::site::TlsFiles;
use base::Instant;
use nix::unistd::{Gid, Group, Uid, User, chown};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// The user that serves.
pub(super) const SERVE_USER: &str = "bulle";
/// What our files in the directory of networkd have in their names.
const OURS: &str = "-bulle-";
/// Largest file of the owner's certificate that is taken.
const LARGEST_PEM: usize = 64 * 1024;

/// The owner's certificate.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// Itself and its key, where the daemon finds them.
    pub(super) files: (PathBuf, PathBuf),
    /// The names in it.
    pub(super) names: Vec<DnsName>,
}

/// Knows what was applied last, so that nothing is done twice.
#[derive(Debug)]
pub(super) struct Applier {
    networkd: PathBuf,
    config: PathBuf,
    rules: Option<String>,
    settings: Option<String>,
    network: Asked,
    serve: Asked,
    /// Why the packet filter is not as it should be, if so. What was in force before still is.
    pub(super) filter_failed: Option<io::Error>,
}

impl Applier {
    /// Nothing has been applied yet. Makes the directories that others need.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(super) fn new(world: &World) -> io::Result<Self> {
        let owner = User::from_name(SERVE_USER).ok().flatten();
        let dirs =
            [(world.run(), false, 0o755), (world.shared(), true, 0o755), (world.networkd(), false, 0o755)];
        for (dir, serves, mode) in dirs {
            let made = make_dir(&dir, mode, owner.as_ref().filter(|_| serves));
            made.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot make {}: {error}", dir.display()))
            })?;
        }
        Ok(Self {
            networkd: world.networkd(),
            config: world.run().join("bulle.toml"),
            rules: None,
            settings: None,
            network: Asked::new(NETWORK),
            serve: Asked::new(SERVE),
            filter_failed: None,
        })
    }

    /// Brings everything to this plan. The daemon's settings come first, since it takes longest to start by them, and
    /// the packet filter before the network: what it does not allow yet, nobody reaches.
    ///
    /// # Errors
    /// When a file cannot be written; it is tried again the next time.
    pub(super) async fn apply(&mut self, plan: &Plan, serve: &Serve, now: Instant) -> io::Result<()> {
        let written = self.write(plan, serve).await;
        for asked in [&mut self.network, &mut self.serve] {
            asked.turn(now).await;
        }
        written
    }

    /// Whether something is not as it should be although it was tried.
    pub(super) const fn is_wrong(&self) -> bool {
        self.filter_failed.is_some() || self.is_refused()
    }

    /// Whether a service has refused its settings several times; which it is stands in the log.
    pub(super) const fn is_refused(&self) -> bool {
        self.network.is_refused() || self.serve.is_refused()
    }

    async fn write(&mut self, plan: &Plan, serve: &Serve) -> io::Result<()> {
        let host = HostFacts { ipv6: host::facts().ipv6, state_dir: serve.state_dir.clone() };
        let settings = network::settings(plan, serve).resolve(&host).to_string();
        if self.settings.as_ref() != Some(&settings) {
            let group = Group::from_name(SERVE_USER).ok().flatten().map(|group| group.gid);
            files::replace(&self.config, settings.as_bytes(), 0o640)?;
            give(&self.config, None, group);
            // It waits for the first ones by itself.
            if self.settings.replace(settings).is_some() {
                self.serve.want();
            }
        }
        let rules = ruleset(plan);
        if self.rules.as_ref() != Some(&rules) || self.filter_failed.is_some() {
            self.filter_failed = commands::run("nft", &["-f", "-"], &rules).await.err();
            match &self.filter_failed {
                None => self.rules = Some(rules),
                Some(error) => {
                    warn!(%error, "the packet filter could not be set; what was in force still is");
                }
            }
        }
        let written = self.write_networkd(plan);
        // Also when only some of the files could be written: it must not stay with half of them for ever.
        if !matches!(written, Ok(false)) {
            self.network.want();
        }
        written.map(drop)
    }

    /// Puts the owner's certificate and key where the daemon can read them, and nobody else.
    ///
    /// # Errors
    /// With the name of the file that is missing, cannot be copied, or holds no certificate.
    pub(super) fn take_certificate(
        &self,
        boot: &BootPartition,
        tls: &TlsFiles,
    ) -> Result<Certificate, String> {
        let group = Group::from_name(SERVE_USER).ok().flatten().map(|group| group.gid);
        let read = |name: &str| {
            let bytes = files::read(&boot.file(name), LARGEST_PEM);
            let bytes = bytes.and_then(|bytes| bytes.ok_or_else(|| io::ErrorKind::NotFound.into()));
            bytes.map_err(|error| format!("{name}: {error}"))
        };
        let (chain, key) = (read(&tls.certificate)?, read(&tls.key)?);
        let supplied = Supplied::parse(&chain).map_err(|error| format!("{}: {error}", tls.certificate))?;
        let put = |bytes: &[u8], to: &str| {
            let path = self.config.with_file_name(to);
            files::replace(&path, bytes, 0o640).map_err(|error| format!("{}: {error}", path.display()))?;
            give(&path, None, group);
            Ok::<_, String>(path)
        };
        let files = (put(&chain, "certificate.pem")?, put(&key, "key.pem")?);
        Ok(Certificate { files, names: supplied.names().cloned().collect() })
    }

    /// Whether anything had to change.
    fn write_networkd(&self, plan: &Plan) -> io::Result<bool> {
        let wanted = network::files(plan);
        let names: BTreeSet<&str> = wanted.iter().map(|file| file.name).collect();
        let mut changed = false;
        for entry in fs::read_dir(&self.networkd)?.filter_map(Result::ok) {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.contains(OURS) && !names.contains(name)) {
                files::remove(&entry.path())?;
                changed = true;
            }
        }
        for file in wanted {
            let path = self.networkd.join(file.name);
            if fs::read(&path).ok().as_deref() != Some(file.contents.as_bytes()) {
                files::replace(&path, file.contents.as_bytes(), 0o644)?;
                changed = true;
            }
        }
        Ok(changed)
    }
}

/// Writes nothing where all is as it should be: this is done at every start.
pub(super) fn make_dir(dir: &Path, mode: u32, owner: Option<&User>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let found = fs::metadata(dir)?;
    if found.permissions().mode() & 0o7777 != mode {
        fs::set_permissions(dir, Permissions::from_mode(mode))?;
    }
    if let Some(owner) = owner.filter(|owner| owner.uid.as_raw() != found.uid()) {
        give(dir, Some(owner.uid), Some(owner.gid));
    }
    Ok(())
}

/// On a box this is root; in a test it may not be, and then the files stay ours.
fn give(path: &Path, owner: Option<Uid>, group: Option<Gid>) {
    if let Err(error) = chown(path, owner, group) {
        info!(%error, "a file could not be given to the user that serves");
    }
}
