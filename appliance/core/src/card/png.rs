//! The card as a picture of black and white points, for whoever opens pictures only.
//!
//! Written by hand, since it is little: one bit per point, and blocks that are stored and not compressed
//! (PNG third edition; RFC 1950; RFC 1951 section 3.2.4). A card has some fifty KiB.

use super::font;
use super::svg::codes;
use super::{Card, Qr};
use zeroize::Zeroizing;

/// Points on a line.
const WIDTH: usize = 720;
const MARGIN: usize = 24;
/// Points of a module of a QR code.
const MODULE: usize = 7;
/// Light modules around a code.
const QUIET: usize = 4;
/// Points of a point of a letter.
const LETTER: usize = 2;
/// Largest stored block, RFC 1951 section 3.2.4.
const LARGEST_BLOCK: usize = 0xffff;

/// The card as the bytes of a PNG file.
#[must_use]
pub fn png(card: &Card) -> Zeroizing<Vec<u8>> {
    let mut canvas = Canvas { rows: Vec::new() };
    let mut y = canvas.words(MARGIN, MARGIN, 2 * LETTER, &card.name);
    let (mut x, mut below) = (MARGIN, y);
    for (label, code) in codes(card) {
        let side = (code.size() + 2 * QUIET) * MODULE;
        if x + side > WIDTH {
            (x, y) = (MARGIN, below);
        }
        canvas.code(x, y, &code);
        below = below.max(canvas.words(x + QUIET * MODULE, y + side - MODULE, LETTER, label));
        x += side + MODULE;
    }
    y = below + 2 * font::HEIGHT;
    let mut line = |text: &str| y = canvas.words(MARGIN, y, LETTER, text);
    if let Some(wifi) = &card.wifi {
        line("Network");
        line(&wifi.ssid);
        line("Key");
        line(&wifi.key);
    }
    line("Page");
    line(&card.page);
    for page in card.pages_by_address().take(2) {
        line(&page);
    }
    if let Some(invitation) = &card.invitation {
        line("Claim code for the administrator");
        line(&invitation.claim_code);
        line(&card.claim_page());
    }
    if let Some(fingerprint) = &card.fingerprint {
        line("Certificate authority, SHA-256");
        let digits = fingerprint.to_string();
        for half in [digits.get(..47), digits.get(48..)].into_iter().flatten() {
            line(half);
        }
    }
    canvas.grow(y + MARGIN);
    encode(&canvas.rows)
}

/// Rows of bits; a set bit is white.
struct Canvas {
    rows: Vec<Zeroizing<[u8; WIDTH / 8]>>,
}

impl Canvas {
    fn grow(&mut self, height: usize) {
        while self.rows.len() < height {
            self.rows.push(Zeroizing::new([0xff; WIDTH / 8]));
        }
    }

    /// A black square with its corner there.
    fn dot(&mut self, x: usize, y: usize, side: usize) {
        self.grow(y + side);
        for row in self.rows.iter_mut().skip(y).take(side) {
            for x in x..x + side {
                if let Some(byte) = row.get_mut(x / 8) {
                    *byte &= !(0x80 >> (x % 8));
                }
            }
        }
    }

    fn code(&mut self, x: usize, y: usize, code: &Qr) {
        for (row, column, length) in code.runs() {
            for column in column..column + length {
                self.dot(x + (column + QUIET) * MODULE, y + (row + QUIET) * MODULE, MODULE);
            }
        }
    }

    /// Letters from there, and where the next line begins. What does not fit goes to further lines.
    fn words(&mut self, x: usize, y: usize, scale: usize, text: &str) -> usize {
        let advance = (font::WIDTH + 1) * scale;
        let fit = ((WIDTH - MARGIN).saturating_sub(x) / advance).max(1);
        let next = (font::HEIGHT + 3) * scale;
        let mut lines = 1;
        for (at, c) in text.chars().enumerate() {
            lines = lines.max(at / fit + 1);
            for (row, column) in font::points(c) {
                self.dot(x + at % fit * advance + column * scale, y + at / fit * next + row * scale, scale);
            }
        }
        y + lines * next
    }
}

fn encode(rows: &[Zeroizing<[u8; WIDTH / 8]>]) -> Zeroizing<Vec<u8>> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    // Each row begins with its filter: none.
    let mut raw = Zeroizing::new(Vec::with_capacity(rows.len() * (1 + WIDTH / 8)));
    for row in rows {
        raw.push(0);
        raw.extend(row.iter());
    }
    let mut file = Zeroizing::new(Vec::with_capacity(raw.len() + raw.len() / LARGEST_BLOCK * 5 + 128));
    file.extend(b"\x89PNG\r\n\x1a\n");
    let mut header = Vec::with_capacity(13);
    header.extend(length(WIDTH).to_be_bytes());
    header.extend(length(rows.len()).to_be_bytes());
    // One bit, grey; the only methods there are; not interlaced.
    header.extend([1, 0, 0, 0, 0]);
    chunk(*b"IHDR", &header, &mut file);
    let mut data = Zeroizing::new(Vec::with_capacity(raw.len() + raw.len() / LARGEST_BLOCK * 5 + 16));
    data.extend([0x78, 0x01]);
    let mut blocks = raw.chunks(LARGEST_BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let size = u16::try_from(block.len()).unwrap_or(u16::MAX);
        data.push(u8::from(blocks.peek().is_none()));
        data.extend(size.to_le_bytes());
        data.extend((!size).to_le_bytes());
        data.extend(block);
    }
    data.extend(adler32(&raw).to_be_bytes());
    chunk(*b"IDAT", &data, &mut file);
    chunk(*b"IEND", &[], &mut file);
    file
}

fn chunk(kind: [u8; 4], data: &[u8], file: &mut Vec<u8>) {
    file.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    file.extend(kind);
    file.extend(data);
    file.extend(crc32(kind.iter().chain(data)).to_be_bytes());
}

/// RFC 1950 section 8.2.
fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// PNG third edition, annex D.
fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}
