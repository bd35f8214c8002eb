use super::*;

const ANA: PeerId = PeerId(1);
const BEN: PeerId = PeerId(2);

fn inside() -> Model {
    let mut model = Model::default();
    model.apply(ToPage::Ready);
    model.apply(ToPage::Joined {
        pseudonym: "Me".into(),
        link: "https://bulle.internal/#x".into(),
        code: None,
    });
    model
}

fn here(model: &mut Model, peer: PeerId, name: &str) {
    model.apply(ToPage::Event(Event::PeerHere { peer, pseudonym: name.into(), since: UnixMillis(0) }));
}

fn message(model: &mut Model, peer: PeerId, id: u64, mine: bool) {
    let (id, text, at) = (MessageId(id), "hello".into(), UnixMillis(0));
    model.apply(ToPage::Event(Event::Message { peer, id, mine, text, at, order: 1 }));
}

fn delivery(model: &mut Model, id: u64, state: DeliveryState) {
    model.apply(ToPage::Event(Event::Delivery { id: MessageId(id), state }));
}

#[test]
fn joining_leads_inside() {
    let model = inside();
    assert_eq!((model.stage, model.me.expose()), (Stage::Inside, "Me"));
    assert!(!model.invitation.is_empty());
}

#[test]
fn a_refused_pseudonym_leads_back_to_the_gate_and_says_why() {
    let mut model = Model { stage: Stage::Joining, ..Model::default() };
    model.apply(ToPage::NotJoined { why: NewError::PseudonymEmpty });
    assert_eq!((model.stage, model.refused), (Stage::Gate, Some(NewError::PseudonymEmpty)));
}

#[test]
fn a_message_is_unread_until_its_conversation_is_on_a_visible_screen() {
    let mut model = inside();
    here(&mut model, ANA, "Ana");
    message(&mut model, ANA, 1, false);
    assert_eq!(model.unread(), 1);
    model.open(ANA);
    assert_eq!(model.unread(), 0);
    message(&mut model, ANA, 2, false);
    assert_eq!(model.unread(), 0);
    model.set_hidden(true);
    message(&mut model, ANA, 3, false);
    assert_eq!(model.unread(), 1);
    model.set_hidden(false);
    assert_eq!(model.unread(), 0);
}

#[test]
fn messages_of_others_are_unread_while_one_conversation_is_open() {
    let mut model = inside();
    here(&mut model, ANA, "Ana");
    here(&mut model, BEN, "Ben");
    model.open(ANA);
    message(&mut model, BEN, 1, false);
    message(&mut model, BEN, 2, false);
    assert_eq!(model.peer(BEN).unwrap().unread, 2);
    assert_eq!(model.peer(ANA).unwrap().unread, 0);
}

#[test]
fn our_messages_are_never_unread_and_their_delivery_is_followed() {
    let mut model = inside();
    here(&mut model, ANA, "Ana");
    message(&mut model, ANA, 7, true);
    assert_eq!((model.unread(), model.delivery(MessageId(7))), (0, DeliveryState::Pending));
    delivery(&mut model, 7, DeliveryState::Deposited);
    assert_eq!(model.delivery(MessageId(7)), DeliveryState::Deposited);
    delivery(&mut model, 7, DeliveryState::Delivered);
    assert_eq!(model.delivery(MessageId(7)), DeliveryState::Delivered);
}

#[test]
fn who_left_stays_only_when_something_was_written_or_they_are_on_the_screen() {
    let mut model = inside();
    here(&mut model, ANA, "Ana");
    here(&mut model, BEN, "Ben");
    message(&mut model, ANA, 1, false);
    model.open(BEN);
    model.apply(ToPage::Event(Event::PeerLeft { peer: ANA }));
    model.apply(ToPage::Event(Event::PeerLeft { peer: BEN }));
    assert_eq!((model.peers.len(), model.here()), (2, 0));
    model.close();
    assert_eq!(model.peers.keys().copied().collect::<Vec<_>>(), [ANA]);
}

#[test]
fn a_long_conversation_drops_its_oldest_messages_from_the_screen() {
    let mut model = inside();
    here(&mut model, ANA, "Ana");
    for id in 0..=MAX_MESSAGES as u64 {
        message(&mut model, ANA, id, true);
    }
    let ana = model.peer(ANA).unwrap();
    assert_eq!((ana.messages.len(), ana.cut), (MAX_MESSAGES, true));
    assert_eq!(model.deliveries.len(), MAX_MESSAGES);
    assert!(model.message(ANA, MessageId(0)).is_none());
}

#[test]
fn notices_are_bounded_and_one_of_each_kind() {
    let mut model = inside();
    for retry_s in 0..9 {
        model.tell(Tell::Notice(Notice::NodeFull { retry_s }));
    }
    assert_eq!(model.tells.len(), 1);
    for tell in [Notice::NodeRestarted, Notice::DirectoryFull, Notice::OtherVersion, Notice::InboxTakenOver] {
        model.tell(Tell::Notice(tell));
    }
    assert_eq!(model.tells.len(), MAX_NOTICES);
    let first = model.tells[0].0;
    model.close_tell(first);
    assert_eq!(model.tells.len(), MAX_NOTICES - 1);
}

#[test]
fn a_full_box_is_no_news_once_a_message_has_moved_on() {
    let mut model = inside();
    here(&mut model, ANA, "Ana");
    message(&mut model, ANA, 1, true);
    model.tell(Tell::Notice(Notice::NodeFull { retry_s: 5 }));
    model.tell(Tell::Notice(Notice::NodeRestarted));
    delivery(&mut model, 1, DeliveryState::Deposited);
    assert_eq!(
        model.tells.iter().map(|(_, tell)| tell).collect::<Vec<_>>(),
        [&Tell::Notice(Notice::NodeRestarted)]
    );
}

#[test]
fn what_was_not_taken_is_put_back_unless_something_else_was_written() {
    let mut model = inside();
    here(&mut model, ANA, "Ana");
    let refuse = |text: &str| ToPage::NotSent { peer: ANA, text: text.into(), why: CommandError::OutboxFull };
    model.apply(refuse("first"));
    model.apply(refuse("second"));
    assert_eq!(model.peer(ANA).unwrap().draft.expose(), "first");
}

#[test]
fn the_connection_to_the_box_is_followed() {
    let mut model = inside();
    for (state, link) in
        [(LinkState::Reconnect, Link::Connecting), (LinkState::Up, Link::Up), (LinkState::Down, Link::Down)]
    {
        model.apply(ToPage::Event(Event::Link(state)));
        assert_eq!(model.link, link);
    }
}
