//! OpenMetrics and a sign of health, on a port of their own that only this machine reaches; off where no setting asks
//! for it.
//!
//! Counts only. Whoever collects them must not see one person come, or one message pass: every number that could be
//! somebody's is rounded up to a multiple of [`STEP`].

use crate::VERSION;
use crate::accept::Permit;
use crate::control::{self, Figures, Order};
use crate::http;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relay_core::mailbox::Cause;
use std::fmt::{Display, Write as _};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower_service::Service;
use wire::Reason;

/// Numbers of persons and of what they do are multiples of this.
pub const STEP: u64 = 8;
/// Relayed bytes are multiples of this.
const BYTES_STEP: u64 = 1 << 20;
/// Connections at a time: one collector, and one that takes over.
pub const CONNECTIONS: usize = 8;
/// How long the daemon may take to count before it counts as ill.
const PATIENCE: Duration = Duration::from_secs(5);
/// OpenMetrics 1.0, section "Overall Structure".
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers to whoever collects.
pub fn router(orders: mpsc::Sender<Order>) -> Router {
    Router::new().fallback(answer).with_state(orders)
}

/// One connection.
pub async fn serve(stream: TcpStream, pages: Router, permit: Permit) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut pages = pages.clone();
        async move { pages.call(request.map(Body::new)).await }
    });
    let connection = http::connection().serve_connection(TokioIo::new(stream), service);
    let _ = timeout(http::CONNECTION_TIME, connection).await;
    drop(permit);
}

async fn answer(State(orders): State<mpsc::Sender<Order>>, request: Request<Body>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, path @ ("/metrics" | "/healthz")) => {
            match timeout(PATIENCE, control::figures(&orders)).await.ok().flatten() {
                None => text(StatusCode::SERVICE_UNAVAILABLE, "bulle does not answer\n".to_owned()),
                Some(_) if path == "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
                Some(figures) => {
                    let mut response = text(StatusCode::OK, render(&figures));
                    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
                    response
                }
            }
        }
        (&Method::GET | &Method::HEAD, _) => {
            text(StatusCode::NOT_FOUND, "here are /metrics and /healthz\n".to_owned())
        }
        (_, _) => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this can only be read\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Zero stays zero: that nobody is there is nobody's.
const fn rounded(count: u64) -> u64 {
    count.div_ceil(STEP).saturating_mul(STEP)
}

