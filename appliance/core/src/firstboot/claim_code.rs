//! The code on the join card that makes its reader the administrator.
//!
//! Nine symbols of Crockford's base 32 (no I, L, O, U) and one that checks them: the sum of the symbols, each times
//! another power of a generator of GF(32), so that one wrong symbol or two in the wrong order never fit.

use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols of a code, the last of which checks the others.
pub const CLAIM_SYMBOLS: usize = 10;
/// Symbols before the dash.
const GROUP: usize = 5;

/// A new code, in two groups.
pub(super) fn generate<R: RngCore + CryptoRng>(rng: &mut R) -> Zeroizing<String> {
    let mut symbols = Zeroizing::new([0_u8; CLAIM_SYMBOLS - 1]);
    rng.fill_bytes(symbols.as_mut());
    // 32 divides 256, so that no symbol is likelier than another.
    symbols.iter_mut().for_each(|symbol| *symbol &= 31);
    let mut code = Zeroizing::new(String::with_capacity(CLAIM_SYMBOLS + 1));
    for (at, symbol) in symbols.iter().copied().chain([check(symbols.as_ref())]).enumerate() {
        if at == GROUP {
            code.push('-');
        }
        code.push(char::from(ALPHABET.get(usize::from(symbol)).copied().unwrap_or(b'0')));
    }
    code
}

/// Whether a code can be one of ours, so that a slip of the finger is told from a wrong code.
#[must_use]
pub fn is_claim_code(typed: &str) -> bool {
    let mut symbols = Zeroizing::new(Vec::with_capacity(CLAIM_SYMBOLS));
    for sign in typed.chars().filter(|sign| !matches!(sign, ' ' | '-')) {
        let sign = match sign.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let Some(symbol) = ALPHABET.iter().position(|known| char::from(*known) == sign) else { return false };
        if symbols.len() == CLAIM_SYMBOLS {
            return false;
        }
        symbols.push(u8::try_from(symbol).unwrap_or_default());
    }
    symbols.split_last().is_some_and(|(last, rest)| rest.len() == CLAIM_SYMBOLS - 1 && check(rest) == *last)
}

/// The sum of the symbols, the first times x, the next times x², and so on.
fn check(symbols: &[u8]) -> u8 {
    let mut power = 1;
    symbols.iter().fold(0, |sum, symbol| {
        power = times_x(power);
        sum ^ times(*symbol, power)
    })
}

/// A product in GF(32), whose elements are polynomials modulo x⁵ + x² + 1.
fn times(a: u8, b: u8) -> u8 {
    let mut shifted = a;
    (0..5).fold(0, |sum, bit| {
        let term = if b >> bit & 1 == 1 { shifted } else { 0 };
        shifted = times_x(shifted);
        sum ^ term
    })
}

const fn times_x(a: u8) -> u8 {
    let doubled = a << 1;
    if doubled & 32 == 0 { doubled } else { doubled ^ 0b10_0101 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn codes() -> impl Iterator<Item = Zeroizing<String>> {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        (0..50).map(move |_| generate(&mut rng))
    }

    #[test]
    fn a_code_fits_however_it_is_typed() {
        for code in codes() {
            assert_eq!(code.len(), CLAIM_SYMBOLS + 1);
            assert!(is_claim_code(&code), "{}", *code);
            assert!(is_claim_code(
                &code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l")
            ));
        }
    }

    #[test]
    fn one_wrong_symbol_and_two_in_the_wrong_order_never_fit() {
        for code in codes() {
            let symbols: Vec<char> = code.chars().filter(|c| *c != '-').collect();
            for at in 0..symbols.len() {
                for other in ALPHABET.iter().copied().map(char::from).filter(|other| *other != symbols[at]) {
                    let mut wrong = symbols.clone();
                    wrong[at] = other;
                    assert!(!is_claim_code(&wrong.iter().collect::<String>()));
                }
                for with in 0..at {
                    let mut wrong = symbols.clone();
                    wrong.swap(at, with);
                    assert_eq!(
                        is_claim_code(&wrong.iter().collect::<String>()),
                        symbols[at] == symbols[with]
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_code_does_not_fit() {
        for text in ["", "-", "00000-0000", "00000-000000", "U0000-00000", "é", "00000/00000"] {
            assert!(!is_claim_code(text), "{text}");
        }
    }
}
