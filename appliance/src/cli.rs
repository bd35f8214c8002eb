//! The command line.

use crate::control::client;
use crate::controller::BoxArgs;
use crate::serve::ServeError;
use crate::tls::TlsError;
use crate::turn::TurnError;
use crate::{VERSION, host, invite, serve, wifi};
use appliance_core::settings::{LogLevel, Settings, SettingsError, Typed};
use appliance_core::site::Site;
use appliance_core::wifi::{BandWish, Country, Policy};
use clap::{Args, Parser, Subcommand};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

/// The command line or the settings are wrong.
pub const EXIT_USAGE: u8 = 2;
/// An address cannot be listened on.
pub const EXIT_LISTEN: u8 = 3;
/// The state directory cannot be used.
pub const EXIT_STATE: u8 = 4;
/// The certificate authority is damaged or incomplete.
pub const EXIT_AUTHORITY: u8 = 5;

/// The settings of the daemon on a box.
const BOX_SETTINGS: &str = "/run/bulle/bulle.toml";
/// How often a daemon that waits for its settings looks for them.
const GLANCE: Duration = Duration::from_millis(20);

/// A box that is a sovereign bubble.
#[derive(Debug, Parser)]
#[command(name = "bulle", version = VERSION, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the box on this machine until Ctrl-C
    #[command(
        after_help = "Exit codes: 0 stopped as asked, 2 wrong command line or settings, 3 cannot listen, \
                            4 state directory unusable, 5 certificate authority damaged, 1 anything else"
    )]
    Serve(ServeArgs),
    /// Runs the controller of a box: network, Wi-Fi, join card; needs root
    Box(BoxArgs),
    /// Reads a settings file, tells what is wrong with it, and prints what it comes to on this machine
    CheckConfig {
        /// The settings file
        file: PathBuf,
        /// It is the bulle.toml of a box's partition BULLE
        #[arg(long)]
        site: bool,
    },
    /// Makes an invitation with a fresh secret: a link and a QR code. The box never learns the secret
    Invite {
        /// The address of the page, such as https://bulle.local:8443/
        #[arg(long)]
        url: String,
        /// The file ca.crt of the state directory, to show its fingerprint too
        #[arg(long)]
        ca: Option<PathBuf>,
        /// The file peer.pem of the state directory: phones then know the box where WebSockets are refused
        #[arg(long)]
        peer: Option<PathBuf>,
        /// A bubble in which every phone sends to all the others all the time: the box cannot tell who writes to whom.
        /// Slower, without direct connections, for up to 32 people
        #[arg(long)]
        broadcast: bool,
    },
    /// Shows all that the relay on this machine holds; for root, and for the user that runs it
    Dump {
        #[command(flatten)]
        which: DaemonArgs,
        /// With the addresses of mailboxes and the envelopes themselves, which are ciphertext, in hexadecimal digits
        #[arg(long)]
        bytes: bool,
    },
    /// Overwrites all that the relay on this machine holds and ends all its sessions, at once
    Purge(DaemonArgs),
    /// Tells what the Wi-Fi radios of this machine can do, and what an access point on them would be.
    /// Changes nothing
    Radio(RadioArgs),
}

#[derive(Args, Debug)]
struct RadioArgs {
    /// As if `country` stood in bulle.toml: two letters. What the kernel allows stays that of its own country
    #[arg(long, value_parser = |text: &str| Country::new(text).ok_or("a country is two letters, such as FR"))]
    country: Option<Country>,
    /// As if `wifi.band = "5"` stood in bulle.toml
    #[arg(long)]
    five: bool,
    /// The program that would run the access point
    #[arg(long, value_name = "FILE", default_value = "/usr/sbin/hostapd")]
    hostapd: PathBuf,
}

#[derive(Args, Clone, Debug, Default)]
struct ServeArgs {
    /// The settings file; see docs/configuration.md
    #[arg(long)]
    config: Option<PathBuf>,
    /// Waits until there is a settings file: another program is about to write it
    #[arg(long, requires = "config")]
    wait: bool,
    /// Where the certificate authority of this box is kept (`state.dir`)
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where the page is served (`http.https`); may be given more than once
    #[arg(long, value_name = "ADDRESS:PORT")]
    https: Vec<SocketAddr>,
    /// Where the explaining page is served without encryption (`http.redirect`)
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Vec<SocketAddr>,
    /// Where STUN and TURN answer (`turn.listen`)
    #[arg(long, value_name = "ADDRESS:PORT")]
    turn: Vec<SocketAddr>,
    /// Where sessions over WebRTC are carried (`webrtc.listen`)
    #[arg(long, value_name = "ADDRESS:PORT")]
    webrtc: Vec<SocketAddr>,
}

