//! `bulle box`: the command line of the controller.

use super::{Checked, Status, World, check, run};
use clap::{Args, Subcommand};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Exit code of `check-state` for a box that has not started yet.
const EXIT_EMPTY: u8 = 3;

/// What `bulle box` takes.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BoxArgs {
    /// Everything of the box below this directory, for tests
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Option<BoxCommand>,
}

#[derive(Debug, Subcommand)]
enum BoxCommand {
    /// Tells what the box on this machine is doing, without names and addresses
    Status {
        /// As for `bulle box`
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
    /// Tells whether the state in a data directory is whole; changes nothing
    #[command(after_help = "Exit codes: 0 whole, 3 nothing was ever written, 1 damaged")]
    CheckState {
        /// Such as /data/bulle
        dir: PathBuf,
    },
}

impl BoxArgs {
    /// Does what was asked for.
    ///
    /// # Errors
    /// With the exit code and what to tell.
    pub fn execute(self) -> Result<(), (u8, String)> {
        match self.command {
            None => run(World::new(&self.root)).map_err(|error| (1, error.to_string())),
            Some(BoxCommand::Status { root }) => {
                let text = Status::read(&World::new(&root)).map_err(|error| (1, error.to_string()))?;
                say(&text)
            }
            Some(BoxCommand::CheckState { dir }) => check_state(&dir),
        }
    }

    /// Whether this runs on and on, and therefore logs.
    #[must_use]
    pub const fn runs_on(&self) -> bool {
        self.command.is_none()
    }
}

fn check_state(dir: &Path) -> Result<(), (u8, String)> {
    let checked = check(dir);
    match checked {
        Checked::Whole(_) => say(&format!("{checked}\n")),
        Checked::Empty => Err((EXIT_EMPTY, checked.to_string())),
        Checked::Damaged(_) => Err((1, checked.to_string())),
    }
}

fn say(text: &str) -> Result<(), (u8, String)> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| (1, error.to_string()))
}
