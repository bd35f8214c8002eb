//! The whole screen: the gate, or the people with the conversation beside them.
//!
//! Elements are made by calls and never from HTML text: the page's Trusted Types policy allows none, and the
//! build fails when the program could set `innerHTML`. So no `view!`, which does that for what never changes.

use leptos::html;
use leptos::prelude::*;

use super::{Ui, gate, parts, people, talk};
use crate::model::{Model, Stage};
use crate::text;

pub(super) fn root(ui: Ui) -> impl IntoView {
    let stage = Memo::new(move |_| ui.model.with(|model| model.stage));
    Effect::new(move |_| {
        let unread = ui.model.with(Model::unread);
        // A number and nothing else: titles are seen by others, and kept in histories.
        let title = if unread == 0 { text::NAME.to_owned() } else { format!("({unread}) {}", text::NAME) };
        document().set_title(&title);
    });
    let inside = Memo::new(move |_| stage.get() == Stage::Inside);
    let left = Memo::new(move |_| stage.get() == Stage::Left);
    move || match (inside.get(), left.get()) {
        (true, _) => shell(ui).into_any(),
        (false, true) => gate::left().into_any(),
        (false, false) => gate::gate(ui).into_any(),
    }
}

fn shell(ui: Ui) -> impl IntoView {
    let open = Memo::new(move |_| ui.model.with(|model| model.open));
    parts::focus_soon("people-title");
    html::main()
        .attr("class", "shell")
        .attr("data-view", move || if open.get().is_some() { "talk" } else { "home" })
        .child((
            html::h1().attr("class", "sr").child(text::NAME),
            people::pane(ui, open),
            talk::pane(ui, open),
        ))
}
