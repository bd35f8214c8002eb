//! The one file that knows the MLS library, its provider and its suite (RFC 9420).
//!
//! The suite is hybrid: X25519 with ML-KEM-768. Its code point (0x004E) is provisional, so that it stands here
//! alone. Randomness of MLS comes from the library's provider, which takes it from the operating system or the
//! browser; the rest of the client uses what was handed in.

use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, ExtensionType, GroupId, KeyPackage,
    KeyPackageIn, KeyPackageRef, Lifetime, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig,
    MlsMessageBodyIn, MlsMessageIn, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent,
    ProtocolVersion, Sender, SenderRatchetConfiguration, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::storage::StorageProvider as _;
use std::collections::VecDeque;
use zeroize::Zeroizing;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519;

/// Own key packages whose private halves are kept. With one per publishing, every four minutes, they outlast
/// the longest stay of a Welcome in a mailbox.
const MAX_PACKAGES: usize = 32;

/// How far behind the newest a message may arrive and still be readable. Larger than what an outbox holds.
pub(crate) const OUT_OF_ORDER: u32 = 512;

/// How many messages in a row may be missing.
const FORWARD: u32 = 4096;

/// MLS pads messages to a multiple of this many bytes.
const PADDING: usize = 256;

/// A device: the public half of the Ed25519 key that signs its directory entries and its MLS leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceKey(pub(crate) [u8; 32]);

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

/// A group, by 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub(crate) struct GroupTag(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) [u8; 16]);

impl fmt::Debug for GroupTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupTag(..)")
    }
}

/// Why MLS said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupError {
    /// Not what it should be: bytes, suite, or state.
    Malformed,
    /// It belongs to somebody else than it should.
    Impersonation,
    /// A change of the group, which this version does not take part in.
    Change,
    /// The library failed where it may not.
    Library,
}

/// This device's keys, and what MLS keeps for it in memory.
pub(crate) struct Device {
    provider: OpenMlsRustCrypto,
    signing: SigningKey,
    signer: SignatureKeyPair,
    packages: VecDeque<KeyPackageRef>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device(..)")
    }
}

impl Device {
    /// A device whose identity is made from `seed`.
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let signer = SignatureKeyPair::from_raw(
            SUITE.signature_algorithm(),
            seed.to_vec(),
            signing.verifying_key().to_bytes().to_vec(),
        );
        Self { provider: OpenMlsRustCrypto::default(), signing, signer, packages: VecDeque::new() }
    }

    /// Its public key.
    pub(crate) fn key(&self) -> DeviceKey {
        DeviceKey(self.signing.verifying_key().to_bytes())
    }

    /// Signs with the identity. The caller puts a context in front.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// A new key package; the oldest private half is forgotten when there are too many.
    pub(crate) fn rotate(&mut self) -> Result<Vec<u8>, GroupError> {
        let bundle = KeyPackage::builder()
            .mark_as_last_resort()
            .key_package_lifetime(lifetime())
            .leaf_node_capabilities(capabilities())
            .build(SUITE, &self.provider, &self.signer, self.credential())
            .map_err(|_| GroupError::Library)?;
        let reference =
            bundle.key_package().hash_ref(self.provider.crypto()).map_err(|_| GroupError::Library)?;
        self.packages.push_back(reference);
        if self.packages.len() > MAX_PACKAGES
            && let Some(oldest) = self.packages.pop_front()
        {
            self.provider.storage().delete_key_package(&oldest).map_err(|_| GroupError::Library)?;
        }
        bundle.key_package().tls_serialize_detached().map_err(|_| GroupError::Library)
    }

    /// Creates a group of two with the owner of `package`. The second value is the Welcome for them.
    pub(crate) fn create(
        &self,
        tag: GroupTag,
        package: &PeerPackage,
        peer: DeviceKey,
    ) -> Result<(Group, Vec<u8>), GroupError> {
        let package = self.validate(package, &peer)?;
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(ratchet())
            .capabilities(capabilities())
            .lifetime(lifetime())
            .build();
        let id = GroupId::from_slice(&tag.0);
        let mut mls =
            MlsGroup::new_with_group_id(&self.provider, &self.signer, &config, id, self.credential())
                .map_err(|_| GroupError::Library)?;
        // The commit goes to nobody: the only other member begins with the Welcome.
        let (_commit, welcome, _info) = mls
            .add_members(&self.provider, &self.signer, core::slice::from_ref(&package))
            .map_err(|_| GroupError::Library)?;
        mls.merge_pending_commit(&self.provider).map_err(|_| GroupError::Library)?;
        let welcome = welcome.to_bytes().map_err(|_| GroupError::Library)?;
        Ok((Group { mls, peer, sealed: 0 }, welcome))
    }

    /// Joins the group of a Welcome, if it is `tag`, of two, made by `peer`, and has nobody else in it.
    pub(crate) fn join(&self, tag: GroupTag, welcome: &[u8], peer: DeviceKey) -> Result<Group, GroupError> {
        let message =
            MlsMessageIn::tls_deserialize_exact_bytes(welcome).map_err(|_| GroupError::Malformed)?;
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { return Err(GroupError::Malformed) };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(ratchet())
            .build();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None)
            .map_err(|_| GroupError::Malformed)?;
        let context = staged.group_context();
        if context.group_id().as_slice() != tag.0
            || context.ciphersuite() != SUITE
            || staged.members().count() != 2
        {
            return Err(GroupError::Malformed);
        }
        let sender = staged.welcome_sender().map_err(|_| GroupError::Malformed)?;
        is_device(sender.signature_key().as_slice(), sender.credential().clone(), &peer)?;
        let own = self.key();
        if !staged.members().any(|member| is_device(&member.signature_key, member.credential, &own).is_ok()) {
            return Err(GroupError::Impersonation);
        }
        let mls = staged.into_group(&self.provider).map_err(|_| GroupError::Library)?;
        Ok(Group { mls, peer, sealed: 0 })
    }

    /// All checks of a key package: those of [`PeerPackage::read`], and its signatures and suite.
    fn validate(&self, package: &PeerPackage, device: &DeviceKey) -> Result<KeyPackage, GroupError> {
        let package = KeyPackageIn::tls_deserialize_exact_bytes(&package.0)
            .map_err(|_| GroupError::Malformed)?
            .validate(self.provider.crypto(), ProtocolVersion::Mls10)
            .map_err(|_| GroupError::Malformed)?;
        if package.ciphersuite() != SUITE {
            return Err(GroupError::Malformed);
        }
        let leaf = package.leaf_node();
        is_device(leaf.signature_key().as_slice(), leaf.credential().clone(), device)?;
        Ok(package)
    }

    fn credential(&self) -> CredentialWithKey {
        let key = self.key().0.to_vec();
        CredentialWithKey { credential: BasicCredential::new(key.clone()).into(), signature_key: key.into() }
    }
}

