//! Embeds the web client, so that the daemon is one file and serves nothing that it was not built with.
//!
//! Looks at `BULLE_WEBUI_DIR` or `out/webui` beside the workspace. Without a client there the daemon is built
//! all the same and says so; with `BULLE_REQUIRE_WEBUI=1` that is an error.
#![allow(clippy::unwrap_used, reason = "a build that cannot read its own files has to stop")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BULLE_WEBUI_DIR");
    println!("cargo::rerun-if-env-changed=BULLE_REQUIRE_WEBUI");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rustc-check-cfg=cfg(webui)");
    if let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") {
        assert!(epoch.parse::<u64>().is_ok(), "SOURCE_DATE_EPOCH must be seconds since 1970");
        println!("cargo::rustc-env=BULLE_BUILD_TIME={epoch}");
    }

    let given = env::var_os("BULLE_WEBUI_DIR").map(PathBuf::from);
    let dir = given.unwrap_or_else(|| {
        let beside = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../out/webui");
        // Cargo watches a directory only when it is there; without it this script would run every time.
        let _ = fs::create_dir_all(&beside);
        beside
    });
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut table =
        String::from("/// The files of the web client, by name.\npub static FILES: &[File] = &[\n");
    if dir.join("index.html").is_file() {
        println!("cargo::rustc-cfg=webui");
        embed(&dir, &mut table);
    } else {
        let required = env::var("BULLE_REQUIRE_WEBUI").is_ok_and(|value| value == "1");
        assert!(!required, "BULLE_REQUIRE_WEBUI=1, and there is no web client in {}", dir.display());
    }
    table.push_str("];\n");
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap()).join("assets.rs"), table).unwrap();
}

fn embed(dir: &Path, table: &mut String) {
    let dir = dir.canonicalize().unwrap();
    let mut names: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().expect("names of the client's files are text"))
        .collect();
    names.sort();
    for name in names.iter().filter(|name| !name.ends_with(".br") && !name.ends_with(".gz")) {
        let path = dir.join(name);
        let packed = |extension: &str| {
            let packed = format!("{name}.{extension}");
            if names.contains(&packed) {
                format!("Some(include_bytes!({:?}))", dir.join(packed))
            } else {
                "None".to_owned()
            }
        };
        writeln!(
            table,
            "    File {{ name: {name:?}, tag: \"{:016x}\", raw: include_bytes!({path:?}), br: {}, gz: {} }},",
            fnv1a(&fs::read(&path).unwrap()),
            packed("br"),
            packed("gz"),
        )
        .unwrap();
    }
}

/// Tells versions of a file apart; nobody has to be kept from making two that collide.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
