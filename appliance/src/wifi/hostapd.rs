//! hostapd as a child: its files, its process, its control socket.

use super::Dirs;
use super::confine::{self, Owner};
use appliance_core::wifi::access_point::Complaint;
use appliance_core::wifi::hostapd::{
    Command, MOST_MESSAGE, Message, News, Status, complaint, message, render, status, version,
};
use appliance_core::wifi::{Credentials, Plan};
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command as Process};
use tokio::time::{sleep, timeout};

/// For so long its control socket may take to appear.
const SOCKET_PATIENCE: Duration = Duration::from_secs(5);
const SOCKET_BEAT: Duration = Duration::from_millis(20);
/// For so long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_millis(1500);
/// For so long it may take to say goodbye to its stations.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(3);
/// For so long a killed process may take to be gone, which it does not while its driver hangs.
const DEATH_PATIENCE: Duration = Duration::from_secs(3);
/// For so long the last lines of an ended process may take.
const LAST_WORDS_PATIENCE: Duration = Duration::from_millis(500);
/// News that wait while an answer is awaited; more are dropped, as the pulse tells the same.
const MOST_NEWS: usize = 64;
/// Of each line that hostapd prints so much is looked at.
const MOST_LINE: usize = 512;

/// Where its files are.
struct Paths {
    configuration: PathBuf,
    keys: PathBuf,
    control: PathBuf,
    client: PathBuf,
    pid: PathBuf,
}

impl Paths {
    fn new(dirs: &Dirs) -> Self {
        let at = |name| dirs.run.join(name);
        Self {
            configuration: at("hostapd.conf"),
            keys: at("keys"),
            control: at("control"),
            client: at("client"),
            pid: at("hostapd.pid"),
        }
    }
}

/// A running hostapd. Killed when dropped.
pub(super) struct Hostapd {
    child: Child,
    control: Option<UnixDatagram>,
    news: VecDeque<News>,
    complaint: Arc<Mutex<Complaint>>,
    paths: Paths,
    owner: Option<Owner>,
    reader: ReaderTask,
}

/// What happened to it.
pub(super) enum Happening {
    News(News),
    Exited,
}

impl Hostapd {
    /// Writes its files, starts it, and waits for its control socket or its end.
    pub(super) async fn start(
        dirs: &Dirs,
        plan: &Plan,
        credentials: &Credentials,
        interface: &str,
    ) -> io::Result<Self> {
        let paths = Paths::new(dirs);
        let owner = Owner::find(dirs.user)?;
        // hostapd passes through to what is its own, and sees nothing else.
        private_dir(&dirs.run, if owner.is_some() { 0o711 } else { 0o700 })?;
        end_stale(&paths).await;
        for left in [paths.client.clone(), paths.control.join(interface)] {
            remove(&left)?;
        }
        private_dir(&paths.control, 0o700)?;
        if let Some(owner) = owner {
            owner.give(&paths.control)?;
        }
        write_files(&paths, plan, credentials, interface, owner)?;
        let mut process = Process::new(&dirs.hostapd);
        process
            .arg(&paths.configuration)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = confine::spawn(&mut process, owner)?;
        if let Some(pid) = child.id() {
            fs::write(&paths.pid, pid.to_string())?;
        }
        let last = Arc::new(Mutex::new(Complaint::None));
        let reader = ReaderTask::spawn(child.stdout.take(), Arc::clone(&last));
        let mut hostapd =
            Self { child, control: None, news: VecDeque::new(), complaint: last, paths, owner, reader };
        hostapd.connect(interface).await?;
        Ok(hostapd)
    }