/// A key package that is whole and claims the right device.
///
/// The entry around it is signed by the same device; the signatures inside are verified when it is used, since
/// most people in a directory are never written to.
#[derive(Clone)]
pub(crate) struct PeerPackage(Vec<u8>);

impl fmt::Debug for PeerPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerPackage(..)")
    }
}

impl PeerPackage {
    /// Reads a key package that should be of `device`.
    pub(crate) fn read(bytes: &[u8], device: &DeviceKey) -> Result<Self, GroupError> {
        let package = KeyPackageIn::tls_deserialize_exact_bytes(bytes).map_err(|_| GroupError::Malformed)?;
        let claimed = package.unverified_credential();
        is_device(claimed.signature_key.as_slice(), claimed.credential, device)?;
        Ok(Self(bytes.to_vec()))
    }
}

/// A group of two.
pub(crate) struct Group {
    mls: MlsGroup,
    peer: DeviceKey,
    sealed: u32,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({} sealed)", self.sealed)
    }
}

impl Group {
    /// How many messages this device has sealed in it; the next one's generation.
    pub(crate) const fn sealed(&self) -> u32 {
        self.sealed
    }

    /// Encrypts an application message.
    pub(crate) fn seal(&mut self, device: &Device, content: &[u8]) -> Result<Vec<u8>, GroupError> {
        let message = self
            .mls
            .create_message(&device.provider, &device.signer, content)
            .map_err(|_| GroupError::Library)?;
        self.sealed = self.sealed.saturating_add(1);
        message.to_bytes().map_err(|_| GroupError::Library)
    }

    /// Decrypts an application message of the peer.
    ///
    /// What changes the group is refused and leaves it as it is: this version makes no commits after the first.
    pub(crate) fn open(&mut self, device: &Device, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, GroupError> {
        let message =
            MlsMessageIn::tls_deserialize_exact_bytes(message).map_err(|_| GroupError::Malformed)?;
        let message = message.try_into_protocol_message().map_err(|_| GroupError::Malformed)?;
        let processed =
            self.mls.process_message(&device.provider, message).map_err(|_| GroupError::Malformed)?;
        if matches!(processed.content(), ProcessedMessageContent::OwnPrivateMessage) {
            return Err(GroupError::Malformed);
        }
        let sender = match processed.sender() {
            Sender::Member(index) => self.mls.member_at(*index).ok_or(GroupError::Impersonation)?,
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => {
                return Err(GroupError::Impersonation);
            }
        };
        is_device(&sender.signature_key, sender.credential, &self.peer)?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => Ok(Zeroizing::new(message.into_bytes())),
            ProcessedMessageContent::ProposalMessage(_)
            | ProcessedMessageContent::ExternalJoinProposalMessage(_)
            | ProcessedMessageContent::StagedCommitMessage(_)
            | ProcessedMessageContent::OwnPendingCommit
            | ProcessedMessageContent::OwnPrivateMessage => Err(GroupError::Change),
        }
    }
}

