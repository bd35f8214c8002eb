//! Getting in: an invitation, or a new bubble, and a pseudonym.

use leptos::prelude::*;
use leptos::{ev, html};
use web_sys::{HtmlInputElement, SubmitEvent};
use wire::Invite;

use super::parts::{self, Face};
use super::{Ui, origin};
use crate::invitation::{self, Invitation};
use crate::model::Stage;
use crate::text;

/// How the person wants to get in.
#[derive(Clone, PartialEq, Eq)]
enum Way {
    /// By a link that they paste.
    Link,
    /// By the invitation that they opened.
    Invited(Invite),
    /// By starting a bubble.
    New,
}

#[derive(Clone, Copy)]
struct Form {
    ui: Ui,
    way: RwSignal<Way>,
    link: NodeRef<html::Input>,
    name: NodeRef<html::Input>,
    broadcast: NodeRef<html::Input>,
    link_error: RwSignal<Option<&'static str>>,
    name_error: RwSignal<Option<&'static str>>,
    /// An invitation for another address, to be asked about.
    elsewhere: RwSignal<Option<Invitation>>,
}

pub(super) fn gate(ui: Ui) -> impl IntoView {
    let form = Form {
        ui,
        way: RwSignal::new(Way::Link),
        link: NodeRef::new(),
        name: NodeRef::new(),
        broadcast: NodeRef::new(),
        link_error: RwSignal::new(None),
        name_error: RwSignal::new(None),
        elsewhere: RwSignal::new(None),
    };
    Effect::new(move |_| match ui.invitation.get() {
        Some(Ok(invitation)) => {
            form.link_error.set(None);
            form.way.set(Way::Invited(invitation.invite));
            parts::focus_soon("pseudonym");
        }
        Some(Err(why)) => form.link_error.set(Some(text::invitation(why))),
        None => {}
    });
    Effect::new(move |_| {
        if let Some(why) = ui.model.with(|model| model.refused) {
            form.name_error.set(Some(text::join(why)));
        }
    });
    frame((
        html::section().attr("class", "card").attr("aria-labelledby", "gate-title").child(form.view()),
        html::p().attr("class", "foot").child(text::FORGETS),
    ))
}

/// What is shown after leaving.
pub(super) fn left() -> impl IntoView {
    parts::focus_soon("gate-title");
    frame(html::section().attr("class", "card stack").child((
        html::h2().attr("id", "gate-title").attr("tabindex", "-1").child(text::LEFT),
        html::p().child(text::LEFT_TEXT),
        html::p().child(html::a().attr("class", "button wide").attr("href", "/").child(text::AGAIN)),
    )))
}

fn frame(content: impl IntoView + 'static) -> impl IntoView {
    html::main().attr("class", "gate").child((
        html::div().attr("class", "brand").child((
            parts::logo("logo"),
            html::h1().child(text::NAME),
            html::p().attr("class", "tagline").child(text::TAGLINE),
        )),
        content.into_any(),
        parts::test_link(),
    ))
}

impl Form {
    fn view(self) -> impl IntoView {
        let by_link = Memo::new(move |_| self.way.get() == Way::Link);
        let title = move || match self.way.get() {
            Way::Link => text::ENTER,
            Way::Invited(_) => text::INVITED,
            Way::New => text::NEW_BUBBLE,
        };
        html::form()
            .attr("class", "stack")
            .attr("novalidate", true)
            .attr("autocomplete", "off")
            .on(ev::submit, move |event: SubmitEvent| {
                event.prevent_default();
                self.submit();
            })
            .child((
                html::h2().attr("id", "gate-title").child(title),
                move || by_link.get().then(|| self.link_field().into_any()),
                self.name_field(),
                move || (self.way.get() == Way::New).then(|| self.broadcast_field().into_any()),
                move || self.elsewhere.get().map(|there| self.ask_elsewhere(there).into_any()),
                self.join_button(),
                move || self.other_way(by_link.get()),
            ))
    }

    fn link_field(self) -> impl IntoView {
        html::div().child((
            html::label().attr("for", "join-link").child(text::LINK_LABEL),
            html::input()
                .node_ref(self.link)
                .attr("id", "join-link")
                .attr("data-testid", "join-link")
                .attr("type", "text")
                .attr("inputmode", "url")
                .attr("autocapitalize", "none")
                .attr("autocomplete", "off")
                .attr("spellcheck", "false")
                .attr("dir", "ltr")
                .attr("placeholder", "https://…")
                .attr("aria-describedby", "join-link-hint")
                .attr("aria-invalid", move || self.link_error.get().map(|_| "true"))
                .on(ev::input, move |_| {
                    self.link_error.set(None);
                    self.elsewhere.set(None);
                }),
            html::div()
                .attr("id", "join-link-hint")
                .child((html::p().attr("class", "hint").child(text::LINK_HINT), complaint(self.link_error))),
        ))
    }

