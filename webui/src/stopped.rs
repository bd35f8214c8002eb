//! What happens when the program has a fault: plain words on the screen, and nothing of what it was about.
//!
//! A panic's message may quote what a person wrote, so only the place in the source is logged.

use std::panic::{PanicHookInfo, set_hook};

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
}

/// Makes panics log their place, and then do `then`.
pub(crate) fn on_panic(then: fn()) {
    set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let mut place = String::from("bulle: fault at ");
        if let Some(location) = info.location() {
            place.push_str(location.file());
            place.push(':');
            place.push_str(&location.line().to_string());
        }
        console_error(&place);
        then();
    }));
}
