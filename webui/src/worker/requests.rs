//! The session by plain requests, where a WebSocket is refused. `client_core::Requests` says which; this makes them.

use client_core::{Request, Requests as Machine};
use js_sys::{ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, DedicatedWorkerGlobalScope, Headers, RequestInit, Response};

use super::with;

/// The carrier, while there is one. What an older one is still answered is not heard.
pub(super) struct Requests {
    scope: DedicatedWorkerGlobalScope,
    pub(super) machine: Option<Machine>,
    /// Ends what the machine has on its way: a browser keeps few connections, and a dead network none.
    abort: Option<AbortController>,
    /// Counts carriers.
    number: u32,
}

impl Requests {
    pub(super) fn new(scope: &DedicatedWorkerGlobalScope) -> Self {
        Self { scope: scope.clone(), machine: None, abort: None, number: 0 }
    }

    /// Drops the carrier that there is and begins another.
    pub(super) fn open(&mut self) {
        self.close();
        self.abort = AbortController::new().ok();
        self.machine = Some(Machine::new());
    }

    /// Drops the carrier; nothing more is heard of it. The node is told, if it can be.
    pub(super) fn close(&mut self) {
        self.number += 1;
        if let Some(abort) = self.abort.take() {
            abort.abort();
        }
        if let Some(machine) = self.machine.take()
            && let Some(token) = machine.token()
        {
            // Whatever comes of it: the node notices by itself that nobody asks any more.
            let promise = post(&self.scope, "close", Some(token), &[], None);
            spawn_local(async { _ = heard(promise).await });
        }
    }

    /// Whether it carries the session.
    pub(super) fn is_open(&self) -> bool {
        self.machine.as_ref().is_some_and(Machine::is_open)
    }

    /// Makes the requests that are to be made.
    pub(super) fn pump(&mut self, now: base::Instant) {
        let Some(mut machine) = self.machine.take() else { return };
        while let Some(Request { verb, target, token, body }) = machine.poll_request(now) {
            let (number, promise) =
                (self.number, post(&self.scope, &target, token, body, self.abort.as_ref()));
            spawn_local(async move {
                let answer = heard(promise).await.ok();
                let answer = answer.as_ref().map(|(status, body)| (*status, body.as_slice()));
                with(|driver| driver.handle_answer(number, verb, answer));
            });
        }
        self.machine = Some(machine);
    }

    /// The machine that made a request, if it is still that one.
    pub(super) fn of(&mut self, number: u32) -> Option<&mut Machine> {
        self.machine.as_mut().filter(|_| self.number == number)
    }
}

/// Makes a POST to `/session/TARGET`.
pub(super) fn post(
    scope: &DedicatedWorkerGlobalScope,
    target: &str,
    token: Option<&str>,
    body: &[u8],
    abort: Option<&AbortController>,
) -> Result<Promise, JsValue> {
    let init = RequestInit::new();
    init.set_method("POST");
    if let Some(abort) = abort {
        init.set_signal(Some(&abort.signal()));
    }
    if let Some(token) = token {
        let headers = Headers::new()?;
        headers.set("authorization", &format!("Bearer {token}"))?;
        init.set_headers(&headers);
    }
    if !body.is_empty() {
        init.set_body(&Uint8Array::from(body));
    }
    Ok(scope.fetch_with_str_and_init(&format!("/session/{target}"), &init))
}

/// Its answer.
pub(super) async fn heard(promise: Result<Promise, JsValue>) -> Result<(u16, Vec<u8>), JsValue> {
    let response: Response = JsFuture::from(promise?).await?.unchecked_into();
    let body: ArrayBuffer = JsFuture::from(response.array_buffer()?).await?.unchecked_into();
    Ok((response.status(), Uint8Array::new(&body).to_vec()))
}
