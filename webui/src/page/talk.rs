//! A conversation: how messages go, what was written, and writing.

use std::time::Duration;

use client_core::{Command, CommandError, DeliveryState, MAX_TEXT, MessageId, Path, PeerId, UnixMillis};
use js_sys::Date;
use leptos::prelude::*;
use leptos::{ev, html};
use wasm_bindgen::JsValue;
use web_sys::{HtmlElement, HtmlTextAreaElement, KeyboardEvent, SubmitEvent};

use super::Ui;
use super::parts::{self, Face, icon, name_of};
use crate::model::{Message, Tell};
use crate::text;

/// The id of the field in which messages are written.
pub(super) const FIELD: &str = "write";

/// Closer to the end than this counts as being there, in CSS pixels.
const NEAR_END: i32 = 80;

/// Lines of the field before it scrolls.
const MAX_ROWS: u32 = 5;

/// What browsers report for keys that an input method takes.
const KEY_OF_INPUT_METHOD: u32 = 229;

pub(super) fn pane(ui: Ui, open: Memo<Option<PeerId>>) -> impl IntoView {
    Effect::new(move |before: Option<Option<PeerId>>| {
        let now = open.get();
        match (before.flatten(), now) {
            (Some(left), None) => parts::focus_peer_soon(left),
            (_, Some(_)) => parts::focus_soon(if has_keyboard() { FIELD } else { "talk-title" }),
            (None, None) => {}
        }
        now
    });
    move || match open.get() {
        Some(peer) => conversation(ui, peer).into_any(),
        None => html::section()
            .attr("class", "pane talk")
            .attr("aria-label", text::MESSAGES)
            .child(
                html::div()
                    .attr("class", "nobody")
                    .child((parts::logo("logo"), html::p().child(text::NOBODY_OPEN))),
            )
            .into_any(),
    }
}

fn conversation(ui: Ui, peer: PeerId) -> impl IntoView {
    let name = Memo::new(move |_| ui.model.with(|model| name_of(model, peer)));
    let end = End::new();
    let verified =
        Memo::new(move |_| ui.model.with(|model| model.peer(peer).is_some_and(|known| known.verified)));
    let shown = Memo::new(move |_| ui.model.with(|model| model.safety.is_some()));
    html::section()
        .attr("class", "pane talk")
        .attr("data-testid", "conversation")
        .attr("aria-labelledby", "talk-title")
        .on(ev::keydown, move |event: KeyboardEvent| {
            if event.key() == "Escape" && !event.is_composing() {
                ui.back();
            }
        })
        .child((
            html::header().attr("class", "bar").child((
                parts::button(
                    Face {
                        class: "plain round",
                        id: Some("back"),
                        label: Some(text::BACK),
                        picture: Some((icon::BACK, "icon turns")),
                        words: "",
                    },
                    move |_| ui.back(),
                ),
                parts::avatar(peer.0, move || name.get()),
                html::div().attr("class", "grow").child((
                    html::h2()
                        .attr("id", "talk-title")
                        .attr("tabindex", "-1")
                        .child((html::bdi().child(move || name.get()), move || {
                            verified.get().then(verified_mark)
                        })),
                    path(ui, peer),
                )),
                html::button()
                    .attr("type", "button")
                    .attr("id", "verify")
                    .attr("class", "plain round")
                    .attr("data-testid", "verify")
                    .attr("aria-label", text::VERIFY)
                    .attr("aria-expanded", move || shown.get().to_string())
                    .on(ev::click, move |_| {
                        if shown.get_untracked() {
                            ui.model.update(|model| model.safety = None);
                        } else {
                            ui.command(Command::ShowSafety { peer });
                            parts::focus_soon("safety-title");
                        }
                    })
                    .child(icon(icon::SHIELD)),
            )),
            parts::notices(ui),
            move || shown.get().then(|| safety(ui, peer, name).into_any()),
            log(ui, peer, name, end),
            html::div().attr("class", "latest").child(move || {
                (!end.at_end.get()).then(|| {
                    let picture = Some((icon::DOWN, "icon"));
                    let face = Face { picture, words: text::LATEST, ..Face::default() };
                    parts::button(face, move |_| end.go())
                })
            }),
            composer(ui, peer, end),
        ))
}

fn verified_mark() -> AnyView {
    html::span()
        .attr("class", "verified")
        .attr("data-testid", "verified")
        .child((parts::picture(|| icon::SHIELD, "icon small"), html::span().child(text::VERIFIED)))
        .into_any()
}

