//! Cursors: where a page ended, in a form that its caller can keep but neither read nor make.
//!
//! The place is encrypted and authenticated, for it holds values of columns that the caller need not be allowed to
//! see. It is bound to the client, to the caller's key and to the query, and it expires. Every cursor is sealed under
//! a key of its own, derived with a random salt: so no number of cursors wears the secret out, on however many
//! gateways.

use std::fmt::{self, Write as _};
use std::hash::Hasher;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use athena_domain::error::RequestCode;
use athena_domain::plan::cql::CqlRead;
use athena_domain::plan::{KeyValue, PageStart};
use athena_domain::query::FetchRequest;
use athena_domain::{ClientName, RequestError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::ports::{PortError, PortErrorKind};

/// Form of the cursors that are made here.
const VERSION: u8 = 1;

/// Bytes of a digest of a query.
const DIGEST: usize = 16;

/// Bytes of salt before the ciphertext.
const SALT: usize = 16;

/// Plaintexts are padded to a multiple of this: their length would tell that of values the caller may not see.
const BLOCK: usize = 64;

/// Largest plaintext, so that a cursor fits into a header.
const MAX_PLAIN: usize = 6 << 10;

/// Largest cursor that can have been made here.
const MAX_TEXT: usize = (1 + SALT + MAX_PLAIN + MAX_TAG_LEN).div_ceil(3) * 4;

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// At a row, by its values in the order.
    Keys(Vec<KeyValue>),
    /// Where the database itself says that it stopped: the paging state of a CQL database.
    State {
        /// The statement that it is of ([`statement_digest`]).
        statement: [u8; DIGEST],
        /// The place.
        state: Box<[u8]>,
    },
}

impl Position {
    /// The position for a planner.
    pub fn start(&self) -> PageStart<'_> {
        match self {
            Self::Keys(keys) => PageStart::Keys(keys),
            Self::State { state, .. } => PageStart::State(state),
        }
    }

    /// Checks that a paging state is of `read`, and of the table as it is now: the server would take it for another
    /// statement too, and begin anywhere.
    ///
    /// # Errors
    /// [`RequestCode::InvalidCursor`].
    pub fn belongs_to(&self, read: &CqlRead) -> Result<(), RequestError> {
        match self {
            Self::State { statement, .. } if *statement != statement_digest(read) => Err(refused(
                "The table, or what the API key may see of it, has changed since the cursor was made.",
            )),
            Self::State { .. } | Self::Keys(_) => Ok(()),
        }
    }
}

/// What a cursor belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Client.
    pub client: &'a ClientName,
    /// Public id of the caller's key; none where no key was presented.
    pub key: Option<&'a str>,
    /// The query, its page size included.
    pub request: &'a FetchRequest,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    /// Seconds since 1970.
    expires: u64,
    query: [u8; DIGEST],
    position: Position,
}

/// Why no cursor was made.
#[derive(Debug, thiserror::Error)]
pub enum Unsealed {
    /// The place is too long for one.
    #[error(transparent)]
    TooLong(RequestError),
    /// A fault of ours.
    #[error(transparent)]
    Fault(PortError),
}

/// Makes cursors and reads them.
#[derive(Clone)]
pub struct Cursors {
    secret: Prk,
    lifetime: Duration,
    random: SystemRandom,
}

impl Cursors {
    /// Cursors under `secret`, which every gateway that shall understand them has. Without one, a secret is drawn that
    /// ends with the process.
    ///
    /// # Panics
    /// When the system has no random numbers.
    pub fn new(secret: Option<&[u8]>, lifetime: Duration) -> Self {
        let random = SystemRandom::new();
        let drawn = || {
            let mut drawn = [0; 32];
            random.fill(&mut drawn).expect("the system has random numbers");
            drawn.to_vec()
        };
        let secret = secret.map_or_else(drawn, <[u8]>::to_vec);
        let secret = Salt::new(HKDF_SHA256, b"athena cursor").extract(&secret);
        Self { secret, lifetime, random }
    }

    /// Cursors under the same secret that can be gone on with for another while; those made before keep theirs.
    #[must_use]
    pub fn with_lifetime(&self, lifetime: Duration) -> Self {
        Self { lifetime, ..self.clone() }
    }

