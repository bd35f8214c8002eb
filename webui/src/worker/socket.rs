//! The WebSocket to the node, which carries the session wherever it is not refused. What an older one still says is
//! not heard.

use client_core::Way;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, DedicatedWorkerGlobalScope, Event, MessageEvent, WebSocket};

use super::{Happened, with};

/// Bytes waiting in the browser above which nothing more is given to it.
const FULL: u32 = 1024 * 1024;

pub(super) struct Socket {
    url: String,
    current: Option<WebSocket>,
    /// To take the place of the current one, which is silent.
    next: Option<WebSocket>,
    on_open: Closure<dyn FnMut(Event)>,
    on_message: Closure<dyn FnMut(MessageEvent)>,
    on_close: Closure<dyn FnMut(Event)>,
}

impl Socket {
    pub(super) fn new(scope: &DedicatedWorkerGlobalScope) -> Self {
        Self {
            url: format!("wss://{}/session", scope.location().host()),
            current: None,
            next: None,
            on_open: Closure::new(|event: Event| {
                with(|driver| {
                    if driver.socket.is_next(&event) {
                        driver.socket.replace();
                    }
                    if driver.socket.is_current(&event) {
                        driver.handle_carrier(Way::WebSocket, Happened::Open);
                    }
                });
            }),
            on_message: Closure::new(|event: MessageEvent| {
                // The node sends binary messages only; a text is no frame and is not decoded either.
                if let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() {
                    with(|driver| {
                        if driver.socket.is_current(&event) {
                            // What speaks needs no replacement.
                            drop_socket(driver.socket.next.take());
                            driver.handle_carrier(
                                Way::WebSocket,
                                Happened::Frame(Uint8Array::new(&buffer).to_vec()),
                            );
                        }
                    });
                }
            }),
            on_close: Closure::new(|event: Event| {
                with(|driver| {
                    if driver.socket.is_next(&event) {
                        driver.socket.next = None;
                    }
                    if driver.socket.is_current(&event) {
                        driver.socket.current = None;
                        driver.handle_carrier(Way::WebSocket, Happened::Closed);
                    }
                });
            }),
        }
    }

    /// Drops the socket that there is and begins to open another. False when the browser refuses at once.
    pub(super) fn open(&mut self) -> bool {
        self.close();
        self.current = self.begin();
        self.current.is_some()
    }

    /// Begins to open another socket beside the one that there is, instead of one that is being opened so already.
    pub(super) fn open_beside(&mut self) {
        drop_socket(self.next.take());
        self.next = self.begin();
    }

    fn begin(&self) -> Option<WebSocket> {
        let socket = WebSocket::new_with_str(&self.url, wire::SUBPROTOCOL).ok()?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        socket.set_onopen(Some(self.on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(self.on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(self.on_close.as_ref().unchecked_ref()));
        Some(socket)
    }

    /// The next one is open: the one before it is dropped.
    fn replace(&mut self) {
        drop_socket(core::mem::replace(&mut self.current, self.next.take()));
    }

    /// Drops the sockets; nothing more is heard of them.
    pub(super) fn close(&mut self) {
        drop_socket(self.current.take());
        drop_socket(self.next.take());
    }

    /// Whether the browser should be given a moment to send what it has.
    pub(super) fn is_full(&self) -> bool {
        self.current.as_ref().is_some_and(|socket| socket.buffered_amount() > FULL)
    }

    /// Sends a frame. What cannot be sent is lost, as with any carrier that breaks; the client sends it again.
    pub(super) fn send(&self, frame: &[u8]) {
        if let Some(socket) = self.current.as_ref().filter(|socket| socket.ready_state() == WebSocket::OPEN) {
            let _ = socket.send_with_u8_array(frame);
        }
    }

    fn is_current(&self, event: &Event) -> bool {
        is_of(self.current.as_ref(), event)
    }

    fn is_next(&self, event: &Event) -> bool {
        is_of(self.next.as_ref(), event)
    }
}

fn is_of(socket: Option<&WebSocket>, event: &Event) -> bool {
    match (socket, event.target()) {
        (Some(socket), Some(target)) => js_sys::Object::is(socket.as_ref(), target.as_ref()),
        (None, _) | (_, None) => false,
    }
}

fn drop_socket(socket: Option<WebSocket>) {
    if let Some(old) = socket {
        // It fails only for a bad code or reason, and there is none.
        let _ = old.close();
    }
}
