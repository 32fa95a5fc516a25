//! Owns the tokens: who may read, write or administer. Knows nothing of HTTP, TCP or where the texts come from.
//! INVARIANT: a secret is hashed as soon as it is seen; only digests are kept, and `Debug` shows neither.

mod generate;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::model::named::named_enum;
use crate::model::story_set::StorySet;
pub(in crate::net) use generate::has_generated_form;
pub use generate::{GenerateError, generate};

named_enum! {
    /// What a token may be used for, as token files spell it.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub enum Scope {
        /// Reports, the list of stories, the metrics.
        Read = "read",
        /// Events and the catalogue.
        Write = "write",
        /// Everything.
        Admin = "admin",
    }
}

/// The scopes of one token. `admin` implies the others.
type Scopes = BTreeSet<Scope>;

/// SHA-256 of a secret.
type Digest = [u8; 32];

fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// One configured token. Names are unique within an [`Auth`].
#[derive(Clone)]
struct Token {
    name: Arc<str>,
    scopes: Scopes,
    /// The stories that all it is used for is about. `admin` goes with all stories only.
    stories: StorySet,
    digest: Digest,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, scopes, stories, digest: _ } = self;
        let mut token = f.debug_struct("Token");
        token.field("name", name).field("scopes", scopes).field("stories", stories);
        token.field("digest", &"***").finish()
    }
}

/// The configured tokens, hashed. None configured = everything is allowed (the configuration then insists on
/// loopback). Shared behind an `Arc`; [`Auth::replace`] takes effect for every holder at once.
#[derive(Debug)]
pub struct Auth {
    tokens: RwLock<Arc<[Token]>>,
    /// How many tokens there are; what most requests ask first.
    count: AtomicUsize,
    /// How often the tokens were replaced.
    revision: AtomicU64,
}

/// A scope that a token has, and what it is limited to. Whoever keeps it renews it before each use, so that it ends with the
/// token.
#[derive(Clone, PartialEq, Eq)]
pub struct Permit {
    /// The token's name; `None` where no tokens are configured.
    name: Option<Arc<str>>,
    stories: StorySet,
    /// Of the token; `None` where none was needed.
    digest: Option<Digest>,
    scope: Scope,
    /// The tokens that it was checked against.
    revision: u64,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, stories, .. } = self;
        let mut permit = f.debug_struct("Permit");
        permit
            .field("name", &self.name())
            .field("scope", scope)
            .field("stories", stories)
            .finish_non_exhaustive()
    }
}

impl Permit {
    /// The token's name, for logs; `anonymous` where no tokens are configured.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("anonymous")
    }

    /// The stories that the request or connection is about; all others are as if unknown.
    pub fn stories(&self) -> &StorySet {
        &self.stories
    }

    /// Whose idempotency keys are told apart from all others'. A token that is limited to some stories has keys of its own, so
    /// that they tell nothing of what others have sent; all other tokens share theirs.
    pub fn key_owner(&self) -> Option<&str> {
        self.stories.is_limited().then_some(self.name())
    }
}

/// What has become of a permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    /// It is as it was.
    Same,
    /// It is for other stories now.
    OtherStories,
}

/// Why a request was denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// Nothing was presented (401).
    #[error("authentication required")]
    Missing,
    /// The token is not one of the configured ones (401).
    #[error("the token is not known")]
    Unknown,
    /// The token is known but does not have the scope (403).
    #[error("the token does not have the scope that this needs")]
    Scope,
}

impl Default for Auth {
    /// No tokens: everything is allowed.
    fn default() -> Self {
        Self::with(Vec::new())
    }
}

impl Auth {
    fn with(tokens: Vec<Token>) -> Self {
        let count = AtomicUsize::new(tokens.len());
        let tokens = RwLock::new(tokens.into());
        Self { tokens, count, revision: AtomicU64::new(0) }
    }