    /// The cursor for what comes behind `position`.
    ///
    /// # Errors
    /// When the position is too long, and when the system has no random numbers.
    pub fn seal(&self, owner: Owner<'_>, position: Position, now: SystemTime) -> Result<String, Unsealed> {
        let plain =
            Plain { expires: seconds(now + self.lifetime), query: query_digest(owner.request), position };
        let fault =
            |what: &str| Unsealed::Fault(PortError::new("cursor", PortErrorKind::Internal).caused_by(what));
        let mut bytes = postcard::to_allocvec(&plain).map_err(|_| fault("a position cannot be written"))?;
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        if bytes.len() > MAX_PLAIN {
            return Err(Unsealed::TooLong(too_long(&plain.position)));
        }
        let mut salt = [0; SALT];
        self.random.fill(&mut salt).map_err(|_| fault("the system has no random numbers"))?;
        let sealed = self.key(&salt).and_then(|key| {
            let aad = Aad::from(owner_digest(owner));
            key.seal_in_place_append_tag(nonce(), aad, &mut bytes).ok()
        });
        sealed.ok_or_else(|| fault("a cursor cannot be sealed"))?;
        let mut cursor = vec![VERSION];
        cursor.extend_from_slice(&salt);
        cursor.append(&mut bytes);
        Ok(BASE64.encode(cursor))
    }

    /// The position that a cursor holds.
    ///
    /// # Errors
    /// [`RequestCode::InvalidCursor`] when it is not the owner's, for another query, or too old.
    pub fn open(&self, owner: Owner<'_>, text: &str, now: SystemTime) -> Result<Position, RequestError> {
        let plain = self.plain(owner, text).ok_or_else(|| {
            refused(
                "The cursor is not valid here: it was made for another client or API key, by a gateway with another \
                 secret, or it was changed.",
            )
        })?;
        if plain.query != query_digest(owner.request) {
            return Err(refused(
                "The cursor belongs to another query: table, columns, conditions, order and page_size must stay as \
                 they were on the first page.",
            ));
        }
        if plain.expires <= seconds(now) {
            return Err(refused("The cursor has expired."));
        }
        Ok(plain.position)
    }

    fn plain(&self, owner: Owner<'_>, text: &str) -> Option<Plain> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let cursor = BASE64.decode(text).ok()?;
        let (version, rest) = cursor.split_first()?;
        let (salt, sealed) = rest.split_at_checked(SALT)?;
        if *version != VERSION {
            return None;
        }
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(owner_digest(owner));
        let plain = self.key(salt)?.open_in_place(nonce(), aad, &mut sealed).ok()?;
        // What follows is padding.
        postcard::take_from_bytes(plain).ok().map(|(plain, _)| plain)
    }

    fn key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let info = [salt];
        let okm = self.secret.expand(&info, &CHACHA20_POLY1305).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

impl Default for Cursors {
    /// An hour, and a secret of this process.
    fn default() -> Self {
        Self::new(None, Duration::from_secs(3600))
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursors").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

fn refused(message: &str) -> RequestError {
    RequestError::field(RequestCode::InvalidCursor, "cursor", message)
        .hint("begin again with \"cursor\": \"\"")
}

/// Every key seals once, so that one nonce is as good as another.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Client and key, each with its length, so that none can be taken for a part of the other.
fn owner_digest(owner: Owner<'_>) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [owner.client.key(), owner.key.unwrap_or_default()] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let mut out = [0; digest::SHA256_OUTPUT_LEN];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn query_digest(request: &FetchRequest) -> [u8; DIGEST] {
    let mut digest = Digest::new();
    request.hash_pages(&mut digest);
    digest.short()
}

/// What a paging state belongs to: the statement, and its table with all that is known of it. Its parts are told as
/// text, for the numbers among its values have no hash.
pub fn statement_digest(read: &CqlRead) -> [u8; DIGEST] {
    let CqlRead { relation, outputs, every, reads, distinct, reversed, filtering, .. } = read;
    let mut digest = Digest::new();
    let parts = (relation, outputs, every, reads, distinct, reversed, filtering);
    // Writing into a digest cannot fail.
    let _ = write!(digest, "{parts:?}");
    digest.short()
}

fn too_long(position: &Position) -> RequestError {
    match position {
        Position::Keys(_) => {
            let message =
                format!("The last row's values in the order are longer than {MAX_PLAIN} bytes together.");
            RequestError::invalid("sort_by", message).hint("sort by columns with shorter values")
        }
        Position::State { .. } => {
            let message =
                format!("The last row's key is longer than {MAX_PLAIN} bytes, more than a cursor holds.");
            RequestError::invalid("cursor", message)
                .hint("read with a `limit`, or as Accept: application/x-ndjson")
        }
    }
}

/// What is hashed, under a hash that nobody can aim at.
struct Digest(digest::Context);

impl Digest {
    fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    fn short(self) -> [u8; DIGEST] {
        let mut out = [0; DIGEST];
        out.copy_from_slice(&self.0.finish().as_ref()[..DIGEST]);
        out
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        digest.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests;
