//! A stream of frames in both directions, cut into requests whose answers may be lost: the node's side.
//!
//! The client numbers what it sends, and says with each question what it has received. A piece that comes again is
//! known by its number and not carried out again; an answer that was lost is given again, for as long as the client
//! has not confirmed it. One piece is kept, never more: the client asks for the next one only when it has this one.
//!
//! What it is not: a session. What the frames mean is the mailbox's business, how long to wait the driver's.
//! Invariant: whatever requests and answers are lost, repeated or late, each side gets every piece once, in order.

mod token;

pub use token::{Place, Token};

/// Where the two directions stand. `B` is what holds the bytes of a piece.
#[derive(Debug)]
pub struct Exchange<B> {
    /// The number of the last piece from the client.
    received: u32,
    /// The number of the last piece for the client.
    sent: u32,
    unconfirmed: Option<B>,
    /// The unconfirmed piece was given up; whether the client had it, its next question tells.
    forgotten: bool,
}

/// What a piece from the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The next one: to be carried out.
    New,
    /// The last one again, whose answer was lost.
    Repeated,
}

/// What a question asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<B> {
    /// This piece, whose answer was lost.
    Again(B),
    /// The next piece, when there is one: for [`Exchange::hand_out`].
    Next,
}

/// A number that does not follow from the ones before: the client is not in this exchange, or a request is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfStep;

impl<B: Clone> Exchange<B> {
    /// Nothing was said yet; the first piece in each direction has the number 1.
    pub const fn new() -> Self {
        Self { received: 0, sent: 0, unconfirmed: None, forgotten: false }
    }

    /// A piece with this number came.
    ///
    /// # Errors
    /// When it is neither the next one nor the last one; then nothing has changed.
    pub fn handle_piece(&mut self, number: u32) -> Result<Incoming, OutOfStep> {
        if self.received.checked_add(1) == Some(number) {
            self.received = number;
            return Ok(Incoming::New);
        }
        if number == self.received && number > 0 { Ok(Incoming::Repeated) } else { Err(OutOfStep) }
    }

    /// The client asks for more, and has everything up to the piece with this number.
    ///
    /// # Errors
    /// When it can have no such piece, or has confirmed a later one; then nothing has changed.
    pub fn handle_question(&mut self, has: u32) -> Result<Asked<B>, OutOfStep> {
        if has == self.sent {
            self.unconfirmed = None;
            self.forgotten = false;
            return Ok(Asked::Next);
        }
        if has.checked_add(1) != Some(self.sent) {
            return Err(OutOfStep);
        }
        match &self.unconfirmed {
            Some(piece) => Ok(Asked::Again(piece.clone())),
            // It never had what was given up, so the next piece takes the number.
            None if self.forgotten => {
                self.sent = has;
                self.forgotten = false;
                Ok(Asked::Next)
            }
            None => Err(OutOfStep),
        }
    }

    /// The next piece goes to the client; it is kept until it is confirmed. To be called after [`Asked::Next`] only.
    pub fn hand_out(&mut self, piece: B) {
        self.sent = self.sent.saturating_add(1);
        self.unconfirmed = Some(piece);
    }

    /// Gives up what is kept: it was purged.
    pub fn forget(&mut self) {
        self.forgotten |= self.unconfirmed.take().is_some();
    }
}

impl<B: Clone> Default for Exchange<B> {
    fn default() -> Self {
        Self::new()
    }
}

/// Body of the fuzz target; it keeps compiling because the tests play the corpus through it.
#[doc(hidden)]
pub mod fuzzing {
    /// What parses is said as it was, and a machine stays in step with whoever says these numbers.
    pub fn exchange(data: &[u8]) {
        use super::{Asked, Exchange, Incoming, Token};
        if let Some(token) = Token::parse(data) {
            assert_eq!(&**token.expose(), data);
        }
        let mut exchange = Exchange::new();
        let (mut carried_out, mut handed_out, mut confirmed) = (0, 0_u32, 0);
        for &step in data {
            let number = u32::from(step >> 2);
            match step & 3 {
                0 => match exchange.handle_piece(number) {
                    Ok(Incoming::New) => {
                        carried_out += 1;
                        assert_eq!(number, carried_out);
                    }
                    Ok(Incoming::Repeated) => assert_eq!(number, carried_out),
                    Err(_) => assert!(number != carried_out + 1),
                },
                1 | 2 => match exchange.handle_question(number) {
                    Ok(Asked::Next) => {
                        assert!(number >= confirmed && number <= handed_out);
                        confirmed = number;
                        handed_out = number + 1;
                        exchange.hand_out(handed_out);
                    }
                    Ok(Asked::Again(piece)) => assert_eq!((piece, number), (handed_out, handed_out - 1)),
                    Err(_) => assert!(number != handed_out),
                },
                _ => exchange.forget(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_comes_again_is_not_new() {
        let mut exchange = Exchange::<u8>::new();
        assert_eq!(exchange.handle_piece(0), Err(OutOfStep));
        assert_eq!(exchange.handle_piece(1), Ok(Incoming::New));
        assert_eq!(exchange.handle_piece(1), Ok(Incoming::Repeated));
        assert_eq!(exchange.handle_piece(2), Ok(Incoming::New));
        for late_or_early in [0, 1, 4, u32::MAX] {
            assert_eq!(exchange.handle_piece(late_or_early), Err(OutOfStep));
        }
        assert_eq!(exchange.handle_piece(2), Ok(Incoming::Repeated), "and nothing has changed");
    }

    #[test]
    fn an_answer_that_was_lost_is_given_again_until_it_is_confirmed() {
        let mut exchange = Exchange::new();
        assert_eq!(exchange.handle_question(0), Ok(Asked::Next));
        assert_eq!(exchange.handle_question(0), Ok(Asked::Next), "nothing was handed out");
        exchange.hand_out('a');
        assert_eq!(exchange.handle_question(0), Ok(Asked::Again('a')));
        assert_eq!(exchange.handle_question(0), Ok(Asked::Again('a')));
        assert_eq!(exchange.handle_question(1), Ok(Asked::Next));
        assert_eq!(exchange.handle_question(0), Err(OutOfStep), "late, and 'a' is gone");
        exchange.hand_out('b');
        assert_eq!(exchange.handle_question(0), Err(OutOfStep));
        assert_eq!(exchange.handle_question(3), Err(OutOfStep));
        assert_eq!(exchange.handle_question(1), Ok(Asked::Again('b')));
    }

    #[test]
    fn after_a_purge_it_goes_on_whether_or_not_the_client_had_the_last_piece() {
        for had in [false, true] {
            let mut exchange = Exchange::new();
            exchange.handle_question(0).unwrap();
            exchange.hand_out('a');
            exchange.forget();
            assert_eq!(exchange.handle_question(u32::from(had)), Ok(Asked::Next));
            exchange.hand_out('b');
            assert_eq!(exchange.handle_question(u32::from(had)), Ok(Asked::Again('b')));
            assert_eq!(exchange.handle_question(u32::from(had) + 1), Ok(Asked::Next));
        }
    }
}
