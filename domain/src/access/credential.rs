//! Credentials as callers present them: `ath_{public id}.{secret}` (contract 5.2).

use std::fmt;
use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every credential begins with.
const PREFIX: &str = "ath_";

/// Random bytes that a new credential needs: 8 for the public id, 32 for the secret, 32 for the salt.
pub const RANDOM_BYTES: usize = 72;

/// A credential's two parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Names the key; no secret.
    pub public_id: &'a str,
    /// Proves the right to use it.
    secret: &'a str,
}

impl<'a> Credential<'a> {
    /// Whether somebody may have put a credential, or a part of one, into the text.
    pub fn may_be_in(text: &str) -> bool {
        text.contains(PREFIX)
    }

    /// Whether a credential, or the beginning of one, stands in the text as a word of its own: `math_1` holds none.
    pub fn stands_in(text: &str) -> bool {
        // Most texts have no underscore, and this is asked of every request.
        if !text.as_bytes().contains(&b'_') {
            return false;
        }
        let begins = |at: usize| !text[..at].ends_with(|before: char| before.is_alphanumeric());
        text.match_indices(PREFIX).any(|(at, _)| begins(at))
    }

    /// Takes a presented text apart; `None` when it has another form.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (public_id, secret) = text.strip_prefix(PREFIX)?.split_once('.')?;
        (!public_id.is_empty() && !secret.is_empty()).then_some(Self { public_id, secret })
    }

    /// Which of a key's secrets the credential fits: the current one, the one before. A secret that is not there is
    /// compared with all the same, so that an unknown id costs what a wrong secret costs, with every key.
    pub fn fits(self, secrets: [Option<&KeySecret>; 2]) -> [bool; 2] {
        secrets.map(|secret| std::hint::black_box(secret.unwrap_or(&NO_SECRET).fits(self)))
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ath_{}.***", self.public_id)
    }
}

/// The credential among several candidates: the first of the right form, else the first that is not blank, so
/// that a token meant for somebody else does not hide a key.
pub fn choose<'a>(candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut first = None;
    for text in candidates.map(str::trim).filter(|text| !text.is_empty()) {
        if Credential::parse(text).is_some() {
            return Some(text);
        }
        first.get_or_insert(text);
    }
    first
}

/// Stands where there is no secret.
static NO_SECRET: LazyLock<KeySecret> = LazyLock::new(KeySecret::impossible);

/// A stored secret: lower-case hex SHA-256 of `{salt}:{secret}`, the form of every key since 2.9.0.
#[derive(Clone)]
pub struct KeySecret {
    /// Digest of the salt and the colon, which every comparison begins with.
    salted: Box<Sha256>,
    hash: [u8; 32],
}

