//! The card as plain text of 80 columns.

use super::Card;
use zeroize::Zeroizing;

/// Columns of the text.
pub(super) const COLUMNS: usize = 80;
/// More than any card has, so that no copy is left behind by growing.
const ROOM: usize = 16 * 1024;

/// The card for `JOIN.TXT`; lines end with a line feed alone.
#[must_use]
pub fn text(card: &Card) -> Zeroizing<String> {
    let mut page = Page::new(COLUMNS);
    page.line(&format!("JOIN CARD OF {}", card.name));
    page.line(&"=".repeat(COLUMNS));
    if card.invitation.is_some() {
        page.paragraph(
            "",
            "Keep this card to yourself: whoever reads it can join the bubble and take the box over. It is taken \
             away from here and from the screen once the box has been claimed.",
        );
    }
    let mut step = 0;
    let mut heading = |page: &mut Page, text: &str| {
        step += 1;
        page.line("");
        page.line(&format!("{step}. {text}"));
    };
    if let Some(wifi) = &card.wifi {
        heading(&mut page, "JOIN THE WI-FI");
        page.line(&format!("   Network     {}", wifi.ssid));
        page.secret("   Key         ", &wifi.key);
        page.paragraph(
            "   ",
            "Put the phone into airplane mode first, then switch its Wi-Fi on: so it does not look for the \
             Internet elsewhere. The dashes belong to the key.",
        );
    }
    heading(&mut page, "OPEN THE PAGE");
    page.secret("   ", card.link());
    for address in card.pages_by_address() {
        page.line(&format!("   or, where that name is not known: {address}"));
    }
    if let Some(fingerprint) = &card.fingerprint {
        heading(&mut page, "TRUST THE BOX");
        page.paragraph(
            "   ",
            &format!(
                "Its own certificate authority has this SHA-256 fingerprint; compare it before you trust it. The \
                 page without encryption, {}, explains how.",
                card.page.replacen("https://", "http://", 1)
            ),
        );
        let digits = fingerprint.to_string();
        for half in [digits.get(..47), digits.get(48..)].into_iter().flatten() {
            page.line(&format!("   {half}"));
        }
    }
    if let Some(invitation) = &card.invitation {
        heading(&mut page, "CLAIM THE BOX (its administrator, once)");
        page.secret("   Claim code  ", &invitation.claim_code);
        page.paragraph(
            "   ",
            &format!(
                "Enter it at {}. Store this card elsewhere before, for then it goes away.",
                card.claim_page()
            ),
        );
    }
    if card.remarks().next().is_some() {
        page.line("");
        page.line("WHAT THE BOX SAYS");
        for remark in card.remarks() {
            page.paragraph(" - ", remark);
        }
    }
    page.text
}

/// Lines that are not wider than so many columns.
pub(super) struct Page {
    pub(super) text: Zeroizing<String>,
    columns: usize,
}

impl Page {
    pub(super) fn new(columns: usize) -> Self {
        Self { text: Zeroizing::new(String::with_capacity(ROOM)), columns }
    }

    /// One line, without what could drive a screen.
    pub(super) fn line(&mut self, line: &str) {
        self.text.extend(line.trim_end().chars().map(plain));
        self.text.push('\n');
    }

    /// One line without a copy on the way.
    pub(super) fn secret(&mut self, label: &str, secret: &str) {
        self.text.push_str(label);
        self.text.extend(secret.chars().map(plain));
        self.text.push('\n');
    }

    /// Words, broken into lines. Further lines are indented as far as `start` goes.
    pub(super) fn paragraph(&mut self, start: &str, words: &str) {
        let indent = " ".repeat(start.chars().count());
        let mut line = start.to_owned();
        let mut empty = true;
        for word in words.split_whitespace() {
            let wider = line.chars().count() + usize::from(!empty) + word.chars().count();
            if !empty && wider > self.columns {
                self.line(&line);
                line.clone_from(&indent);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line += word;
            empty = false;
        }
        self.line(&line);
    }
}

/// A name could hold what moves the cursor.
fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
