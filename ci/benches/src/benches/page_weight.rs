//! What the page weighs on the air, fetched as a browser does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use serde_json::json;

use super::Effort;
use crate::report::Report;
use crate::{http, node};

/// Until the first screen shows, and in all, in KiB.
const GOALS_KIB: (f64, f64) = (150.0, 700.0);

/// What has a name of its own; the rest is found from there.
const PAGES: [&str; 2] = ["/", "/check"];

/// More files than a page of ours has.
const MAX_FILES: usize = 100;

/// Fetches the page and everything that it, or what it names, names.
pub(super) fn run(_: Effort, report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let node = node::Node::new("page-weight", Ipv4Addr::LOCALHOST, true)?;
    let _server = node.start_ready()?;
    let files = runtime.block_on(fetch_all(node.https))?;
    ensure!(files.len() > 1, "the page is alone: this build has no web client in it");
    let kib = |wanted: &dyn Fn(&str) -> bool| {
        files.iter().filter(|(name, _)| wanted(name)).map(|(_, bytes)| *bytes as f64).sum::<f64>() / 1024.0
    };
    // The worker with all cryptography is fetched after the first screen, the page that tests a phone on demand.
    let is_worker = |name: &str| name.contains("/worker");
    let is_check = |name: &str| name.contains("/check");
    let is_first = |name: &str| !is_worker(name) && !is_check(name);
    report.figure_at_most("until-first-screen", &[kib(&is_first)], "KiB", GOALS_KIB.0);
    report.figure("worker", &[kib(&is_worker)], "KiB");
    report.figure("test-a-phone", &[kib(&is_check)], "KiB");
    report.figure_at_most("in-all", &[kib(&|_| true)], "KiB", GOALS_KIB.1);
    for (name, bytes) in &files {
        println!("page-weight    {bytes:>8} bytes  {}", without_hash(name));
    }
    report.note("files", json!(files));
    Ok(())
}

async fn fetch_all(address: std::net::SocketAddr) -> Result<BTreeMap<String, usize>> {
    let tls = http::dangerous_client();
    let mut stream = http::connect(address, &tls).await?;
    let mut weights = BTreeMap::new();
    let mut wanted = PAGES.map(str::to_owned).to_vec();
    let mut known: BTreeSet<String> = wanted.iter().cloned().collect();
    while let Some(path) = wanted.pop() {
        ensure!(weights.len() < MAX_FILES, "more than {MAX_FILES} files");
        let answer = http::get(&mut stream, &address.to_string(), &path).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        weights.insert(path.clone(), answer.wire_bytes());
        if !(PAGES.contains(&path.as_str())
            || path.ends_with(".js")
            || path.ends_with(".css")
            || path.ends_with(".webmanifest"))
        {
            continue;
        }
        // What it names is found in the text as it is before encoding.
        let plain = identity(address, &tls, &path).await?;
        for name in names_in(&plain) {
            if known.insert(name.clone()) {
                wanted.push(name);
            }
        }
    }
    Ok(weights)
}

async fn identity(
    address: std::net::SocketAddr,
    tls: &std::sync::Arc<rustls::ClientConfig>,
    path: &str,
) -> Result<String> {
    let mut stream = http::connect(address, tls).await?;
    let answer = http::get_plain(&mut stream, &address.to_string(), path).await?;
    ensure!(answer.header("content-encoding").is_none(), "{path}: encoded although nobody asked for it");
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// Names of files of ours: `/name-HASH.ext` or `name-HASH.ext`, the hash 16 hexadecimal digits.
fn names_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_./".contains(c)))
        .filter(|word| {
            let Some((stem, extension)) = word.rsplit_once('.') else { return false };
            let Some((_, hash)) = stem.rsplit_once('-') else { return false };
            hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && !extension.is_empty()
        })
        .map(|word| format!("/{}", word.trim_start_matches(['.', '/'])))
        .collect()
}

fn without_hash(name: &str) -> String {
    match name.rsplit_once('-').zip(name.rsplit_once('.')) {
        Some(((stem, _), (_, extension))) => format!("{stem}.{extension}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_are_found_wherever_they_stand() {
        let text = r#"<script src="/page-0123456789abcdef.js"></script> import("./worker-fedcba9876543210.wasm") a-b.js"#;
        let names: Vec<String> = names_in(text).into_iter().collect();
        assert_eq!(names, ["/page-0123456789abcdef.js", "/worker-fedcba9876543210.wasm"]);
    }
}
