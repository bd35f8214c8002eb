//! Small things that several pages show.

use client_core::PeerId;
use leptos::prelude::*;
use leptos::{ev, html, svg};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, MouseEvent};

use super::Ui;
use crate::model::{Model, Tell};
use crate::qr::Picture;
use crate::text;

pub(super) mod icon {
    pub(in crate::page) const BACK: &str = "M15 5l-7 7 7 7";
    pub(in crate::page) const CLOSE: &str = "M6 6l12 12M18 6L6 18";
    pub(in crate::page) const SEND: &str = "M4 12l16-8-6 16-3-6zM11 14l9-10";
    pub(in crate::page) const INVITE: &str =
        "M10 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM3 21v-1a6 6 0 0 1 6-6h2M18 14v7M14.500 17.500h7";
    pub(in crate::page) const CLOCK: &str = "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2";
    pub(in crate::page) const BOX: &str = "M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8";
    pub(in crate::page) const CHECK: &str = "M2 13l5 5L18 7M12 17l1 1L23 8";
    pub(in crate::page) const CROSS: &str = "M12 8v5M12 16.500v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z";
    pub(in crate::page) const DIRECT: &str = "M4 12h16M8 8l-4 4 4 4M16 8l4 4-4 4";
    pub(in crate::page) const RELAYED: &str = "M2 12h6M16 12h6M8 8h8v8H8z";
    pub(in crate::page) const DOWN: &str = "M12 5v14M6 13l6 6 6-6";
    pub(in crate::page) const SHIELD: &str = "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4";
    pub(in crate::page) const COPY: &str = "M9 9h11v11H9zM5 15H4V4h11v1";
}

/// Leads to the page that tests this device, beside this one: the page would be forgotten.
pub(super) fn test_link() -> impl IntoView {
    html::p()
        .attr("class", "foot")
        .child(html::a().attr("href", "/check").attr("target", "_blank").child(text::TEST_PHONE))
}

/// A picture beside a word; it says nothing that the word does not say.
pub(super) fn picture(
    path: impl Fn() -> &'static str + Send + 'static,
    class: &'static str,
) -> impl IntoView {
    svg::svg()
        .attr("class", class)
        .attr("viewBox", "0 0 24 24")
        .attr("aria-hidden", "true")
        .child(svg::path().attr("d", path))
}

pub(super) fn icon(path: &'static str) -> AnyView {
    picture(move || path, "icon").into_any()
}

pub(super) fn logo(class: &'static str) -> impl IntoView {
    let circle = |class, x, y, r| svg::circle().attr("class", class).attr("cx", x).attr("cy", y).attr("r", r);
    svg::svg().attr("class", class).attr("viewBox", "0 0 64 64").attr("aria-hidden", "true").child((
        circle("logo-skin", "29", "35", "23"),
        svg::path().attr("class", "logo-shine").attr("d", "M15 34a14 14 0 0 1 12-13"),
        circle("logo-small", "52", "13", "7"),
    ))
}

/// A QR code; `label` says what it is of.
pub(super) fn draw(code: Picture, label: &'static str) -> AnyView {
    svg::svg()
        .attr("class", "qr")
        .attr("role", "img")
        .attr("aria-label", label)
        .attr("shape-rendering", "crispEdges")
        .attr("viewBox", format!("0 0 {0} {0}", code.side))
        .child(svg::path().attr("d", code.path))
        .into_any()
}

/// The first letter of a name on a colour; the colour is the number's, since two may have one name.
pub(super) fn avatar(number: u32, name: impl Fn() -> String + Send + 'static) -> impl IntoView {
    html::span().attr("class", format!("avatar c{}", number % 6)).attr("aria-hidden", "true").child(
        move || {
            name()
                .trim()
                .chars()
                .next()
                .map(|first| first.to_uppercase().collect::<String>())
                .unwrap_or_default()
        },
    )
}

