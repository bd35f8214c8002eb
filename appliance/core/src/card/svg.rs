//! The card on paper: A6, a quarter of A4, which prints sharp at any size.

use super::{Card, Qr};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Width and height of A6 in millimetres.
const PAPER: (f64, f64) = (105.0, 148.0);
const MARGIN: f64 = 7.0;
/// Side of a code, its quiet zone included.
const CODE: f64 = 44.0;
/// Light modules around a code (ISO/IEC 18004 section 6.3.8).
const QUIET: usize = 4;
/// More than any card has, so that no copy is left behind by growing.
const ROOM: usize = 128 * 1024;

/// The card as a picture of lines and letters.
#[must_use]
pub fn svg(card: &Card) -> Zeroizing<String> {
    let mut sheet = Sheet { svg: Zeroizing::new(String::with_capacity(ROOM)), y: MARGIN };
    let (width, height) = PAPER;
    sheet.raw(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" viewBox=\"0 0 {width} \
         {height}\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    ));
    sheet.text(6.0, true, &card.name);
    let codes_at = sheet.y + 2.0;
    let mut left = MARGIN - 2.0;
    for (label, code) in codes(card) {
        sheet.y = codes_at;
        sheet.code(left, &code);
        sheet.at(left + 4.0, codes_at + CODE + 3.0, 3.6, true, label);
        left += CODE + 5.0;
    }
    sheet.y = codes_at + CODE + 8.0;
    if let Some(wifi) = &card.wifi {
        sheet.pair("Network", &wifi.ssid);
        sheet.pair("Key", &wifi.key);
        sheet.text(2.8, false, "Airplane mode on, then Wi-Fi on. The dashes belong to the key.");
    }
    sheet.pair("Page", &card.page);
    for page in card.pages_by_address().take(2) {
        sheet.pair("or", &page);
    }
    if let Some(invitation) = &card.invitation {
        sheet.pair("Claim code", &invitation.claim_code);
        sheet.pair("Enter it at", &card.claim_page());
        sheet.text(2.8, false, "The administrator enters it once. Until then, keep this card to yourself.");
    }
    if let Some(fingerprint) = &card.fingerprint {
        sheet.text(2.8, false, "Its certificate authority, SHA-256:");
        let digits = fingerprint.to_string();
        for half in [digits.get(..47), digits.get(48..)].into_iter().flatten() {
            sheet.mono(2.8, half);
        }
    }
    sheet.raw("</svg>\n");
    sheet.svg
}

/// The codes of a card, each with what it is for.
pub(super) fn codes(card: &Card) -> impl Iterator<Item = (&'static str, Qr)> {
    let wifi = card.wifi.as_ref().and_then(|wifi| Some(("1. Join the Wi-Fi", Qr::new(&wifi.uri()).ok()?)));
    let label = if card.wifi.is_some() { "2. Open the page" } else { "Open the page" };
    wifi.into_iter().chain(Qr::new(card.link()).ok().map(|code| (label, code)))
}

struct Sheet {
    svg: Zeroizing<String>,
    y: f64,
}

impl Sheet {
    fn raw(&mut self, text: &str) {
        self.svg.push_str(text);
    }

    fn text(&mut self, size: f64, bold: bool, text: &str) {
        self.y += size * 1.3;
        self.at(MARGIN, self.y, size, bold, text);
    }

    fn pair(&mut self, label: &str, value: &str) {
        self.y += 5.2;
        self.at(MARGIN, self.y, 3.4, false, label);
        self.line(MARGIN + 20.0, self.y, 3.6, "font-family=\"monospace\" font-weight=\"bold\"", value);
    }

    fn mono(&mut self, size: f64, text: &str) {
        self.y += size * 1.3;
        self.line(MARGIN, self.y, size, "font-family=\"monospace\"", text);
    }

    fn at(&mut self, x: f64, y: f64, size: f64, bold: bool, text: &str) {
        self.line(x, y, size, if bold { "font-weight=\"bold\"" } else { "" }, text);
    }

    fn line(&mut self, x: f64, y: f64, size: f64, style: &str, text: &str) {
        // Writing into memory cannot fail.
        let _ = write!(self.svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" {style}>");
        for c in text.chars() {
            match c {
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '&' => self.raw("&amp;"),
                c if c.is_control() => self.svg.push(' '),
                c => self.svg.push(c),
            }
        }
        self.raw("</text>\n");
    }

    fn code(&mut self, x: f64, code: &Qr) {
        let side = code.size() + 2 * QUIET;
        let scale = CODE / f64::from(u32::try_from(side).unwrap_or(u32::MAX));
        let _ = write!(
            self.svg,
            "<path transform=\"translate({x:.2} {:.2}) scale({scale:.5})\" shape-rendering=\"crispEdges\" d=\"",
            self.y
        );
        for (row, column, length) in code.runs() {
            let _ = write!(self.svg, "M{} {}h{length}v1h-{length}z", column + QUIET, row + QUIET);
        }
        self.raw("\"/>\n");
    }
}