/// Which daemon is meant.
#[derive(Args, Clone, Debug, Default)]
struct DaemonArgs {
    /// The settings file that it uses
    #[arg(long)]
    config: Option<PathBuf>,
    /// The state directory that it uses (`state.dir`)
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve(args),
        Command::Box(args) => {
            if args.runs_on() {
                log(LogLevel::Info);
            }
            args.execute().map_err(|(code, text)| Failure { code, text })
        }
        Command::CheckConfig { file, site: false } => check_config(&file),
        Command::CheckConfig { file, site: true } => check_site(&file),
        Command::Invite { url, ca, peer, broadcast } => {
            let mut out = io::stdout().lock();
            let colours = out.is_terminal();
            invite::invite(&url, ca.as_deref(), peer.as_deref(), broadcast, &mut out, colours)
                .map_err(|error| Failure::new(EXIT_USAGE, error))
        }
        Command::Dump { which, bytes } => ask(which, if bytes { "dump bytes" } else { "dump" }),
        Command::Purge(which) => ask(which, "purge"),
        Command::Radio(args) => radio(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "bulle: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// Where our own events come from.
const OURS: [&str; 4] = ["appliance", "bulle", "relay_core", "base"];

struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(code: u8, text: impl Display) -> Self {
        Self { code, text: text.to_string() }
    }
}

fn serve(args: ServeArgs) -> Result<(), Failure> {
    if let Some(file) = args.config.as_ref().filter(|_| args.wait) {
        while file.try_exists().is_ok_and(|exists| !exists) {
            thread::sleep(GLANCE);
        }
    }
    let settings = settings(&args)?;
    log(settings.log_level);
    // A closed terminal ends what was started in it; a daemon reads its settings again.
    let is_daemon = args.config.is_some() && !io::stdin().is_terminal();
    let again = move || self::settings(&args).map_err(|failure| failure.text.lines().count());
    let reread: Option<serve::Reread> = if is_daemon { Some(Box::new(again)) } else { None };
    serve::serve(settings, reread).map_err(|error| Failure::new(exit_code(&error), error))
}

/// The file, with the options of the command line over it.
fn settings(args: &ServeArgs) -> Result<Settings, Failure> {
    let mut typed = match &args.config {
        Some(file) => read(file)?,
        None => Typed::default(),
    };
    let given = |list: &[SocketAddr]| (!list.is_empty()).then(|| list.to_vec());
    typed.https = given(&args.https).or(typed.https);
    typed.redirect = given(&args.http).or(typed.redirect);
    typed.turn_listen = given(&args.turn).or(typed.turn_listen);
    typed.webrtc_listen = given(&args.webrtc).or(typed.webrtc_listen);
    typed.state_dir = args.state.clone().or(typed.state_dir);
    Ok(typed.resolve(&host::facts()))
}

/// Asks the daemon that runs.
fn ask(DaemonArgs { config, state }: DaemonArgs, request: &str) -> Result<(), Failure> {
    // On a box it runs with the settings of its controller.
    let on_box = Path::new(BOX_SETTINGS);
    let config = config.or_else(|| (state.is_none() && on_box.exists()).then(|| on_box.to_owned()));
    let settings = settings(&ServeArgs { config, state, ..ServeArgs::default() })?;
    client::ask(&settings.state_dir, request, &mut io::stdout().lock())
        .map_err(|error| Failure::new(1, error))
}

fn check_config(file: &Path) -> Result<(), Failure> {
    let settings: Settings = read(file)?.resolve(&host::facts());
    write!(io::stdout(), "# {} is fine. On this machine it comes to:\n\n{settings}", file.display())
        .map_err(|error| Failure::new(1, error))
}

fn radio(args: RadioArgs) -> Result<(), Failure> {
    let dirs = wifi::Dirs { hostapd: args.hostapd, ..wifi::Dirs::default() };
    let band = if args.five { BandWish::Band5 } else { BandWish::Auto };
    let policy = Policy { country: args.country, band, ..Policy::default() };
    wifi::show(&dirs, &policy, &mut io::stdout().lock())
        .map_err(|error| Failure::new(1, format_args!("cannot ask the kernel about Wi-Fi radios: {error}")))
}

fn check_site(file: &Path) -> Result<(), Failure> {
    let name = file.display();
    let bytes = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
    Site::parse(&bytes).map_err(|error| problems(file, &error))?;
    writeln!(io::stdout(), "{name} is fine.").map_err(|error| Failure::new(1, error))
}

fn read(file: &Path) -> Result<Typed, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    Typed::parse(&text).map_err(|error| problems(file, &error))
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::new(EXIT_USAGE, format_args!("cannot read the settings file {}: {error}", file.display()))
}

fn problems(file: &Path, error: &SettingsError) -> Failure {
    let name = file.display();
    let lines: Vec<String> = error.problems.iter().map(|problem| format!("{name}, {problem}")).collect();
    Failure::new(EXIT_USAGE, lines.join("\nbulle: "))
}

const fn exit_code(error: &ServeError) -> u8 {
    match error {
        ServeError::Listen(_)
        | ServeError::Turn(
            TurnError::PortInUse { .. }
            | TurnError::PortNotAllowed { .. }
            | TurnError::NoSuchAddress { .. }
            | TurnError::NoAddress,
        ) => EXIT_LISTEN,
        ServeError::Turn(_) => 1,
        ServeError::State(_) | ServeError::Tls(TlsError::State(_)) => EXIT_STATE,
        ServeError::Tls(TlsError::Pki(_)) => EXIT_AUTHORITY,
        ServeError::Tls(TlsError::Supplied(_)) => EXIT_USAGE,
        ServeError::Tls(TlsError::Library(_)) | ServeError::Memory(_) | ServeError::System(_) => 1,
    }
}

/// To standard error, without a journal of its own and without addresses at any level.
fn log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // What others log may name addresses, at levels that are theirs.
    let ours = OURS.iter().fold(Targets::new(), |all, name| all.with_target(*name, level));
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_ansi(false);
    let subscriber = subscriber.with_writer(io::stderr).finish().with(ours);
    let _ = tracing::subscriber::set_global_default(subscriber);
}
