//! The program of the page: carries messages between the worker, WebRTC and the screen, and tells the worker when
//! the world may have changed. It decides nothing.

use std::cell::{OnceCell, RefCell};

use client_core::{ChannelEvent, Command, Event, PeerId, Text};
use js_sys::{Array, Reflect, Uint8Array};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{
    BeforeUnloadEvent, HtmlElement, HtmlTextAreaElement, MessageEvent, PageTransitionEvent, Worker,
};

use crate::bridge::{Secret, ToPage, ToWorker, decode, encode};
use crate::invitation::{self, Invitation};
use crate::model::{Model, Stage, Tell};
use crate::rtc::{Connections, Place};
use crate::{stopped, text};

mod gate;
mod parts;
mod people;
mod talk;
mod view;

thread_local! {
    static WORKER: OnceCell<Worker> = const { OnceCell::new() };
    static CONNECTIONS: RefCell<Option<Connections>> = const { RefCell::new(None) };
    /// What was said before the worker listened.
    static EARLY: RefCell<Vec<ToWorker>> = const { RefCell::new(Vec::new()) };
}

/// What every part of the screen can see and do.
#[derive(Clone, Copy)]
struct Ui {
    model: RwSignal<Model>,
    invitation: RwSignal<Option<Result<Invitation, wire::InviteError>>>,
}

/// Starts the program; called once.
pub fn start() {
    stopped::on_panic(show_stopped);
    let Some(worker) = take_worker() else { return show_stopped() };
    let ui = Ui { model: RwSignal::new(Model::default()), invitation: RwSignal::new(take_invitation()) };
    WORKER.with(|slot| slot.set(worker).ok());
    CONNECTIONS.with_borrow_mut(|slot| {
        *slot = Some(Connections::new(Place::of(&window().location()), tell_channel));
    });
    if let Some(place) = element("app") {
        place.set_text_content(None);
        mount_to(place, move || view::root(ui)).forget();
    }
    hear_worker(ui);
    hear_browser(ui);
    post(&ToWorker::Hello);
}

impl Ui {
    /// Enters a bubble; without an invitation, a new one, which may be one that broadcasts.
    fn join(self, pseudonym: &str, invite: Option<wire::Invite>, broadcast: bool) {
        self.model.update(|model| {
            model.stage = Stage::Joining;
            model.refused = None;
        });
        let rtc = Connections::available();
        let join = ToWorker::Join { pseudonym: pseudonym.into(), secret: invite.map(Secret), rtc, broadcast };
        if self.model.with_untracked(|model| model.ready) {
            post(&join);
        } else {
            EARLY.with_borrow_mut(|early| *early = vec![join]);
        }
    }

    fn command(self, command: Command) {
        post(&ToWorker::Command(command));
    }

    /// Puts a conversation on the screen, as a step that the browser's Back takes back.
    fn open(self, peer: PeerId) {
        let before = self.model.with_untracked(|model| model.open);
        if before == Some(peer) {
            return;
        }
        if before.is_none() {
            // The state says nothing but that there is one.
            let _ = history().push_state(&JsValue::TRUE, "");
        }
        self.model.update(|model| model.open(peer));
        self.command(Command::Open { peer });
    }

    /// Leaves the conversation by the browser's own Back, so that both stay in step.
    fn back(self) {
        if history().back().is_err() {
            self.model.update(Model::close);
        }
    }

    fn leave(self) {
        self.command(Command::Leave);
        self.model
            .update(|model| *model = Model { ready: model.ready, stage: Stage::Left, ..Model::default() });
    }

    fn keep_draft(self, peer: PeerId, text: &str) {
        // Nothing on the screen depends on it but the field that it comes from.
        self.model.update_untracked(|model| {
            if let Some(known) = model.peers.get_mut(&peer) {
                known.draft = text.into();
            }
        });
    }

    fn hear(self, message: ToPage) {
        match message {
            ToPage::Event(Event::OpenChannel { peer, polite, turn }) => {
                connections(|all| all.open(peer, polite, turn));
            }
            ToPage::Event(Event::RemoteSignal { peer, signal }) => {
                connections(|all| all.signal(peer, signal));
            }
            ToPage::Event(Event::CloseChannel { peer }) => connections(|all| all.close(peer)),
            ToPage::Event(Event::TurnRenewed(turn)) => connections(|all| all.renew(turn)),
            ToPage::Channel { peer, bytes } => connections(|all| all.send(peer, bytes)),
            ToPage::Stopped => show_stopped(),
            ToPage::Ready => {
                let first = !self.model.with_untracked(|model| model.ready);
                self.model.update(|model| model.apply(ToPage::Ready));
                for message in EARLY.take() {
                    post(&message);
                }
                if first {
                    mark("bulle-ready");
                }
            }
            ToPage::NotSent { peer, ref text, .. } => {
                let text = text.clone();
                self.model.update(|model| model.apply(message));
                self.put_back(peer, &text);
            }
            ToPage::Joined { .. }
            | ToPage::NotJoined { .. }
            | ToPage::Event(_)
            | ToPage::Unsent { .. }
            | ToPage::Safety { .. } => {
                self.model.update(|model| model.apply(message));
            }
        }
    }

    /// Puts a text that was not taken back into its field, unless something else was begun there.
    fn put_back(self, peer: PeerId, text: &Text) {
        if self.model.with_untracked(|model| model.open) == Some(peer)
            && let Some(field) =
                element(talk::FIELD).and_then(|field| field.dyn_into::<HtmlTextAreaElement>().ok())
            && field.value().is_empty()
        {
            field.set_value(text.expose());
        }
    }
}

