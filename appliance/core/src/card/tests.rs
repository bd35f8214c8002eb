use super::*;
use crate::golden::golden;

const FINGERPRINT: Fingerprint = Fingerprint([0xab; 32]);

fn card() -> Card {
    Card {
        name: "Bulle-KXMR".to_owned(),
        wifi: Some(Wifi {
            ssid: "Bulle-KXMR".to_owned(),
            key: Zeroizing::new("k7mp-q2rw-x8ab-c9de-fg34-hj56".to_owned()),
        }),
        page: "https://bulle.internal/".to_owned(),
        addresses: vec!["10.77.0.1".parse().expect("v4"), "fd01:203:405::1".parse().expect("v6")],
        invitation: Some(Invitation {
            link: Zeroizing::new(
                "https://bulle.internal/#AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHrCN_vQ".to_owned(),
            ),
            claim_code: Zeroizing::new("7KQ2M-9XD04".to_owned()),
        }),
        fingerprint: Some(FINGERPRINT),
        remarks: vec![
            "Wi-Fi, since no network answers on the cable.".to_owned(),
            "Channel 6. Setting `country` in bulle.toml opens 5 GHz and the channels of your country."
                .to_owned(),
        ],
        urgent: 0,
    }
}

fn lan() -> Card {
    Card { wifi: None, page: "https://bulle.local/".to_owned(), invitation: None, ..card() }
}