    /// The tokens of a tokens file, which is TOML:
    ///
    /// ```toml
    /// [[token]]
    /// name = "platform"             # 1 to 64 of A-Z a-z 0-9 . _ -
    /// scopes = ["read", "write"]    # read, write, admin (which implies the others)
    /// sha256 = "64 hexadecimal digits: the SHA-256 of the secret"
    /// stories = ["5b07ffafc2376e30306d9b16"]    # may be left out: all stories
    /// ```
    ///
    /// # Errors
    /// Every fault of the text at once, each with its line number. No fault repeats a digest.
    pub fn from_file_text(text: &str) -> Result<Self, Vec<String>> {
        parse::file(text).map(Self::with)
    }

    /// The tokens of an environment variable: `NAME:SCOPE+SCOPE:SECRET`, several separated by `;` or white space,
    /// e.g. `bots:write:tally_…;board:read:tally_…`. Such a token is for all stories. A secret has 16 to 256 characters of visible ASCII
    /// without `;`. The secrets are hashed at once.
    ///
    /// # Errors
    /// Every fault at once, each with the position of its entry. No fault repeats a secret.
    pub fn from_env_text(text: &str) -> Result<Self, Vec<String>> {
        parse::environment(text).map(Self::with)
    }

    /// The tokens of both, as when a file and the environment are configured.
    ///
    /// # Errors
    /// Names and secrets that both have, and too many tokens, each as one fault.
    pub fn merged(&self, other: &Self) -> Result<Self, Vec<String>> {
        let tokens: Vec<Token> = self.tokens().iter().chain(other.tokens().iter()).cloned().collect();
        let faults = parse::faults_between(&tokens);
        if faults.is_empty() { Ok(Self::with(tokens)) } else { Err(faults) }
    }

    /// Takes over the tokens of `other`, for every later [`check`](Self::check).
    pub fn replace(&self, other: &Self) {
        let tokens = other.tokens();
        let mut place = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        self.count.store(tokens.len(), Ordering::Release);
        *place = tokens;
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Whether no tokens are configured, so that everything is allowed.
    pub fn is_open(&self) -> bool {
        self.token_count() == 0
    }

    /// How many tokens are configured.
    pub fn token_count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Checks a presented token against a scope; `None` = nothing was presented. Every configured digest is
    /// compared, each in constant time, so that the time taken tells nothing about them.
    ///
    /// # Errors
    /// [`Denied`], where tokens are configured and none of them allows it.
    pub fn check(&self, presented: Option<&str>, scope: Scope) -> Result<Permit, Denied> {
        self.check_digest(presented.map(digest), scope)
    }

    /// Checks a permit against the tokens as they are now. Free of cost while they stay the same.
    ///
    /// # Errors
    /// [`Denied`], where they do not allow it any more.
    pub fn renew(&self, permit: &mut Permit) -> Result<Renewal, Denied> {
        if self.revision.load(Ordering::Acquire) == permit.revision {
            return Ok(Renewal::Same);
        }
        let now = self.check_digest(permit.digest, permit.scope)?;
        let before = std::mem::replace(permit, now);
        Ok(if before.stories == permit.stories { Renewal::Same } else { Renewal::OtherStories })
    }

    fn check_digest(&self, digest: Option<Digest>, scope: Scope) -> Result<Permit, Denied> {
        // Read first: where the tokens are replaced meanwhile, the permit is checked once more.
        let revision = self.revision.load(Ordering::Acquire);
        let anonymous = || Permit { name: None, stories: StorySet::ALL, digest, scope, revision };
        // Without tokens, requests share nothing that they write to, so that no core waits for another one's cache.
        if self.is_open() {
            return Ok(anonymous());
        }
        let tokens = self.tokens();
        if tokens.is_empty() {
            return Ok(anonymous());
        }
        let presented = digest.ok_or(Denied::Missing)?;
        let mut found = None;
        for token in tokens.iter() {
            if bool::from(token.digest.ct_eq(&presented)) {
                found = Some(token);
            }
        }
        let token = found.ok_or(Denied::Unknown)?;
        let is_allowed = token.scopes.contains(&scope) || token.scopes.contains(&Scope::Admin);
        let (name, stories) = (Some(Arc::clone(&token.name)), token.stories.clone());
        is_allowed.then_some(Permit { name, stories, digest, scope, revision }).ok_or(Denied::Scope)
    }

    fn tokens(&self) -> Arc<[Token]> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }
}
