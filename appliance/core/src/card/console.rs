//! The card on a screen of characters, as large as it is.

use super::text::{self, Page};
use super::{Card, Qr, half_blocks};
use zeroize::Zeroizing;

/// Blanks between two codes.
const GAP: usize = 2;

/// The card for a screen of `columns` and `rows`: with both codes where there is room, else with one, else with
/// none.
///
/// Lines end with a line feed alone; there is nothing but text in it.
#[must_use]
pub fn console(card: &Card, columns: usize, rows: usize) -> Zeroizing<String> {
    let wifi = card.wifi.as_ref().and_then(|wifi| Qr::new(&wifi.uri()).ok());
    let page = Qr::new(card.link()).ok();
    let width = columns.min(2 * text::COLUMNS);
    let words = |notes: usize| words(card, width, notes);
    let pictures = [
        wifi.as_ref()
            .zip(page.as_ref())
            .map(|(wifi, page)| beside(&half_blocks(wifi, false), &half_blocks(page, false))),
        wifi.as_ref().or(page.as_ref()).map(|code| half_blocks(code, false)),
    ];
    // Remarks give way first, then codes: what can be typed is always there, and so is what is wrong.
    for picture in pictures.iter().flatten() {
        for notes in [card.remarks.len(), 3, 1, 0].map(|notes| notes.max(card.urgent)) {
            let words = words(notes);
            let widest = picture.lines().map(|line| line.chars().count()).max().unwrap_or_default();
            if widest <= columns && picture.lines().count() + words.lines().count() < rows {
                let mut all = Zeroizing::new(String::with_capacity(picture.len() + words.len()));
                all.push_str(picture);
                all.push_str(&words);
                return all;
            }
        }
    }
    let all = words(card.remarks.len());
    let mut cut = Zeroizing::new(String::with_capacity(all.len()));
    for line in all.lines().take(rows.saturating_sub(1)) {
        cut.push_str(line);
        cut.push('\n');
    }
    cut
}

/// The card in few lines.
fn words(card: &Card, columns: usize, notes: usize) -> Zeroizing<String> {
    let mut page = Page::new(columns);
    page.line(&card.name);
    for remark in card.remarks().take(card.urgent) {
        page.paragraph(" ! ", remark);
    }
    if let Some(wifi) = &card.wifi {
        page.line(&format!("1. Wi-Fi (airplane mode on, then Wi-Fi on)  {}", wifi.ssid));
        page.secret("   key   ", &wifi.key);
    }
    page.line(&format!("2. Page  {}", card.page));
    if let Some(first) = card.pages_by_address().next() {
        page.line(&format!("   or    {first}"));
    }
    if let Some(invitation) = &card.invitation {
        page.line(&format!("3. Claim, for the administrator  {}", card.claim_page()));
        page.secret("   code  ", &invitation.claim_code);
    }
    if let Some(fingerprint) = &card.fingerprint {
        page.line("   Its certificate authority, SHA-256:");
        let digits = fingerprint.to_string();
        for half in [digits.get(..47), digits.get(48..)].into_iter().flatten() {
            page.line(&format!("   {half}"));
        }
    }
    for remark in card.remarks().take(notes).skip(card.urgent) {
        page.paragraph(" - ", remark);
    }
    page.text
}

/// Two pictures side by side, the first of which has lines of one width.
fn beside(left: &str, right: &str) -> Zeroizing<String> {
    let width = left.lines().next().map_or(0, |line| line.chars().count());
    let mut both = Zeroizing::new(String::with_capacity(2 * (left.len() + right.len())));
    let (mut left, mut right) = (left.lines(), right.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return both,
            (Some(line), other) => {
                both.push_str(line);
                both.extend(std::iter::repeat_n(' ', GAP));
                both.push_str(other.unwrap_or_default());
            }
            (None, Some(other)) => {
                both.extend(std::iter::repeat_n(' ', width + GAP));
                both.push_str(other);
            }
        }
        both.push('\n');
    }
}