fn hear_worker(ui: Ui) {
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some(message) = decode(&Uint8Array::new(&event.data()).to_vec()) {
            ui.hear(message);
        }
    });
    let on_error = Closure::<dyn FnMut()>::new(move || {
        // Before it has said anything, the worker was not loaded; afterwards it broke down.
        let ready = ui.model.with_untracked(|model| model.ready);
        show_instead(if ready { "stopped" } else { "unreached" });
    });
    WORKER.with(|worker| {
        if let Some(worker) = worker.get() {
            worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
            worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        }
    });
    on_message.forget();
    on_error.forget();
}

/// `navigator.onLine` is never asked: it is true in a bubble without Internet, and true on a dead Wi-Fi.
fn hear_browser(ui: Ui) {
    let page = document();
    let visibility = move || {
        let hidden = document().hidden();
        ui.model.update(|model| model.set_hidden(hidden));
        if !hidden {
            wake();
        }
    };
    listen(&page, "visibilitychange", move |_| visibility());
    listen(&window(), "pageshow", move |event| {
        // Back from the browser's cache of pages, with everything as it was and every socket dead.
        if event.unchecked_ref::<PageTransitionEvent>().persisted() {
            wake();
        }
    });
    for changed in ["online", "offline"] {
        listen(&window(), changed, |_| {
            connections(|all| all.network_changed());
            wake();
        });
    }
    listen(&window(), "popstate", move |_| ui.model.update(Model::close));
    listen(&window(), "hashchange", move |_| {
        let Some(found) = take_invitation() else { return };
        if ui.model.with_untracked(|model| model.stage) == Stage::Inside {
            ui.model.update(|model| model.tell(Tell::AlreadyInside));
        } else {
            ui.invitation.set(Some(found));
        }
    });
    listen(&window(), "beforeunload", move |event| {
        if ui.model.with_untracked(|model| model.unsent > 0) {
            event.prevent_default();
            // For browsers that ask only then; none of them shows the text.
            event.unchecked_ref::<BeforeUnloadEvent>().set_return_value(text::NAME);
        }
    });
    listen(&window(), "pagehide", move |event| {
        // As far as it still gets out; the others notice by themselves after a while.
        if !event.unchecked_ref::<PageTransitionEvent>().persisted() {
            ui.command(Command::Leave);
        }
    });
    let look = Closure::<dyn FnMut()>::new(|| connections(Connections::look));
    let every = Connections::look_every_ms();
    let callback = look.as_ref().unchecked_ref();
    // It fails only where there are no timers, and then nothing else would work either.
    let _ = window().set_interval_with_callback_and_timeout_and_arguments_0(callback, every);
    look.forget();
}

fn wake() {
    connections(Connections::look);
    post(&ToWorker::Wake);
}

fn listen(target: &web_sys::EventTarget, name: &str, then: impl FnMut(web_sys::Event) + 'static) {
    let closure = Closure::<dyn FnMut(web_sys::Event)>::new(then);
    // It fails only for a listener that is no function.
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

fn connections(then: impl FnOnce(&mut Connections)) {
    CONNECTIONS.with_borrow_mut(|slot| {
        if let Some(all) = slot {
            then(all);
        }
    });
}

fn tell_channel(peer: PeerId, event: ChannelEvent) {
    post(&ToWorker::Channel { peer, event });
}

fn post(message: &ToWorker) {
    WORKER.with(|worker| {
        if let Some(worker) = worker.get() {
            let bytes = Uint8Array::from(encode(message).as_slice()).buffer();
            // It fails only for what cannot be cloned, which bytes always can.
            let _ = worker.post_message_with_transfer(&bytes, &Array::of1(&bytes));
        }
    });
}

/// The worker that the boot script has started.
fn take_worker() -> Option<Worker> {
    let name = JsValue::from_str("bulleWorker");
    let worker = Reflect::get(&window(), &name).ok()?.dyn_into().ok()?;
    let _ = Reflect::delete_property(&window(), &name);
    Some(worker)
}

/// The invitation in the address bar, which is removed from there and from the history at once.
fn take_invitation() -> Option<Result<Invitation, wire::InviteError>> {
    let fragment = window().location().hash().ok().filter(|hash| hash.len() > 1)?;
    let path = window().location().pathname().unwrap_or_else(|_| "/".to_owned());
    let _ = history().replace_state_with_url(&JsValue::NULL, "", Some(&path));
    Some(invitation::read(&fragment, &origin()))
}

/// The plain screen of the first page's HTML; the program itself may be beyond drawing anything.
fn show_stopped() {
    show_instead("stopped");
}

fn show_instead(screen: &str) {
    for (name, hidden) in [("app", true), (screen, false)] {
        if let Some(element) = element(name) {
            element.set_hidden(hidden);
        }
    }
}

fn element(id: &str) -> Option<HtmlElement> {
    document().get_element_by_id(id)?.dyn_into().ok()
}

fn history() -> web_sys::History {
    window().history().unwrap_or_else(|_| JsValue::NULL.unchecked_into())
}

fn origin() -> String {
    window().location().origin().unwrap_or_default()
}

fn mark(name: &str) {
    if let Some(performance) = window().performance() {
        let _ = performance.mark(name);
    }
}
