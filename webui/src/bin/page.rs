//! The program of the page. Empty on any target but the browser.

#![forbid(unsafe_code)]

fn main() {
    #[cfg(target_arch = "wasm32")]
    webui::page::start();
}
