//! A server under measurement, and what the kernel says of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A server that ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts `command`, its output kept from ours.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{shown}: not started"))?;
        let stdout = child.stdout.take().map(BufReader::new);
        Ok(Self { child, stdout })
    }

    /// Reads what it says until a line holds `text`; gives that line.
    ///
    /// # Errors
    /// When it ends before it says so.
    pub fn wait_for_line(&mut self, text: &str) -> Result<String> {
        let stdout = self.stdout.as_mut().context("its output is read already")?;
        let mut said = String::new();
        loop {
            let from = said.len();
            if stdout.read_line(&mut said)? == 0 {
                bail!("it ended without saying {text:?}; it said:\n{said}");
            }
            let line = said.get(from..).unwrap_or_default();
            if line.contains(text) {
                return Ok(line.trim().to_owned());
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Keeps all its threads on the first processor, so that whoever uses it can have the others.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn pin(&self) -> Result<()> {
        let pinned =
            Command::new("taskset").args(["--all-tasks", "--pid", "1", &self.pid().to_string()]).output()?;
        ensure!(pinned.status.success(), "the server cannot be pinned to a processor");
        Ok(())
    }

    /// Its resident memory now, in KiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn rss_kib(&self) -> Result<f64> {
        let pid = self.pid().to_string();
        phones::usage::memory_kib(&pid).map(|(now, _)| now as f64).context("the server is gone")
    }

    /// The time that all its threads have run, in nanoseconds, as the scheduler counts it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            sum += text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    }

    fn end(&mut self) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
