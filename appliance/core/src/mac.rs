//! Hardware addresses of Ethernet and Wi-Fi, as the kernel and hostapd write them.

/// A hardware address (EUI-48). It tells a device for life, so it cannot be printed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mac(pub(crate) [u8; 6]);

impl Mac {
    /// Reads `02:00:00:00:00:01`.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut parts = word.split(|byte| *byte == b':');
        for byte in &mut bytes {
            let [high, low] = *parts.next()? else { return None };
            let digit =
                |letter: u8| char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(high)? << 4 | digit(low)?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_numbers_of_two_digits_are_one() {
        assert!(Mac::parse(b"02:00:00:00:fF:01") == Some(Mac([2, 0, 0, 0, 255, 1])));
        for wrong in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "02:00:00:00:00:0g",
            "+2:00:00:00:00:01",
            "02:00:00:00:00:01\n",
        ] {
            assert!(Mac::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
