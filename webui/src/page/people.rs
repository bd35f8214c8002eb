//! Who is here, how things stand with the box, and how to invite others.

use client_core::PeerId;
use leptos::prelude::*;
use leptos::{ev, html};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::HtmlInputElement;

use super::Ui;
use super::parts::{self, Face, icon, name_of};
use crate::model::{Link, Model};
use crate::text;

pub(super) fn pane(ui: Ui, open: Memo<Option<PeerId>>) -> impl IntoView {
    let inviting = RwSignal::new(false);
    let alone = Memo::new(move |_| ui.model.with(|model| model.peers.is_empty()));
    let invite = move || {
        inviting.set(true);
        parts::focus_soon("invite-title");
    };
    html::section().attr("class", "pane people").attr("aria-labelledby", "people-title").child((
        html::header().attr("class", "bar").child((
            parts::logo("logo tiny"),
            html::div().attr("class", "grow").child((
                html::p().attr("class", "name").attr("aria-hidden", "true").child(text::NAME),
                link(ui),
            )),
            parts::button(
                Face {
                    id: Some("invite"),
                    picture: Some((icon::INVITE, "icon")),
                    words: text::INVITE,
                    ..Face::default()
                },
                move |_| invite(),
            ),
        )),
        html::div().attr("class", "scroll").child((
            parts::notices(ui),
            myself(ui),
            waiting(ui),
            list(ui, open, alone),
            move || (inviting.get() || alone.get()).then(|| invitation_card(ui, inviting).into_any()),
            farewell(ui),
        )),
    ))
}

fn link(ui: Ui) -> impl IntoView {
    let link = Memo::new(move |_| ui.model.with(|model| model.link));
    html::p()
        .attr("class", "pill")
        .attr("role", "status")
        .attr("data-testid", "link")
        .attr("data-link", move || match link.get() {
            Link::Up => "up",
            Link::Connecting => "connecting",
            Link::Down => "down",
        })
        .child((
            html::span().attr("class", "dot").attr("aria-hidden", "true"),
            html::span().child(move || text::link(link.get())),
        ))
}

fn myself(ui: Ui) -> impl IntoView {
    let me = ui.model.with_untracked(|model| model.me.expose().to_owned());
    let name = me.clone();
    html::div().attr("class", "self").child((
        parts::avatar(0, move || name.clone()),
        html::p().attr("class", "grow").child((
            html::strong().attr("data-testid", "me").child(html::bdi().child(me)),
            html::span().attr("class", "soft").child(text::YOU),
        )),
    ))
}

/// Only after a moment: most messages arrive before anybody could read this.
fn waiting(ui: Ui) -> impl IntoView {
    let unsent = Memo::new(move |_| ui.model.with(|model| model.unsent));
    let any = Memo::new(move |_| unsent.get() > 0);
    move || {
        any.get().then(|| {
            html::p()
                .attr("class", "waiting")
                .child((icon(icon::CLOCK), html::span().child(move || text::waiting(unsent.get()))))
                .into_any()
        })
    }
}

fn list(ui: Ui, open: Memo<Option<PeerId>>, alone: Memo<bool>) -> impl IntoView {
    // Who is here comes first, and each keeps their place otherwise.
    let order = Memo::new(move |_| {
        ui.model.with(|model| {
            let mut order: Vec<_> = model.peers.iter().map(|(id, peer)| (!peer.here, *id)).collect();
            order.sort_unstable();
            order
        })
    });
    let here = Memo::new(move |_| ui.model.with(Model::here));
    let up = Memo::new(move |_| ui.model.with(|model| model.link == Link::Up));
    html::div().child((
        html::h2().attr("id", "people-title").attr("tabindex", "-1").child((text::PEOPLE, move || {
            (here.get() > 0).then(|| html::span().attr("class", "count").child(here.get()).into_any())
        })),
        move || {
            alone.get().then(|| {
                html::div()
                    .attr("class", "empty soft")
                    .child((
                        html::p().child(html::strong().child(text::ALONE)),
                        html::p()
                            .child(move || if up.get() { text::ALONE_TEXT } else { text::ALONE_OFFLINE }),
                    ))
                    .into_any()
            })
        },
        html::ul().attr("class", "list").child(For(ForProps::builder()
            .each(move || order.get())
            .key(|(_, id)| *id)
            .children(move |(_, id)| person(ui, open, id))
            .build())),
    ))
}