    /// What it complained about last.
    pub(super) fn complaint(&self) -> Complaint {
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it complained about last, now that it has ended: what it printed before is still on its way.
    pub(super) async fn last_complaint(&mut self) -> Complaint {
        let _ = timeout(LAST_WORDS_PATIENCE, &mut self.reader.0).await;
        self.complaint()
    }

    /// Waits until something happens.
    pub(super) async fn happening(&mut self) -> Happening {
        if let Some(news) = self.news.pop_front() {
            return Happening::News(news);
        }
        let mut buffer = vec![0; MOST_MESSAGE];
        loop {
            let Some(control) = &self.control else {
                let _ = self.child.wait().await;
                return Happening::Exited;
            };
            tokio::select! {
                biased;
                received = control.recv(&mut buffer) => match received {
                    Ok(length) => match message(buffer.get(..length).unwrap_or_default()) {
                        Message::News(News::Other) | Message::Reply(_) => {}
                        Message::News(news) => return Happening::News(news),
                    },
                    // The other end is gone, and so will the process be.
                    Err(_) => self.control = None,
                },
                _ = self.child.wait() => return Happening::Exited,
            }
        }
    }

    /// How it is; `None` when it does not answer.
    pub(super) async fn status(&mut self) -> Option<Status> {
        status(&self.ask(Command::Status).await?)
    }

    /// Has it read other keys. `false` when only a new start can do that.
    pub(super) async fn change_keys(
        &mut self,
        plan: &Plan,
        credentials: &Credentials,
        interface: &str,
    ) -> bool {
        // Passwords for WPA3 stand in the configuration itself, and so does the key on the join card.
        if plan.security.sae() || write_files(&self.paths, plan, credentials, interface, self.owner).is_err()
        {
            return false;
        }
        for command in [Command::ReloadKeys, Command::EverybodyAgain] {
            if self.ask(command).await.as_deref() != Some(b"OK\n") {
                return false;
            }
        }
        true
    }

    /// Ends it, and waits for its end as long as that makes sense.
    pub(super) async fn end(mut self, politely: bool) {
        if politely && self.ask(Command::Terminate).await.is_some() {
            let _ = timeout(GOODBYE_PATIENCE, self.child.wait()).await;
        }
        let _ = self.child.start_kill();
        let _ = timeout(DEATH_PATIENCE, self.child.wait()).await;
        self.clean();
    }

    /// Removes what holds secrets.
    pub(super) fn clean(&self) {
        for path in [&self.paths.configuration, &self.paths.keys, &self.paths.client, &self.paths.pid] {
            let _ = fs::remove_file(path);
        }
    }

    async fn connect(&mut self, interface: &str) -> io::Result<()> {
        let socket = self.paths.control.join(interface);
        let beats = SOCKET_PATIENCE.as_millis() / SOCKET_BEAT.as_millis();
        for _ in 0..beats {
            if socket.exists() || self.child.try_wait()?.is_some() {
                break;
            }
            sleep(SOCKET_BEAT).await;
        }
        let control = UnixDatagram::bind(&self.paths.client)?;
        if let Some(owner) = self.owner {
            owner.give(&self.paths.client)?;
        }
        // It may have ended already, which its owner hears next.
        if control.connect(&socket).is_ok() {
            self.control = Some(control);
            self.ask(Command::Attach).await;
        }
        Ok(())
    }

    async fn ask(&mut self, command: Command) -> Option<Vec<u8>> {
        let control = self.control.as_ref()?;
        let mut buffer = vec![0; MOST_MESSAGE];
        let news = &mut self.news;
        let answer = async {
            // A late answer to an earlier question would be taken for this one's.
            while let Ok(length) = control.try_recv(&mut buffer) {
                keep(news, buffer.get(..length)?);
            }
            control.send(command.bytes()).await.ok()?;
            loop {
                let length = control.recv(&mut buffer).await.ok()?;
                let datagram = buffer.get(..length)?;
                if let Some(reply) = keep(news, datagram) {
                    return Some(reply.to_vec());
                }
            }
        };
        timeout(ANSWER_PATIENCE, answer).await.ok().flatten()
    }
}

/// Keeps news for later, gives replies back.
fn keep<'a>(waiting: &mut VecDeque<News>, datagram: &'a [u8]) -> Option<&'a [u8]> {
    match message(datagram) {
        Message::Reply(reply) => Some(reply),
        Message::News(News::Other) => None,
        Message::News(news) => {
            if waiting.len() < MOST_NEWS {
                waiting.push_back(news);
            }
            None
        }
    }
}

/// The version of the program, asked while nothing else is to be done.
pub(super) fn version_now(dirs: &Dirs) -> Option<(u16, u16)> {
    let output =
        std::process::Command::new(&dirs.hostapd).arg("-v").env_clear().stdin(Stdio::null()).output().ok()?;
    version(&output.stdout).or_else(|| version(&output.stderr))
}

/// The version of the program.
pub(super) async fn ask_version(dirs: &Dirs) -> Option<(u16, u16)> {
    let output =
        Process::new(&dirs.hostapd).arg("-v").env_clear().stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(ANSWER_PATIENCE, output).await.ok()?.ok()?;
    version(&output.stdout).or_else(|| version(&output.stderr))
}

/// Reads what hostapd prints, keeps what it complains about, and forgets the rest: it holds addresses.
struct ReaderTask(tokio::task::JoinHandle<()>);

impl ReaderTask {
    fn spawn(from: Option<impl AsyncRead + Unpin + Send + 'static>, last: Arc<Mutex<Complaint>>) -> Self {
        Self(tokio::spawn(async move {
            let Some(mut from) = from else { return };
            let mut line = Vec::with_capacity(MOST_LINE);
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                for byte in buffer.iter().take(length) {
                    if *byte == b'\n' {
                        if let Some(found) = complaint(&line) {
                            *last.lock().unwrap_or_else(PoisonError::into_inner) = found;
                        }
                        line.clear();
                    } else if line.len() < MOST_LINE {
                        line.push(*byte);
                    }
                }
            }
        }))
    }
}

impl Drop for ReaderTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends a hostapd of ours that outlived us, which happens only without a supervisor above us.
async fn end_stale(paths: &Paths) {
    use nix::sys::signal::{Signal, kill};
    let Some(pid) = fs::read_to_string(&paths.pid).ok().and_then(|text| text.trim().parse::<i32>().ok())
    else {
        return;
    };
    let ours = || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == paths.configuration.as_os_str().as_encoded_bytes())
    };
    if pid <= 1 || !ours() {
        return;
    }
    let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    let beats = DEATH_PATIENCE.as_millis() / SOCKET_BEAT.as_millis();
    for _ in 0..beats {
        if !ours() {
            return;
        }
        sleep(SOCKET_BEAT).await;
    }
}

fn write_files(
    paths: &Paths,
    plan: &Plan,
    credentials: &Credentials,
    interface: &str,
    owner: Option<Owner>,
) -> io::Result<()> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let files = render(plan, credentials, interface, &text(&paths.control), &text(&paths.keys));
    for (path, contents) in [(&paths.keys, &files.keys), (&paths.configuration, &files.configuration)] {
        remove(path)?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(contents.as_bytes())?;
        if let Some(owner) = owner {
            owner.give(path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn private_dir(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
