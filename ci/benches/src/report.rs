//! Figures, as lines for people and as JSON for machines.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use phones::usage::median;
use serde_json::{Map, Value, json};

/// What one bench found.
#[derive(Debug, Default)]
pub struct Report {
    name: String,
    figures: Vec<Value>,
    notes: Map<String, Value>,
}

impl Report {
    /// An empty report of the bench `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// One figure out of several rounds: their median.
    pub fn figure(&mut self, name: &str, rounds: &[f64], unit: &str) {
        self.put(name, rounds, unit, None);
    }

    /// As [`figure`](Self::figure), with what it should at most be.
    pub fn figure_at_most(&mut self, name: &str, rounds: &[f64], unit: &str, goal: f64) {
        self.put(name, rounds, unit, Some(Goal::AtMost(goal)));
    }

    /// As [`figure`](Self::figure), with what it should at least be.
    pub fn figure_at_least(&mut self, name: &str, rounds: &[f64], unit: &str, goal: f64) {
        self.put(name, rounds, unit, Some(Goal::AtLeast(goal)));
    }

    /// Something that is no figure: a version, a list of files.
    pub fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.notes.insert(name.to_owned(), value.into());
    }

    /// Writes `NAME.json` into `dir`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("{}: not made", dir.display()))?;
        let file = dir.join(format!("{}.json", self.name));
        let whole = json!({
            "bench": self.name,
            "figures": self.figures,
            "notes": self.notes,
            "machine": machine(),
            "unix_s": phones::clock::wall_ms() / 1000,
        });
        fs::write(&file, format!("{whole:#}\n")).with_context(|| format!("{}: not written", file.display()))
    }

    fn put(&mut self, name: &str, rounds: &[f64], unit: &str, goal: Option<Goal>) {
        let Some(value) = median(rounds) else { return };
        let (least, most) = rounds.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
        let met = goal.map(|goal| match goal {
            Goal::AtMost(most) => value <= most,
            Goal::AtLeast(least) => value >= least,
        });
        let (at_most, at_least, words) = match goal {
            None => (None, None, String::new()),
            Some(Goal::AtMost(goal)) => (Some(goal), None, format!("at most {goal}")),
            Some(Goal::AtLeast(goal)) => (None, Some(goal), format!("at least {goal}")),
        };
        let verdict = met.map_or_else(String::new, |met| {
            format!("  (goal: {words}, {})", if met { "met" } else { "MISSED" })
        });
        let spread = if rounds.len() > 1 { format!("  [{least:.2} .. {most:.2}]") } else { String::new() };
        println!("{} {name} {value:.2} {unit}{spread}{verdict}", self.name);
        self.figures.push(json!({
            "name": name,
            "value": value,
            "unit": unit,
            "rounds": rounds,
            "goal_at_most": at_most,
            "goal_at_least": at_least,
            "met": met,
        }));
    }
}

/// What a figure should be.
#[derive(Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// What this machine is, as far as it says something about speed.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| {
            line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim().to_owned())
        })
    };
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_at_end": read("/proc/loadavg").split_whitespace().next(),
    })
}

/// The first line that a program says of its version.
pub fn version(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).lines().next().map(|line| line.trim().to_owned())
}