/// What a button looks like and is called.
#[derive(Clone, Copy, Default)]
pub(super) struct Face {
    pub(super) class: &'static str,
    /// What tests find it by.
    pub(super) id: Option<&'static str>,
    /// What it is called where it has no words.
    pub(super) label: Option<&'static str>,
    /// A path of [`icon`], and its class.
    pub(super) picture: Option<(&'static str, &'static str)>,
    pub(super) words: &'static str,
}

/// That of a button which closes what it stands in.
pub(super) const CLOSE: Face = Face {
    class: "plain round",
    id: None,
    label: Some(text::CLOSE),
    picture: Some((icon::CLOSE, "icon")),
    words: "",
};

/// A button. All of them are of one type, since each type of its own is a kilobyte to be fetched.
pub(super) fn button(face: Face, press: impl FnMut(MouseEvent) + 'static) -> AnyView {
    let press: Box<dyn FnMut(MouseEvent)> = Box::new(press);
    html::button()
        .attr("type", "button")
        .attr("class", face.class)
        .attr("data-testid", face.id)
        .attr("aria-label", face.label)
        .on(ev::click, press)
        .child((face.picture.map(|(path, class)| picture(move || path, class).into_any()), face.words))
        .into_any()
}

/// What there is to tell, until the person closes it.
pub(super) fn notices(ui: Ui) -> impl IntoView {
    let numbers =
        move || ui.model.with(|model| model.tells.iter().map(|(number, _)| *number).collect::<Vec<_>>());
    let numbers = Memo::new(move |_| numbers());
    html::div().attr("class", "notices").attr("role", "status").child(For(ForProps::builder()
        .each(move || numbers.get())
        .key(|number| *number)
        .children(move |number| notice(ui, number))
        .build()))
}

fn notice(ui: Ui, number: u32) -> impl IntoView {
    let words = ui.model.with_untracked(|model| {
        model.tells.iter().find(|(known, _)| *known == number).map(|(_, tell)| say(model, tell))
    });
    html::div().attr("class", "notice").attr("data-testid", "notice").child((
        html::p().attr("dir", "auto").child(words.unwrap_or_default()),
        button(CLOSE, move |_| ui.model.update(|model| model.close_tell(number))),
    ))
}

fn say(model: &Model, tell: &Tell) -> String {
    match tell {
        Tell::Notice(notice) => {
            let peer = about(*notice);
            text::notice(*notice, &peer.map(|peer| name_of(model, peer)).unwrap_or_default())
        }
        Tell::NotSent(_, why) => text::not_sent(*why).to_owned(),
        Tell::AlreadyInside => text::ALREADY_INSIDE.to_owned(),
    }
}

fn about(notice: client_core::Notice) -> Option<PeerId> {
    use client_core::Notice;
    match notice {
        Notice::PeerMailboxFull { peer, .. }
        | Notice::Impersonation { peer }
        | Notice::Unreadable { peer }
        | Notice::OtherDevice { peer }
        | Notice::Missing { peer, .. } => Some(peer),
        Notice::NodeFull { .. }
        | Notice::TooFast { .. }
        | Notice::NodeRestarted
        | Notice::InboxTakenOver
        | Notice::DirectoryFull
        | Notice::OtherVersion
        | Notice::NodeMalformed
        | Notice::OtherBox
        | _ => None,
    }
}

pub(super) fn name_of(model: &Model, peer: PeerId) -> String {
    model.peer(peer).map(|known| known.name.expose().to_owned()).unwrap_or_default()
}

/// Moves the focus once the element is there, so that a keyboard or a screen reader goes on where the eye does.
pub(super) fn focus_soon(id: &'static str) {
    let focus = move || {
        if let Some(element) = super::element(id) {
            let _ = element.focus();
        }
    };
    set_timeout(focus, std::time::Duration::ZERO);
}

/// As [`focus_soon`], for the button of a person.
pub(super) fn focus_peer_soon(peer: PeerId) {
    let focus = move || {
        let found = document().query_selector(&format!("[data-peer=\"{}\"]", peer.0));
        if let Ok(Some(found)) = found
            && let Ok(found) = found.dyn_into::<HtmlElement>()
        {
            let _ = found.focus();
        }
    };
    set_timeout(focus, std::time::Duration::ZERO);
}
