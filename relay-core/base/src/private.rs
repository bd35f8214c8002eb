//! A value that may be used and may not be shown.

use core::fmt;

/// Wraps what identifies somebody: an address, a name, a mailbox, a key.
///
/// It has no `Display`, and its `Debug` says nothing, so that no log line, error, panic message or metric can
/// carry the value by accident. There is no feature that turns this off.
/// [`expose`](Self::expose) is the one door, named so that a reviewer sees it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for doing the work; never for showing it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, given up by its wrapper.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Private<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing_about_the_value() {
        let address: Private<core::net::IpAddr> = Private::new([192, 0, 2, 7].into());
        assert_eq!(format!("{address:?}"), "Private(..)");
        assert_eq!(format!("{:#?}", Some(address)), "Some(\n    Private(..),\n)");
    }
}
