//! For tests: texts that were looked at once and agreed upon.

use std::path::Path;

/// Compares `actual` with a file below this crate; with `BULLE_ACCEPT=1` in the environment, writes it there.
pub(crate) fn golden(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    if std::env::var_os("BULLE_ACCEPT").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, actual).expect("written");
    }
    let agreed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, agreed, "{file} differs; look at it, then run again with BULLE_ACCEPT=1");
}
