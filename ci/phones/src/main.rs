//! The command `phones`: a fleet against one node. See `phones --help`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that speaks to its caller")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use client_core::Path;
use phones::crowd;
use phones::fleet::{self, HalfPair, Options, Phase};
use phones::session::{Node, Transport};
use serde_json::Value;
use wire::JoinLink;

/// Switches on phones, lets them exchange messages in pairs through one node, and accounts for every message.
///
/// Ends with 0 when each message arrived exactly once, in order, on the path that was asked for; with 1 when one
/// did not; with 2 when it could not begin.
#[derive(Debug, Parser)]
struct Arguments {
    /// The node, as in https://127.0.0.1:8443
    #[arg(long)]
    url: String,
    /// Where the node is reached, as in 127.0.0.1:8443, when not where its name leads
    #[arg(long)]
    connect: Option<SocketAddr>,
    /// The node's CA in PEM, as `bulle serve` keeps it in its state directory
    #[arg(long)]
    ca: PathBuf,
    /// Phones; even, since they talk in pairs
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Phones in one bubble
    #[arg(long, default_value_t = fleet::MAX_PHONES)]
    bubble: usize,
    /// Switch on one phone of a pair in the bubble of this join link, instead of a fleet; needs --half
    #[arg(long, value_name = "LINK", requires = "half", conflicts_with_all = ["count", "bubble"])]
    invitation: Option<String>,
    /// Which of the two, 0 or 1; the other process says the other number
    #[arg(long, value_name = "0|1", requires = "invitation", value_parser = clap::value_parser!(u8).range(0..2))]
    half: Option<u8>,
    /// Open so many sessions at once instead, each until it is let in, and end them when all are open and answer
    #[arg(long, value_name = "N", conflicts_with_all = ["count", "bubble", "invitation", "messages", "path", "json"])]
    crowd: Option<usize>,
    /// Messages that each phone writes
    #[arg(long, default_value_t = 5)]
    messages: u32,
    /// How the messages are to go
    #[arg(long, value_enum, default_value_t = Way::Direct)]
    path: Way,
    /// How sessions with the node are carried
    #[arg(long, value_enum, default_value_t = Carrier::Websocket)]
    transport: Carrier,
    /// Phones that are switched on per second; 0 for all at once
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Seconds after which it gives up
    #[arg(long, default_value_t = 120)]
    seconds_limit: u64,
    /// Write the figures here, too
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// From phone to phone
    Direct,
    /// Through the node's TURN
    Relay,
    /// Through the node's mailbox, without WebRTC
    Mailbox,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Carrier {
    /// By a WebSocket
    Websocket,
    /// By plain requests, as where a WebSocket is refused
    Poll,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("phones: {e:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<bool> {
    if let Some(count) = arguments.crowd {
        return come(&arguments, count);
    }
    let half = match (&arguments.invitation, arguments.half) {
        (Some(link), Some(index)) => {
            let link = JoinLink::parse(link).context("--invitation is no join link")?;
            Some(HalfPair { secret: link.invite.secret, index: index.into() })
        }
        _ => None,
    };
    let options = Options {
        half,
        url: arguments.url,
        connect: arguments.connect,
        ca: arguments.ca,
        count: arguments.count,
        bubble: arguments.bubble,
        messages: arguments.messages,
        path: match arguments.path {
            Way::Direct => Path::Direct,
            Way::Relay => Path::Relayed,
            Way::Mailbox => Path::Mailbox,
        },
        transport: match arguments.transport {
            Carrier::Websocket => Transport::WebSocket,
            Carrier::Poll => Transport::Poll,
        },
        rate: arguments.rate,
        limit: Duration::from_secs(arguments.seconds_limit),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let account = runtime.block_on(fleet::run(options, |phase| match phase {
        Phase::Before if arguments.half.is_some() => eprintln!("switching on one phone"),
        Phase::Before => eprintln!("switching on {} phones", arguments.count),
        Phase::Connected => eprintln!("all are connected to their mates"),
        Phase::Done => eprintln!("all conversations are complete"),
    }))?;
    let figures = account.to_json();
    show("", &figures);
    if let Some(file) = arguments.json {
        std::fs::write(&file, format!("{figures:#}\n"))
            .with_context(|| format!("{}: not written", file.display()))?;
    }
    for line in account.complaints() {
        eprintln!("{line}");
    }
    Ok(account.is_good())
}

fn come(arguments: &Arguments, count: usize) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let came = runtime.block_on(async {
        let node = Node::new(&arguments.url, &arguments.ca, arguments.connect).await?;
        crowd::run(&node, count, Duration::from_secs(arguments.seconds_limit)).await
    })?;
    println!("sessions {}\ntries {}\nseconds {:.1}", came.sessions, came.tries, came.after.as_secs_f64());
    Ok(true)
}

/// One line for each figure.
fn show(prefix: &str, figures: &Value) {
    let Value::Object(figures) = figures else { return };
    for (name, value) in figures {
        match value {
            Value::Object(_) => show(&format!("{prefix}{name}."), value),
            Value::Number(number) => match number.as_f64() {
                Some(float) if !number.is_u64() => println!("{prefix}{name} {float:.1}"),
                _ => println!("{prefix}{name} {number}"),
            },
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {
                println!(
                    "{prefix}{name} {}",
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                );
            }
        }
    }
}