/// The number to compare, with what the person found.
fn safety(ui: Ui, peer: PeerId, name: Memo<String>) -> impl IntoView {
    let (number, code) = ui.model.with_untracked(|model| {
        let shown = model.safety.as_ref();
        let number = shown.map(|safety| safety.number.expose().to_owned()).unwrap_or_default();
        (number, shown.and_then(|safety| safety.code.clone()))
    });
    let found = move |same| {
        ui.command(Command::Verify { peer, same });
        parts::focus_soon("verify");
    };
    parts::focus_soon("safety-title");
    html::section().attr("class", "card safety").attr("aria-labelledby", "safety-title").child((
        html::h2().attr("id", "safety-title").attr("tabindex", "-1").child(text::SAFETY),
        html::p().attr("class", "soft").child(move || text::safety(&name.get())),
        html::p()
            .attr("class", "digits")
            .attr("dir", "ltr")
            .attr("data-testid", "safety-number")
            .child(number),
        code.map(|code| parts::draw(code, text::SAFETY_QR)),
        html::div().attr("class", "actions").child((
            parts::button(
                Face { class: "main", id: Some("safety-same"), words: text::SAME, ..Face::default() },
                move |_| found(true),
            ),
            parts::button(
                Face { id: Some("safety-different"), words: text::DIFFERENT, ..Face::default() },
                move |_| found(false),
            ),
        )),
    ))
}

fn path(ui: Ui, peer: PeerId) -> impl IntoView {
    let path =
        Memo::new(move |_| ui.model.with(|model| model.peer(peer).map_or(Path::None, |known| known.path)));
    let drawn = move || match path.get() {
        Path::Direct => icon::DIRECT,
        Path::Relayed => icon::RELAYED,
        Path::Mailbox | Path::Broadcast => icon::BOX,
        Path::None => icon::CLOCK,
    };
    html::p()
        .attr("class", "path")
        .attr("role", "status")
        .attr("data-testid", "path")
        .attr("data-path", move || match path.get() {
            Path::Direct => "direct",
            Path::Relayed => "relayed",
            Path::Mailbox => "mailbox",
            Path::Broadcast => "broadcast",
            Path::None => "none",
        })
        .child((parts::picture(drawn, "icon small"), html::span().child(move || text::path(path.get()))))
}

fn log(ui: Ui, peer: PeerId, name: Memo<String>, end: End) -> impl IntoView {
    let ids = Memo::new(move |_| {
        ui.model.with(|model| {
            model.peer(peer).map(|known| known.messages.iter().map(|message| message.id).collect::<Vec<_>>())
        })
    });
    let cut = Memo::new(move |_| ui.model.with(|model| model.peer(peer).is_some_and(|known| known.cut)));
    let empty = Memo::new(move |_| ids.with(|ids| ids.as_ref().is_none_or(Vec::is_empty)));
    Effect::new(move |_| {
        ids.track();
        end.follow();
    });
    html::div()
        .node_ref(end.place)
        .attr("class", "log")
        .attr("role", "log")
        .attr("aria-live", "polite")
        .attr("aria-relevant", "additions")
        .attr("aria-label", text::MESSAGES)
        .attr("tabindex", "0")
        .on(ev::scroll, move |_| end.look())
        .child((
            move || cut.get().then(|| html::p().attr("class", "lone").child(text::CUT).into_any()),
            move || {
                empty.get().then(|| {
                    html::p()
                        .attr("class", "lone")
                        .attr("dir", "auto")
                        .child(text::first(&name.get()))
                        .into_any()
                })
            },
            html::ol().child(For(ForProps::builder()
                .each(move || ids.get().unwrap_or_default())
                .key(|id| *id)
                .children(move |id| message(ui, peer, id))
                .build())),
        ))
}

fn message(ui: Ui, peer: PeerId, id: MessageId) -> impl IntoView {
    let found = ui.model.with_untracked(|model| model.message(peer, id).cloned());
    found.map(|Message { mine, text: written, at, .. }| {
        let state = move || ui.model.with(|model| model.delivery(id));
        let name = move || if mine { delivery_name(state()) } else { "delivered" };
        html::li()
            .attr("class", if mine { "message mine" } else { "message theirs" })
            .attr("data-testid", "message")
            .attr("data-mine", if mine { "true" } else { "false" })
            .attr("data-delivery", name)
            .child((
                html::span().attr("class", "sr").child(if mine { text::MINE } else { text::THEIRS }),
                html::p()
                    .attr("class", "text")
                    .attr("dir", "auto")
                    .attr("data-testid", "message-text")
                    .child(written.expose().to_owned()),
                html::p().attr("class", "meta").attr("aria-live", "off").child((
                    html::span().child(clock(at)),
                    mine.then(|| delivery(Memo::new(move |_| state())).into_any()),
                )),
            ))
            .into_any()
    })
}

