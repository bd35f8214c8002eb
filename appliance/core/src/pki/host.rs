//! The two kinds of general name (RFC 5280 section 4.2.1.6) that our certificates hold.

use x509_parser::extensions::GeneralName;

/// A host, as a certificate names it.
pub(super) enum Host<'a> {
    /// By name.
    Name(&'a str),
    /// By address, or by address and mask in name constraints.
    Address(&'a [u8]),
}

impl<'a> Host<'a> {
    /// None for every other kind: a certificate that holds one was not made by us.
    pub(super) const fn of(name: &GeneralName<'a>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Name(name)),
            GeneralName::IPAddress(bytes) => Some(Self::Address(bytes)),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::URI(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => None,
        }
    }
}