fn render(figures: &Figures) -> String {
    let Figures { mailbox, turn, names, tables } = figures;
    let mut page = Exposition(String::new());
    page.head("bulle", "info", "The program");
    page.line("bulle_info", &[("version", &VERSION)], 1);
    page.gauge("bulle_connections", "TCP connections", tables.connections as u64);
    page.gauge("bulle_sessions", "Sessions that are open", mailbox.sessions.into());
    let carried = (tables.peers + tables.polls) as u64;
    let carriers: [(Labels<'_>, u64); 3] = [
        (&[("carrier", &"websocket")], u64::from(mailbox.sessions).saturating_sub(carried)),
        (&[("carrier", &"data-channel")], tables.peers as u64),
        (&[("carrier", &"requests")], tables.polls as u64),
    ];
    page.head("bulle_carried_sessions", "gauge", "Sessions by what carries them");
    for (labels, count) in carriers {
        page.line("bulle_carried_sessions", labels, rounded(count));
    }
    page.gauge("bulle_subscriptions", "Mailboxes that sessions read", mailbox.subscriptions.into());
    page.gauge("bulle_mailboxes", "Mailboxes in being", mailbox.mailboxes.into());
    page.gauge("bulle_envelopes", "Envelopes that wait", mailbox.envelopes.into());
    page.gauge("bulle_blocks_used", "Blocks that hold envelopes", mailbox.blocks_used.into());
    page.head("bulle_blocks", "gauge", "Blocks that there are");
    page.line("bulle_blocks", &[], mailbox.blocks_total.into());
    page.counter("bulle_deposits", "Envelopes put into queues", &[(&[], mailbox.deposited)]);
    page.counter("bulle_appends", "Envelopes put into logs", &[(&[], mailbox.appended)]);
    page.counter("bulle_deliveries", "Envelopes delivered", &[(&[], mailbox.delivered)]);
    page.counter("bulle_violations", "Sessions that broke the protocol", &[(&[], mailbox.violations)]);
    page.head("bulle_purged_envelopes", "counter", "Envelopes overwritten");
    for cause in Cause::ALL {
        let count = rounded(mailbox.purged_by(cause));
        page.line("bulle_purged_envelopes_total", &[("cause", &cause.word())], count);
    }
    page.head("bulle_refusals", "counter", "Requests refused");
    for reason in Reason::ALL {
        let count = rounded(mailbox.refused.of(reason));
        page.line("bulle_refusals_total", &[("reason", &reason.word())], count);
    }
    if let Some(turn) = turn {
        page.gauge("bulle_turn_allocations", "TURN allocations", turn.allocations);
        page.counter("bulle_turn_bindings", "STUN requests answered", &[(&[], turn.bindings)]);
        let packets: [(Labels<'_>, u64); 2] =
            [(&[("to", &"peers")], turn.packets_to_peers), (&[("to", &"clients")], turn.packets_to_clients)];
        page.counter("bulle_turn_packets", "Packets relayed", &packets);
        page.head("bulle_turn_bytes", "counter", "Bytes relayed");
        let bytes = turn.bytes_relayed.div_ceil(BYTES_STEP).saturating_mul(BYTES_STEP);
        page.line("bulle_turn_bytes_total", &[], bytes);
        page.counter("bulle_turn_dropped_packets", "Datagrams for nobody", &[(&[], turn.dropped)]);
        page.counter("bulle_turn_shed_packets", "Packets above somebody's share", &[(&[], turn.shed)]);
    }
    if let Some(names) = names {
        let queries: [(Labels<'_>, u64); 4] = [
            (&[("answer", &"found")], names.found),
            (&[("answer", &"absent")], names.absent),
            (&[("answer", &"refused")], names.refused),
            (&[("answer", &"none")], names.dropped),
        ];
        page.counter("bulle_name_queries", "Queries to the name server", &queries);
    }
    page.0.push_str("# EOF\n");
    page.0
}

/// Names and values; none of ours needs escaping.
type Labels<'l> = &'l [(&'static str, &'l dyn Display)];

/// Text of OpenMetrics 1.0.
struct Exposition(String);

impl Exposition {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.line(name, &[], rounded(value));
    }

    fn counter(&mut self, name: &str, help: &str, values: &[(Labels<'_>, u64)]) {
        self.head(name, "counter", help);
        for (labels, value) in values {
            self.line(&format!("{name}_total"), labels, rounded(*value));
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}.");
    }

    fn line(&mut self, name: &str, labels: Labels<'_>, value: u64) {
        self.0.push_str(name);
        if !labels.is_empty() {
            let all: Vec<String> =
                labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
            let _ = write!(self.0, "{{{}}}", all.join(","));
        }
        let _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_tells_one_person_from_several() {
        let mailbox = relay_core::mailbox::Counters {
            sessions: 1,
            subscriptions: 2,
            mailboxes: 3,
            envelopes: 9,
            blocks_used: 17,
            blocks_total: 1001,
            deposited: 1,
            appended: 7,
            delivered: 8,
            purged: [1, 2, 3, 4, 5, 6],
            violations: 1,
            ..Default::default()
        };
        let mut turn = relay_core::turn::Counters::default();
        (turn.allocations, turn.bytes_relayed) = (1, 5);
        let page = render(&Figures {
            mailbox,
            turn: Some(turn),
            names: Some(Default::default()),
            ..Default::default()
        });
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let value: u64 = value.parse().expect("a number");
            assert!(
                value.is_multiple_of(STEP)
                    || matches!(name.split('{').next(), Some("bulle_info" | "bulle_blocks")),
                "{line}"
            );
        }
        for line in [
            "bulle_sessions 8",
            "bulle_envelopes 16",
            "bulle_turn_bytes_total 1048576",
            "bulle_connections 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}: {page}");
        }
    }

    /// OpenMetrics 1.0: a family has its metadata once and first, a counter's samples end in `_total`, labels do not
    /// come twice, and the last line is `# EOF`.
    #[test]
    fn the_page_has_the_form_of_openmetrics() {
        let figures =
            Figures { turn: Some(Default::default()), names: Some(Default::default()), ..Default::default() };
        let page = render(&figures);
        assert!(page.ends_with("# EOF\n") && page.matches("# EOF").count() == 1);
        let (mut families, mut samples) =
            (std::collections::HashMap::new(), std::collections::HashSet::new());
        let mut last = "";
        for line in page.lines().take_while(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert!(families.insert(name, kind).is_none(), "{name} twice");
                last = name;
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                assert!(rest.starts_with(&format!("{last} ")), "{line}");
            } else {
                let (sample, _) = line.rsplit_once(' ').expect("a value");
                assert!(samples.insert(sample), "{sample} twice");
                let name = sample.split('{').next().expect("a name");
                let suffix = match families.get(last).copied() {
                    Some("counter") => "_total",
                    Some("info") => "_info",
                    _ => "",
                };
                assert_eq!(name, format!("{last}{suffix}"));
            }
        }
        assert!(families.len() > 15);
    }
}