fn delivery(state: Memo<DeliveryState>) -> impl IntoView {
    let drawn = move || match state.get() {
        DeliveryState::Pending => icon::CLOCK,
        DeliveryState::Deposited => icon::BOX,
        DeliveryState::Delivered => icon::CHECK,
        DeliveryState::Failed { .. } => icon::CROSS,
    };
    html::span()
        .attr("class", "delivery")
        .child((parts::picture(drawn, "icon small"), html::span().child(move || text::delivery(state.get()))))
}

const fn delivery_name(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Deposited => "deposited",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed { .. } => "failed",
    }
}

fn clock(at: UnixMillis) -> String {
    let date = Date::new(&JsValue::from_f64(at.0 as f64));
    format!("{:02}:{:02}", date.get_hours(), date.get_minutes())
}

fn composer(ui: Ui, peer: PeerId, end: End) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    let draft = ui.model.with_untracked(|model| {
        model.peer(peer).map(|known| known.draft.expose().to_owned()).unwrap_or_default()
    });
    let send = move || {
        let Some(field) = field.get_untracked() else { return };
        let field: HtmlTextAreaElement = field;
        let written = field.value();
        if written.trim().is_empty() {
            return;
        }
        if written.len() > MAX_TEXT {
            return ui.model.update(|model| model.tell(Tell::NotSent(peer, CommandError::TextTooLong)));
        }
        field.set_value("");
        fit(&field);
        ui.keep_draft(peer, "");
        end.pin();
        ui.command(Command::Send { peer, text: written.trim_end().into() });
    };
    html::form()
        .attr("class", "composer")
        .on(ev::submit, move |event: SubmitEvent| {
            event.prevent_default();
            send();
        })
        .child((
            html::div().attr("class", "field").child((
                html::label().attr("class", "sr").attr("for", FIELD).child(text::MESSAGE),
                html::textarea()
                    .node_ref(field)
                    .attr("id", FIELD)
                    .attr("data-testid", "message-input")
                    .attr("rows", "1")
                    .attr("dir", "auto")
                    .attr("placeholder", text::MESSAGE)
                    .attr("enterkeyhint", "send")
                    .attr("autocomplete", "off")
                    .attr("aria-describedby", "keys")
                    .prop("value", draft)
                    .on(ev::input, move |_| {
                        if let Some(field) = field.get_untracked() {
                            ui.keep_draft(peer, &field.value());
                            fit(&field);
                        }
                    })
                    .on(ev::keydown, move |event: KeyboardEvent| {
                        // While an input method composes, Enter chooses a word and ends nothing.
                        let composing = event.is_composing() || event.key_code() == KEY_OF_INPUT_METHOD;
                        if event.key() == "Enter" && !event.shift_key() && !composing {
                            event.prevent_default();
                            send();
                        }
                    }),
                html::p().attr("class", "hint").attr("id", "keys").child(text::KEYS),
            )),
            html::button()
                .attr("type", "submit")
                .attr("class", "main round")
                .attr("data-testid", "send")
                .attr("aria-label", text::SEND)
                .child(parts::picture(|| icon::SEND, "icon turns")),
        ))
}

/// Makes the field as high as what is written in it, where the style sheet cannot.
fn fit(field: &HtmlTextAreaElement) {
    field.set_rows(1);
    while field.rows() < MAX_ROWS && field.scroll_height() > field.client_height() {
        field.set_rows(field.rows() + 1);
    }
}

/// The end of the log, which the screen follows unless the person has scrolled away from it.
#[derive(Clone, Copy)]
struct End {
    place: NodeRef<html::Div>,
    at_end: RwSignal<bool>,
}

impl End {
    fn new() -> Self {
        Self { place: NodeRef::new(), at_end: RwSignal::new(true) }
    }

    fn look(self) {
        if let Some(place) = self.place.get_untracked() {
            let below = place.scroll_height() - place.scroll_top() - place.client_height();
            let at_end = below < NEAR_END;
            if at_end != self.at_end.get_untracked() {
                self.at_end.set(at_end);
            }
        }
    }

    fn pin(self) {
        self.at_end.set(true);
    }

    fn go(self) {
        self.pin();
        self.follow();
    }

    /// After the messages are drawn.
    fn follow(self) {
        let scroll = move || {
            if self.at_end.get_untracked()
                && let Some(place) = self.place.get_untracked()
            {
                let place: &HtmlElement = &place;
                place.set_scroll_top(place.scroll_height());
            }
        };
        set_timeout(scroll, Duration::ZERO);
    }
}

/// On a touch screen, focus would call up the keyboard and hide what was written.
fn has_keyboard() -> bool {
    window().match_media("(hover: hover)").ok().flatten().is_some_and(|query| query.matches())
}
