//! From a packet to a [`Query`]: strict, and without an allocation that the packet could choose the size of.

/// Length of the header (RFC 1035 section 4.1.1).
pub(super) const HEADER: usize = 12;
/// Longest name, as it is sent (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 255;
/// Longest label (RFC 1035 section 2.3.4).
const LONGEST_LABEL: u8 = 63;
/// Records behind the question that are looked at: EDNS, a signature (TSIG, SIG(0)), and one to spare.
const MOST_ADDITIONAL: u16 = 3;

/// Types of records that are told apart.
pub(super) mod kind {
    pub(in crate::dns) const A: u16 = 1;
    pub(in crate::dns) const SOA: u16 = 6;
    pub(in crate::dns) const PTR: u16 = 12;
    pub(in crate::dns) const AAAA: u16 = 28;
    pub(in crate::dns) const OPT: u16 = 41;
    /// From here on up to [`ANY`]: transfers of whole zones, and questions for everything at once.
    pub(in crate::dns) const FIRST_META: u16 = 249;
    pub(in crate::dns) const ANY: u16 = 255;
}

/// The class of the Internet.
pub(super) const IN: u16 = 1;

/// What every answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u16,
    pub(super) opcode: u8,
    pub(super) recursion_desired: bool,
    pub(super) checking_disabled: bool,
}

/// How an answer went (RFC 1035 section 4.1.1; BADVERS is RFC 6891 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    NoError = 0,
    FormatError = 1,
    NameError = 3,
    NotImplemented = 4,
    Refused = 5,
    BadVersion = 16,
}

/// Why there is no [`Query`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Not to be answered: too short, or itself an answer.
    Silent,
    /// To be answered with that code.
    Say(Head, Code),
}

/// What the client can take (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edns {
    pub(super) udp_size: u16,
    pub(super) version: u8,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    pub(super) head: Head,
    /// Name, type and class as they were sent: some resolvers check that the case of letters comes back.
    pub(super) question: &'a [u8],
    /// In lower case, with dots, without the final one; `None` when a label holds what no host name does.
    pub(super) name: Option<String>,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) edns: Option<Edns>,
}

impl<'a> Query<'a> {
    /// Reads a packet.
    pub(super) fn decode(packet: &'a [u8]) -> Result<Self, Bad> {
        let mut reader = Reader { rest: packet };
        let (Some(id), Some(flags)) = (reader.u16(), reader.u16()) else { return Err(Bad::Silent) };
        let counts = [reader.u16(), reader.u16(), reader.u16(), reader.u16()];
        let [Some(questions), Some(answers), Some(authorities), Some(additional)] = counts else {
            return Err(Bad::Silent);
        };
        // Two servers that answer each other's answers would never stop.
        if flags & 0x8000 != 0 {
            return Err(Bad::Silent);
        }
        let head = Head {
            id,
            opcode: u8::try_from(flags >> 11 & 0x0f).unwrap_or_default(),
            recursion_desired: flags & 0x0100 != 0,
            checking_disabled: flags & 0x0010 != 0,
        };
        if packet.len() > super::LARGEST_QUERY {
            return Err(Bad::Say(head, Code::FormatError));
        }
        if head.opcode != 0 {
            return Err(Bad::Say(head, Code::NotImplemented));
        }
        let wrong = Bad::Say(head, Code::FormatError);
        if (questions, answers, authorities) != (1, 0, 0) || additional > MOST_ADDITIONAL {
            return Err(wrong);
        }
        let start = reader.rest;
        let name = reader.name().ok_or(wrong)?;
        let (kind, class) = (reader.u16().ok_or(wrong)?, reader.u16().ok_or(wrong)?);
        let question = start.get(..start.len() - reader.rest.len()).ok_or(wrong)?;
        let mut edns = None;
        for _ in 0..additional {
            if let Some(found) = reader.additional().ok_or(wrong)? {
                // RFC 6891 section 6.1.1: "If a query message with more than one OPT RR is received, a FORMERR
                // (RCODE=1) MUST be returned."
                if edns.replace(found).is_some() {
                    return Err(wrong);
                }
            }
        }
        if !reader.rest.is_empty() {
            return Err(wrong);
        }
        Ok(Self { head, question, name, kind, class, edns })
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// The name of a question, which has nothing before it to point at. The inner `None` is a name that is
    /// well-formed and that no host can have.
    #[expect(clippy::option_option, reason = "two ways of being no name, and one is the sender's fault")]
    fn name(&mut self) -> Option<Option<String>> {
        let mut text = String::new();
        let mut plain = true;
        let mut length = 1;
        loop {
            let count = self.u8()?;
            if count == 0 {
                return Some(plain.then_some(text));
            }
            length += 1 + usize::from(count);
            if count > LONGEST_LABEL || length > LONGEST_NAME {
                return None;
            }
            let label = self.take(usize::from(count))?;
            plain &= label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            if plain {
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
            }
        }
    }

    /// A record behind the question: what it says about EDNS, if it is that.
    #[expect(clippy::option_option, reason = "malformed, of no interest, or EDNS")]
    fn additional(&mut self) -> Option<Option<Edns>> {
        let at_root = self.skip_name()?;
        let (kind, class) = (self.u16()?, self.u16()?);
        let ttl = self.take(4)?;
        let length = self.u16()?;
        let mut data = Reader { rest: self.take(usize::from(length))? };
        if kind != kind::OPT {
            return Some(None);
        }
        while !data.rest.is_empty() {
            let (_, length) = (data.u16()?, data.u16()?);
            data.take(usize::from(length))?;
        }
        // RFC 6891 section 6.1.2: the name MUST be the root; the second byte of the TTL is the version.
        let version = ttl.get(1).copied()?;
        at_root.then_some(Some(Edns { udp_size: class, version }))
    }

    /// Passes over a name that may be compressed; whether it was the root, spelled out.
    fn skip_name(&mut self) -> Option<bool> {
        let mut labels = 0;
        let mut length = 1;
        loop {
            let count = self.u8()?;
            match count {
                0 => return Some(labels == 0),
                1..=LONGEST_LABEL => {
                    self.take(usize::from(count))?;
                }
                0xc0.. => {
                    self.u8()?;
                    return Some(false);
                }
                _ => return None,
            }
            labels += 1;
            length += 1 + usize::from(count);
            if length > LONGEST_NAME {
                return None;
            }
        }
    }
}