fn person(ui: Ui, open: Memo<Option<PeerId>>, id: PeerId) -> impl IntoView {
    let name = Memo::new(move |_| ui.model.with(|model| name_of(model, id)));
    let here = Memo::new(move |_| ui.model.with(|model| model.peer(id).is_some_and(|peer| peer.here)));
    let unread = Memo::new(move |_| ui.model.with(|model| model.peer(id).map_or(0, |peer| peer.unread)));
    html::li().attr("class", move || if here.get() { "" } else { "gone" }).child(
        html::button()
            .attr("type", "button")
            .attr("data-testid", "peer")
            .attr("data-peer", id.0.to_string())
            .attr("data-unread", move || unread.get().to_string())
            .attr("aria-current", move || (open.get() == Some(id)).then_some("true"))
            .on(ev::click, move |_| ui.open(id))
            .child((
                parts::avatar(id.0, move || name.get()),
                html::span().attr("class", "who").child((
                    html::strong().child(html::bdi().child(move || name.get())),
                    html::span().attr("class", "soft").child(move || match (unread.get(), here.get()) {
                        (0, true) => text::HERE.to_owned(),
                        (0, false) => text::GONE.to_owned(),
                        (count, _) => text::unread(count),
                    }),
                )),
                move || {
                    let count = unread.get();
                    (count > 0).then(|| {
                        html::span()
                            .attr("class", "badge")
                            .attr("aria-hidden", "true")
                            .child(count)
                            .into_any()
                    })
                },
            )),
    )
}

fn invitation_card(ui: Ui, inviting: RwSignal<bool>) -> impl IntoView {
    let (link, code) =
        ui.model.with_untracked(|model| (model.invitation.expose().to_owned(), model.code.clone()));
    let field = NodeRef::<html::Input>::new();
    let copied = RwSignal::new("");
    let copying = link.clone();
    html::section().attr("class", "card invite").attr("aria-labelledby", "invite-title").child((
        html::div().attr("class", "head").child((
            html::h2().attr("id", "invite-title").attr("tabindex", "-1").child(text::INVITE_TITLE),
            move || inviting.get().then(|| parts::button(parts::CLOSE, move |_| inviting.set(false))),
        )),
        html::p().attr("class", "soft").child(text::INVITE_TEXT),
        code.map(|code| parts::draw(code, text::QR)),
        html::div().child((
            html::label().attr("for", "invite-link").child(text::INVITE_LINK),
            html::div().attr("class", "copy").child((
                html::input()
                    .node_ref(field)
                    .attr("id", "invite-link")
                    .attr("data-testid", "invite-link")
                    .attr("type", "text")
                    .attr("readonly", true)
                    .attr("dir", "ltr")
                    .attr("value", link)
                    .on(ev::focus, move |_| select(field)),
                parts::button(
                    Face { picture: Some((icon::COPY, "icon")), words: text::COPY, ..Face::default() },
                    move |_| copy(copying.clone(), field, copied),
                ),
            )),
            html::p().attr("class", "hint").attr("role", "status").child(move || copied.get()),
        )),
    ))
}

fn select(field: NodeRef<html::Input>) {
    if let Some(field) = field.get_untracked() {
        let field: HtmlInputElement = field;
        field.select();
    }
}

fn copy(link: String, field: NodeRef<html::Input>, copied: RwSignal<&'static str>) {
    select(field);
    spawn_local(async move {
        let written = JsFuture::from(window().navigator().clipboard().write_text(&link)).await;
        copied.set(if written.is_ok() { text::COPIED } else { text::COPY_FAILED });
    });
}

fn farewell(ui: Ui) -> impl IntoView {
    let asked = RwSignal::new(false);
    let face = |class, words| Face { class, words, ..Face::default() };
    html::div().attr("class", "farewell stack").child((
        html::p().attr("class", "soft").child(text::FORGETS),
        parts::test_link(),
        move || {
            if asked.get() {
                parts::focus_soon("leave-sure");
                html::div()
                    .attr("class", "stack")
                    .child((
                        html::p().attr("id", "leave-sure").attr("tabindex", "-1").child(text::LEAVE_SURE),
                        html::div().attr("class", "copy").child((
                            parts::button(face("", text::LEAVE_YES), move |_| ui.leave()),
                            parts::button(face("main", text::LEAVE_NO), move |_| asked.set(false)),
                        )),
                    ))
                    .into_any()
            } else {
                parts::button(face("plain", text::LEAVE), move |_| asked.set(true))
            }
        },
    ))
}
