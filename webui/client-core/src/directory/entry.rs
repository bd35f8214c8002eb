//! One device's entry in the directory: who it is, where its inbox is, how to begin a conversation with it.

use minicbor::{Decode, Encode};
use wire::Address;

use crate::api::{Text, UnixMillis};
use crate::broadcast::cell::CellKey;
use crate::group::suite::{Device, DeviceKey, PeerPackage};
use crate::parcel::{self, ParcelError, VERSION};

/// The largest entry, in bytes, before it is sealed: it fits into one block.
pub(crate) const MAX_ENTRY: usize = 4000;

/// The signed part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Body {
    #[n(0)]
    version: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    device: [u8; 32],
    #[n(2)]
    serial: u64,
    #[n(3)]
    pseudonym: Text,
    #[n(4)]
    inbox: Address,
    #[cbor(n(5), with = "minicbor::bytes")]
    package: Vec<u8>,
    #[n(6)]
    rtc: bool,
    #[n(7)]
    since: u64,
    #[n(8)]
    published: u64,
    #[n(9)]
    left: bool,
    #[n(10)]
    cell: Option<CellKey>,
}

/// The signed part and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Signed<'b> {
    #[n(0)]
    version: u8,
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    body: &'b [u8],
    #[cbor(n(2), with = "minicbor::bytes")]
    signature: [u8; 64],
}

/// What a device says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) device: DeviceKey,
    /// Counts up with each entry of the device: the highest is the newest, whatever order they come in.
    pub(crate) serial: u64,
    pub(crate) pseudonym: Text,
    pub(crate) inbox: Address,
    /// None when the device has left.
    pub(crate) package: Option<PeerPackage>,
    pub(crate) rtc: bool,
    pub(crate) since: UnixMillis,
    pub(crate) published: UnixMillis,
    pub(crate) left: bool,
    /// By what cells are sealed for it, where the bubble broadcasts.
    pub(crate) cell: Option<CellKey>,
}

/// What goes into an own entry beside the keys.
pub(crate) struct Draft<'a> {
    pub(crate) serial: u64,
    pub(crate) pseudonym: &'a Text,
    pub(crate) inbox: Address,
    pub(crate) package: Vec<u8>,
    pub(crate) rtc: bool,
    pub(crate) since: UnixMillis,
    pub(crate) published: UnixMillis,
    pub(crate) left: bool,
    pub(crate) cell: Option<CellKey>,
}

impl Draft<'_> {
    /// The entry's bytes, signed for the bubble whose directory is at `directory`.
    pub(crate) fn sign(self, device: &Device, directory: &Address) -> Vec<u8> {
        let body = parcel::encode(&Body {
            version: VERSION,
            device: device.key().0,
            serial: self.serial,
            pseudonym: self.pseudonym.clone(),
            inbox: self.inbox,
            package: self.package,
            rtc: self.rtc,
            since: self.since.0,
            published: self.published.0,
            left: self.left,
            cell: self.cell,
        });
        sign_raw(&body, device, directory)
    }
}

/// Signs whatever is in `body`.
pub(crate) fn sign_raw(body: &[u8], device: &Device, directory: &Address) -> Vec<u8> {
    let signature = device.sign(&signed(directory, body));
    parcel::encode(&Signed { version: VERSION, body, signature })
}

/// The device and serial number that an entry claims, for telling old from new before the costly checks.
pub(crate) fn claim(bytes: &[u8]) -> Result<(DeviceKey, u64), ParcelError> {
    let body = body_of(bytes)?.1;
    Ok((DeviceKey(body.device), body.serial))
}

/// Reads an entry and checks it: size, version, signature, pseudonym, and that the key package claims the
/// device.
pub(crate) fn verify(bytes: &[u8], directory: &Address) -> Result<Entry, ParcelError> {
    let (signed_entry, body) = body_of(bytes)?;
    let device = DeviceKey(body.device);
    let key = ed25519_dalek::VerifyingKey::from_bytes(&body.device).map_err(|_| ParcelError::Malformed)?;
    let signature = ed25519_dalek::Signature::from_bytes(&signed_entry.signature);
    key.verify_strict(&signed(directory, signed_entry.body), &signature)
        .map_err(|_| ParcelError::Malformed)?;
    let pseudonym = crate::pseudonym::check(body.pseudonym.expose()).map_err(|_| ParcelError::Malformed)?;
    let package = if body.left {
        None
    } else {
        Some(PeerPackage::read(&body.package, &device).map_err(|_| ParcelError::Malformed)?)
    };
    Ok(Entry {
        device,
        serial: body.serial,
        pseudonym,
        inbox: body.inbox,
        package,
        rtc: body.rtc,
        cell: body.cell,
        since: UnixMillis(body.since),
        published: UnixMillis(body.published),
        left: body.left,
    })
}

fn body_of(bytes: &[u8]) -> Result<(Signed<'_>, Body), ParcelError> {
    if bytes.len() > MAX_ENTRY {
        return Err(ParcelError::Malformed);
    }
    let signed: Signed<'_> = parcel::decode_versioned(bytes)?;
    Ok((signed, parcel::decode_versioned(signed.body)?))
}

/// The signed text: a context of its own, and the bubble, so that no entry can be carried into another.
fn signed(directory: &Address, body: &[u8]) -> Vec<u8> {
    let mut text = b"bulle/1 directory entry\0".to_vec();
    text.extend_from_slice(directory.expose());
    text.extend_from_slice(body);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(pseudonym: &Text, package: Vec<u8>) -> Draft<'_> {
        Draft {
            serial: 1,
            pseudonym,
            inbox: Address::from_bytes([5; 32]),
            package,
            rtc: true,
            since: UnixMillis(1),
            published: UnixMillis(2),
            left: false,
            cell: None,
        }
    }

    #[test]
    fn an_entry_is_its_own_devices_in_its_own_bubble() {
        let mut device = Device::new(&[1; 32]);
        let directory = Address::from_bytes([8; 32]);
        let name = Text::from("x".repeat(64));
        let package = device.rotate().unwrap();
        let bytes = draft(&name, package).sign(&device, &directory);
        assert!(bytes.len() <= MAX_ENTRY, "{}", bytes.len());
        let entry = verify(&bytes, &directory).unwrap();
        assert_eq!((entry.device, entry.serial), (device.key(), 1));
        assert!(verify(&bytes, &Address::from_bytes([9; 32])).is_err(), "another bubble");
        for at in (0..bytes.len()).step_by(31) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(verify(&changed, &directory).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_key_package_of_another_device_is_refused() {
        let (device, mut other) = (Device::new(&[1; 32]), Device::new(&[2; 32]));
        let directory = Address::from_bytes([8; 32]);
        let package = other.rotate().unwrap();
        let bytes = draft(&"Eve".into(), package).sign(&device, &directory);
        assert!(verify(&bytes, &directory).is_err());
    }
}
