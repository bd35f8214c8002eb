//! The program of the worker. Empty on any target but the browser.

#![forbid(unsafe_code)]

fn main() {
    #[cfg(target_arch = "wasm32")]
    webui::worker::start();
}