impl KeySecret {
    /// A secret as it is stored; a hash that is not 64 hex characters fits no secret.
    pub fn stored(salt: &str, hash: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let (pairs, rest) = hash.as_bytes().as_chunks::<2>();
        (pairs.len() == bytes.len() && rest.is_empty()).then_some(())?;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self { salted: Box::new(salted(salt)), hash: bytes })
    }

    /// A secret that nothing fits, and that costs as much to compare with as any other.
    fn impossible() -> Self {
        Self { salted: Box::new(salted(&"0".repeat(64))), hash: [0; 32] }
    }

    /// Whether the credential's secret is this one. Takes the same time whatever the answer.
    fn fits(&self, credential: Credential<'_>) -> bool {
        digest(&self.salted, credential.secret).ct_eq(&self.hash).into()
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// What the digest of a secret with this salt begins with.
fn salted(salt: &str) -> Sha256 {
    Sha256::new().chain_update(salt).chain_update(b":")
}

fn digest(salted: &Sha256, secret: &str) -> [u8; 32] {
    #[cfg(test)]
    DIGESTS.set(DIGESTS.get() + 1);
    salted.clone().chain_update(secret).finalize().into()
}

/// Whether two secrets are the same, in a time that tells nothing of either: digests are compared, so not even
/// the length shows.
pub fn same_secret(a: &str, b: &str) -> bool {
    Sha256::digest(a.as_bytes()).ct_eq(&Sha256::digest(b.as_bytes())).into()
}

/// A credential that has just been made: shown once, then only its salt and hash are kept.
pub struct NewCredential {
    /// Names the key.
    pub public_id: String,
    /// To be stored.
    pub salt: String,
    /// To be stored.
    pub hash: String,
    presented: String,
}

impl NewCredential {
    /// Makes one from [`RANDOM_BYTES`] unpredictable bytes.
    pub fn new(random: &[u8; RANDOM_BYTES]) -> Self {
        Self::make(hex(&random[..8]), random)
    }

    /// A new secret for the key `public_id`.
    pub fn again(public_id: &str, random: &[u8; RANDOM_BYTES]) -> Self {
        Self::make(public_id.to_owned(), random)
    }

    fn make(public_id: String, random: &[u8; RANDOM_BYTES]) -> Self {
        let secret = hex(&random[8..40]);
        let salt = hex(&random[40..]);
        let hash = hex(&digest(&salted(&salt), &secret));
        let presented = format!("{PREFIX}{public_id}.{secret}");
        Self { public_id, salt, hash, presented }
    }

    /// The text to hand to the caller, and to nobody else.
    pub fn reveal(&self) -> &str {
        &self.presented
    }
}

impl fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ath_{}.***", self.public_id)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
thread_local! {
    /// Digests that this thread has made: what a comparison costs, told without a clock.
    pub(super) static DIGESTS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_of_2_9_0_verifies() {
        let hash = "e0daae7ddca6117bae5f642d182bf4c456a16fe195e74ccb38714372c533f828";
        let stored = KeySecret::stored("salt", hash).expect("a hash");
        assert!(stored.fits(Credential::parse("ath_x.secret").expect("a credential")));
        assert!(!stored.fits(Credential::parse("ath_x.Secret").expect("a credential")));
        let upper = KeySecret::stored("salt", &hash.to_uppercase()).expect("a hash");
        assert!(upper.fits(Credential::parse("ath_x.secret").expect("a credential")));
        for broken in ["", "e0", &"g".repeat(64), &"é".repeat(32)] {
            assert!(KeySecret::stored("salt", broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn forms() {
        let parts = |text| Credential::parse(text).map(|c| (c.public_id, c.secret));
        assert_eq!(parts("ath_a.b.c"), Some(("a", "b.c")));
        for other in ["", "ath_", "ath_a", "ath_a.", "ath_.b", "Ath_a.b", "eyJ.x.y"] {
            assert_eq!(parts(other), None, "{other}");
        }
        let check = |candidates: &[&str], expected| assert_eq!(choose(candidates.iter().copied()), expected);
        check(&["eyJhbGciOi.J9.x", " ath_a.b "], Some("ath_a.b"));
        check(&["", "  ", "x", "y"], Some("x"));
        check(&["ath_a.b", "ath_c.d"], Some("ath_a.b"));
        check(&["", " "], None);
    }

    #[test]
    fn credentials_are_found_where_they_do_not_belong() {
        for text in ["ath_0123.abc", "Bearer ath_0123.abc", "agent/1.0 (ath_01)", "x=ath_", "é-ath_1"] {
            assert!(Credential::stands_in(text), "{text}");
        }
        for text in ["", "math_1", "/rest/v1/path_lengths", "breath_", "ath", "1ath_"] {
            assert!(!Credential::stands_in(text), "{text}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let made = NewCredential::new(&[7; RANDOM_BYTES]);
        let credential = Credential::parse(made.reveal()).expect("a credential");
        let stored = KeySecret::stored(&made.salt, &made.hash).expect("a hash");
        let printed = format!("{made:?} {credential:?} {stored:?}");
        assert!(!printed.contains(&"07".repeat(9)), "{printed}");
    }

    proptest! {
        #[test]
        fn a_new_credential_has_the_form_and_verifies(random in proptest::collection::vec(any::<u8>(), RANDOM_BYTES)) {
            let random: [u8; RANDOM_BYTES] = random.try_into().expect("that many");
            let made = NewCredential::new(&random);
            prop_assert_eq!(made.public_id.len(), 16);
            prop_assert_eq!(made.reveal().len(), 4 + 16 + 1 + 64);
            let credential = Credential::parse(made.reveal()).expect("a credential");
            prop_assert_eq!(credential.public_id, made.public_id.as_str());
            prop_assert!(KeySecret::stored(&made.salt, &made.hash).expect("a hash").fits(credential));
            prop_assert!(!KeySecret::impossible().fits(credential));
        }
        #[test]
        fn secrets_are_the_same_only_when_they_are(a in ".{0,20}", b in ".{0,20}") {
            prop_assert_eq!(same_secret(&a, &b), a == b);
            prop_assert!(same_secret(&a, &a));
        }
    }
}