    fn name_field(self) -> impl IntoView {
        html::div().child((
            html::label().attr("for", "pseudonym").child(text::PSEUDONYM_LABEL),
            html::input()
                .node_ref(self.name)
                .attr("id", "pseudonym")
                .attr("data-testid", "pseudonym")
                .attr("type", "text")
                .attr("dir", "auto")
                .attr("autocomplete", "off")
                .attr("spellcheck", "false")
                .attr("enterkeyhint", "go")
                .attr("aria-describedby", "pseudonym-hint")
                .attr("aria-invalid", move || self.name_error.get().map(|_| "true"))
                .on(ev::input, move |_| self.name_error.set(None)),
            html::div().attr("id", "pseudonym-hint").child((
                html::p().attr("class", "hint").child(text::PSEUDONYM_HINT),
                complaint(self.name_error),
            )),
        ))
    }

    fn broadcast_field(self) -> impl IntoView {
        html::div().attr("class", "choice").child((
            html::input()
                .node_ref(self.broadcast)
                .attr("id", "broadcast")
                .attr("data-testid", "broadcast")
                .attr("type", "checkbox")
                .attr("aria-describedby", "broadcast-hint"),
            html::div().child((
                html::label().attr("for", "broadcast").child(text::BROADCAST),
                html::p().attr("id", "broadcast-hint").attr("class", "hint").child(text::BROADCAST_HINT),
            )),
        ))
    }

    fn join_button(self) -> impl IntoView {
        let joining = Memo::new(move |_| self.ui.model.with(|model| model.stage == Stage::Joining));
        let words = move || match (joining.get(), self.way.get()) {
            (true, _) => text::JOINING,
            (false, Way::New) => text::CREATE,
            (false, Way::Link | Way::Invited(_)) => text::JOIN,
        };
        html::button()
            .attr("type", "submit")
            .attr("class", "main")
            .attr("data-testid", "join")
            .attr("aria-disabled", move || joining.get().then_some("true"))
            .child(words)
    }

    fn other_way(self, by_link: bool) -> AnyView {
        if by_link {
            let face =
                Face { class: "wide", id: Some("start-bubble"), words: text::START, ..Face::default() };
            let start = parts::button(face, move |_| self.start());
            (html::p().attr("class", "or").child(text::OR), start).into_any()
        } else {
            html::button()
                .attr("type", "button")
                .attr("class", "plain wide")
                .on(ev::click, move |_| {
                    self.way.set(Way::Link);
                    parts::focus_soon("join-link");
                })
                .child(move || match self.way.get() {
                    Way::Invited(_) => text::OTHER_LINK,
                    Way::New | Way::Link => text::BACK_TO_LINK,
                })
                .into_any()
        }
    }

    fn ask_elsewhere(self, there: Invitation) -> impl IntoView {
        let origin = there.elsewhere.unwrap_or_default();
        let link = invitation::link(&origin, &there.invite);
        let invite = there.invite;
        let wide = |words| Face { class: "wide", words, ..Face::default() };
        html::div().attr("role", "alert").attr("class", "stack").child((
            html::p().attr("class", "error").child(text::elsewhere(&origin)),
            parts::button(wide(text::GO_THERE), move |_| {
                let _ = window().location().assign(&link);
            }),
            parts::button(wide(text::USE_HERE), move |_| {
                self.elsewhere.set(None);
                self.way.set(Way::Invited(invite.clone()));
                self.submit();
            }),
        ))
    }

    /// A new bubble, after asking what kind.
    fn start(self) {
        self.link_error.set(None);
        self.elsewhere.set(None);
        self.way.set(Way::New);
        parts::focus_soon(if value(self.name).trim().is_empty() { "pseudonym" } else { "broadcast" });
    }

    fn submit(self) {
        if self.ui.model.with_untracked(|model| model.stage == Stage::Joining) {
            return;
        }
        let invite = match self.way.get_untracked() {
            Way::New => None,
            Way::Invited(invite) => Some(invite),
            Way::Link => match invitation::read(&value(self.link), &origin()) {
                Ok(found) if found.elsewhere.is_some() => return self.elsewhere.set(Some(found)),
                Ok(found) => Some(found.invite),
                Err(why) => {
                    self.link_error.set(Some(text::invitation(why)));
                    return parts::focus_soon("join-link");
                }
            },
        };
        let name = value(self.name);
        if name.trim().is_empty() {
            self.name_error.set(Some(text::join(client_core::NewError::PseudonymEmpty)));
            return parts::focus_soon("pseudonym");
        }
        let broadcast = self.broadcast.get_untracked().is_some_and(|field: HtmlInputElement| field.checked());
        self.ui.join(&name, invite, broadcast);
    }
}

fn complaint(of: RwSignal<Option<&'static str>>) -> impl IntoView {
    html::div()
        .attr("role", "alert")
        .child(move || of.get().map(|words| html::p().attr("class", "error").child(words).into_any()))
}

fn value(field: NodeRef<html::Input>) -> String {
    field.get_untracked().map(|field: HtmlInputElement| field.value()).unwrap_or_default()
}