/// Whether a leaf's key and credential are those of `device`.
fn is_device(
    key: &[u8],
    credential: openmls::prelude::Credential,
    device: &DeviceKey,
) -> Result<(), GroupError> {
    let credential = BasicCredential::try_from(credential).map_err(|_| GroupError::Malformed)?;
    if key == device.0 && credential.identity() == device.0 { Ok(()) } else { Err(GroupError::Impersonation) }
}

/// All of time: devices of a bubble may have clocks that are years apart, and freshness is the directory's
/// business.
fn lifetime() -> Lifetime {
    Lifetime::init(0, 253_402_300_799)
}

fn capabilities() -> Capabilities {
    Capabilities::new(None, Some(&[SUITE]), Some(&[ExtensionType::LastResort]), None, None)
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(seed: u8) -> Device {
        Device::new(&[seed; 32])
    }

    fn pair() -> (Device, Group, Device, Group) {
        let (a, mut b) = (device(1), device(2));
        let package = b.rotate().unwrap();
        let package = PeerPackage::read(&package, &b.key()).unwrap();
        let tag = GroupTag([9; 16]);
        let (in_a, welcome) = a.create(tag, &package, b.key()).unwrap();
        let in_b = b.join(tag, &welcome, a.key()).unwrap();
        (a, in_a, b, in_b)
    }

    #[test]
    fn two_devices_read_each_other() {
        let (a, mut in_a, b, mut in_b) = pair();
        let there = in_a.seal(&a, b"there").unwrap();
        assert_eq!(in_b.open(&b, &there).unwrap().as_slice(), b"there");
        let back = in_b.seal(&b, b"back").unwrap();
        assert_eq!(in_a.open(&a, &back).unwrap().as_slice(), b"back");
        assert_eq!(in_b.open(&b, &there), Err(GroupError::Malformed), "a replay");
        assert_eq!(in_a.open(&a, &there), Err(GroupError::Malformed), "our own");
    }

    #[test]
    fn a_package_of_somebody_else_is_refused() {
        let (a, mut b) = (device(1), device(2));
        let package = b.rotate().unwrap();
        assert_eq!(PeerPackage::read(&package, &a.key()).err(), Some(GroupError::Impersonation));
        assert_eq!(PeerPackage::read(&package[1..], &b.key()).err(), Some(GroupError::Malformed));
        // Whole, of the right device, and changed by somebody: noticed at its use.
        for at in (0..package.len()).step_by(53) {
            let mut changed = package.clone();
            changed[at] ^= 1;
            if let Ok(changed) = PeerPackage::read(&changed, &b.key()) {
                assert_eq!(a.create(GroupTag([1; 16]), &changed, b.key()).err(), Some(GroupError::Malformed));
            }
        }
    }

    #[test]
    fn a_welcome_by_somebody_else_or_for_another_tag_is_refused() {
        let (a, mut b, c) = (device(1), device(2), device(3));
        let package = b.rotate().unwrap();
        let package = PeerPackage::read(&package, &b.key()).unwrap();
        let tag = GroupTag([9; 16]);
        let (_, welcome) = a.create(tag, &package, b.key()).unwrap();
        assert_eq!(b.join(tag, &welcome, c.key()).err(), Some(GroupError::Impersonation));
        assert_eq!(b.join(GroupTag([8; 16]), &welcome, a.key()).err(), Some(GroupError::Malformed));
        assert!(b.join(tag, &welcome, a.key()).is_ok(), "refusals cost the honest nothing");
    }

    #[test]
    fn messages_arrive_in_any_order_within_the_tolerance() {
        let (a, mut in_a, b, mut in_b) = pair();
        let first = in_a.seal(&a, b"first").unwrap();
        let mut last = Vec::new();
        for _ in 0..OUT_OF_ORDER - 1 {
            last = in_a.seal(&a, b"later").unwrap();
        }
        assert!(in_b.open(&b, &last).is_ok());
        assert_eq!(in_b.open(&b, &first).unwrap().as_slice(), b"first");
    }

    #[test]
    fn a_package_is_forgotten_after_its_generations() {
        let (a, mut b) = (device(1), device(2));
        let old = b.rotate().unwrap();
        let old = PeerPackage::read(&old, &b.key()).unwrap();
        let tag = GroupTag([9; 16]);
        let (_, welcome) = a.create(tag, &old, b.key()).unwrap();
        for _ in 0..MAX_PACKAGES {
            b.rotate().unwrap();
        }
        assert_eq!(b.join(tag, &welcome, a.key()).err(), Some(GroupError::Malformed));
    }
}