/// The texts of the codes in a picture of grey points, from left to right.
fn codes_in(width: usize, height: usize, grey: impl FnMut(usize, usize) -> u8) -> Vec<String> {
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
    let mut found: Vec<(i32, String)> = image
        .detect_grids()
        .iter()
        .map(|grid| (grid.bounds[0].x, grid.decode().expect("readable").1))
        .collect();
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

fn codes_in_png(file: &[u8]) -> Vec<String> {
    let mut decoder = ::png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(::png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut grey = vec![0; reader.output_buffer_size().expect("it fits")];
    let info = reader.next_frame(&mut grey).expect("points");
    let (width, height) = (info.width as usize, info.height as usize);
    assert_eq!(grey.len(), width * height);
    codes_in(width, height, |x, y| grey[y * width + x])
}

/// Four points for each half of a character.
fn codes_in_blocks(text: &str) -> Vec<String> {
    let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or_default();
    codes_in(width * 4, rows.len() * 8, |x, y| {
        let c = rows[y / 8].get(x / 4).copied().unwrap_or(' ');
        let light = c == '█' || c == if y % 8 < 4 { '▀' } else { '▄' };
        if light { 255 } else { 0 }
    })
}

const WIFI_URI: &str = "WIFI:T:WPA;S:Bulle-KXMR;P:k7mp-q2rw-x8ab-c9de-fg34-hj56;;";

#[test]
fn the_text_is_the_one_that_was_agreed_upon() {
    golden("card/tests/wifi.txt", &text(&card()));
    golden("card/tests/lan.txt", &text(&lan()));
}

#[test]
fn the_paper_is_the_one_that_was_agreed_upon() {
    // The codes are read back elsewhere; here they would only be long.
    let svg = svg(&card());
    let without_codes: Vec<String> = svg
        .lines()
        .map(|line| line.split_once(" d=").map_or(line.to_owned(), |(start, _)| format!("{start} d=\"\"/>")))
        .collect();
    golden("card/tests/wifi.svg", &without_codes.join("\n"));
}

#[test]
fn no_line_of_the_text_is_wider_than_the_screen_unless_it_cannot_be_broken() {
    for card in [card(), lan()] {
        for line in text(&card).lines().filter(|line| !line.contains("https://")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn the_codes_of_the_picture_can_be_read() {
    let card = card();
    assert_eq!(codes_in_png(&png(&card)), [WIFI_URI, card.link()]);
    assert_eq!(codes_in_png(&png(&lan())), ["https://bulle.local/"]);
}

#[test]
fn the_codes_on_the_screen_can_be_read_and_fit_on_the_smallest_one() {
    let card = card();
    let small = console(&card, 80, 25);
    assert!(small.lines().count() < 25 && small.lines().all(|line| line.chars().count() <= 80), "{}", *small);
    let large = console(&card, 160, 60);
    for remark in ["no network answers", "opens 5 GHz"] {
        assert!(large.contains(remark), "{}", *large);
    }
    assert_eq!(codes_in_blocks(&large), [WIFI_URI, card.link()]);
    for screen in [small, large] {
        for needed in ["k7mp-q2rw-x8ab-c9de-fg34-hj56", "7KQ2M-9XD04", "https://bulle.internal/"] {
            assert!(screen.contains(needed), "{}", *screen);
        }
    }
}

#[test]
fn what_is_wrong_is_on_every_screen() {
    let wrong =
        "bulle.toml, line 3: `wifi.band`: expected one of \"auto\", \"2.4\", \"5\", found the number 5";
    for base in [card(), lan()] {
        let remarks = [vec![wrong.to_owned()], base.remarks.clone()].concat();
        let card = Card { remarks, urgent: 1, ..base };
        for (columns, rows) in [(80, 25), (100, 30), (160, 60)] {
            let screen = console(&card, columns, rows);
            assert_eq!(screen.matches("line 3").count(), 1, "{}", *screen);
            assert!(screen.lines().count() < rows);
        }
    }
}

#[test]
fn no_screen_is_too_small_to_say_something() {
    for (columns, rows) in [(1, 1), (10, 3), (40, 12), (80, 10), (36, 30), (1000, 1000)] {
        let screen = console(&card(), columns, rows);
        assert!(screen.lines().count() < rows.max(2), "{columns} by {rows}");
    }
    assert!(console(&card(), 40, 12).contains("k7mp"));
}

#[test]
fn a_name_that_means_something_to_phones_or_to_svg_is_escaped() {
    let wifi = Wifi { ssid: "a;b,c:d\\e\"f".to_owned(), key: Zeroizing::new("x:y".to_owned()) };
    assert_eq!(*wifi.uri(), "WIFI:T:WPA;S:a\\;b\\,c\\:d\\\\e\\\"f;P:x\\:y;;");
    let card = Card { name: "<b>&\u{1b}[31m".to_owned(), ..card() };
    assert!(svg(&card).contains("&lt;b&gt;&amp; [31m"));
    assert!(!text(&card).contains('\u{1b}') && !console(&card, 80, 25).contains('\u{1b}'));
}

#[test]
fn a_claimed_box_shows_no_claim_code_and_no_secret_of_the_bubble() {
    let claimed = Card { invitation: None, ..card() };
    for shown in [text(&claimed), console(&claimed, 160, 60), svg(&claimed)] {
        assert!(!shown.contains("7KQ2M") && !shown.contains('#') || shown.contains("#fff"), "{}", *shown);
        assert!(!shown.contains("AQcH"));
    }
    assert_eq!(codes_in_png(&png(&claimed)), [WIFI_URI, "https://bulle.internal/"]);
}

#[test]
fn a_card_is_bounded_whatever_is_on_it() {
    let card = Card {
        addresses: vec!["10.77.0.1".parse().expect("an address"); 100],
        remarks: vec!["word ".repeat(2000); 100],
        ..card()
    };
    assert_eq!(text(&card).matches("or, where").count(), MOST_ADDRESSES);
    assert_eq!(text(&card).matches("\n - ").count(), MOST_REMARKS);
}

#[test]
fn a_card_cannot_be_printed_by_accident() {
    let card = card();
    let shown = format!("{card:?} {:?} {:?}", card.wifi, card.invitation);
    assert!(!shown.contains("k7mp") && !shown.contains("7KQ2M") && !shown.contains("KXMR"), "{shown}");
}
