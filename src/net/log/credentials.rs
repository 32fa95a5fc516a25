//! Who we are to the servers of a log: a user and a password, or a user's JWT and the seed that signs for it. Which of them, the text of a
//! file says, which is read anew for each connection. What the client makes of them is not known here.
//!
//! INVARIANT: a secret is never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::CREDENTIALS_BYTES_MAX;

/// Who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// By a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// By a key, whose name an account has signed.
    Signed {
        /// What the account has signed: the user's name and permissions.
        jwt: String,
        /// The user's key.
        seed: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::Signed { .. } => f.debug_struct("Signed").finish_non_exhaustive(),
        }
    }
}

/// Why a file of credentials has none.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The machine's reason.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{}: {fault}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: CredentialsFault,
    },
}

/// What is wrong with the text of a file of credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsFault {
    /// It is of neither kind.
    #[error("takes one line, `user:password`, or NATS credentials, a user's JWT and the seed of its key")]
    Neither,
    /// One half of credentials is not there.
    #[error(
        "has a part of NATS credentials; they are a user's JWT and the seed of its key, each between a line BEGIN and a line END"
    )]
    Half,
    /// What stands there as JWT is none.
    #[error("what stands there as the user's JWT is none: three parts between dots, and nothing else")]
    Jwt,
    /// What stands there as seed is none.
    #[error(
        "what stands there as the seed of the user's key is none: 58 letters and digits that begin with SU, none of them mistyped"
    )]
    Seed,
}

impl Credentials {
    /// The credentials of a text.
    ///
    /// # Errors
    /// [`CredentialsFault`].
    pub fn parse(text: &str) -> Result<Self, CredentialsFault> {
        if text.len() > CREDENTIALS_BYTES_MAX {
            return Err(CredentialsFault::Neither);
        }
        match (block(text, "USER JWT"), block(text, "USER NKEY SEED")) {
            (None, None) => Self::parse_line(text).ok_or(CredentialsFault::Neither),
            (Some(jwt), Some(_)) if !is_jwt(&jwt) => Err(CredentialsFault::Jwt),
            (Some(_), Some(seed)) if !is_user_seed(&seed) => Err(CredentialsFault::Seed),
            (Some(jwt), Some(seed)) => Ok(Self::Signed { jwt, seed }),
            _ => Err(CredentialsFault::Half),
        }
    }

    fn parse_line(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (user, password) = line.split_once(':')?;
        let is_whole = !line.contains(['\n', '\r']) && !user.is_empty() && !password.is_empty();
        is_whole.then(|| Self::Password { user: user.to_owned(), password: password.to_owned() })
    }
}

/// What stands between the line that begins something of that name and the next one of dashes.
fn block(text: &str, name: &str) -> Option<String> {
    let is_begin = |line: &&str| line.starts_with("---") && line.contains("BEGIN") && line.contains(name);
    let mut lines = text.lines().map(str::trim).skip_while(|line| !is_begin(line));
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with("---")).collect())
}

fn is_jwt(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// Whether that is the seed of a user's key: its kind, 32 bytes, and a checksum of both, in base 32.
fn is_user_seed(text: &str) -> bool {
    let bytes = base32(text).unwrap_or_default();
    let Some((body, sum)) = bytes.split_last_chunk::<2>() else { return false };
    text.starts_with("SU") && body.len() == 34 && crc16(body) == u16::from_le_bytes(*sum)
}

/// The bytes of a text of whole digits; bits that make no byte are nought.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for digit in text.bytes() {
        let five = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        (bits, held) = ((bits << 5) | u32::from(five), held + 5);
        if held >= 8 {
            held -= 8;
            let [.., byte] = (bits >> held).to_be_bytes();
            bytes.push(byte);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

/// XMODEM's.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum: u16, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 }
        })
    })
}

/// A file of credentials, with those that were good when it was read last.
#[derive(Clone, Debug)]
pub struct CredentialsFile {
    path: PathBuf,
    good: Arc<Mutex<Credentials>>,
}

impl CredentialsFile {
    /// The file, which must be good now. Blocks.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn open(path: &Path) -> Result<Self, CredentialsError> {
        let good = read(path)?;
        Ok(Self { path: path.to_owned(), good: Arc::new(Mutex::new(good)) })
    }

    /// What stands in it now, or what stood in it when it was good, and why it is not. Blocks.
    pub fn read(&self) -> (Credentials, Option<CredentialsError>) {
        let read = read(&self.path);
        // Nothing that is done under it can panic half-way.
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(credentials) => {
                good.clone_from(&credentials);
                (credentials, None)
            }
            Err(error) => (good.clone(), Some(error)),
        }
    }
}

impl PartialEq for CredentialsFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for CredentialsFile {}

fn read(path: &Path) -> Result<Credentials, CredentialsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CredentialsError::Unreadable { path: path.to_owned(), source })?;
    Credentials::parse(&text).map_err(|fault| CredentialsError::Wrong { path: path.to_owned(), fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for this test, and known to no server.
    const SEED: &str = "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM";
    const JWT: &str = "eyJ0eXAiOiJKV1QifQ.eyJuYW1lIjoidGFsbHlkIn0.c2ln-_A";

    fn signed(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\nNKEY Seed printed below can be used to sign.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn one_line_is_a_user_and_a_password_and_is_not_shown() {
        let credentials = Credentials::parse("tallyd:pass:word\n").unwrap();
        assert!(!format!("{credentials:?}").contains("pass"));
        let (user, password) = ("tallyd".to_owned(), "pass:word".to_owned());
        assert_eq!(credentials, Credentials::Password { user, password });
        for text in
            ["", "user", ":x", "x:", "a:b\nc:d\n", &format!("a:{}", "x".repeat(CREDENTIALS_BYTES_MAX))]
        {
            assert_eq!(Credentials::parse(text), Err(CredentialsFault::Neither), "{text}");
        }
    }

    #[test]
    fn jwt_and_seed_are_taken_as_they_are_written_and_are_not_shown() {
        let whole = Credentials::Signed { jwt: JWT.to_owned(), seed: SEED.to_owned() };
        let text = signed(JWT, SEED);
        assert_eq!(Credentials::parse(&text), Ok(whole.clone()));
        // As other systems write lines, and without the last end of line.
        assert_eq!(Credentials::parse(&text.replace('\n', "\r\n")), Ok(whole.clone()));
        assert_eq!(Credentials::parse(text.trim_end()), Ok(whole.clone()));
        let shown = format!("{whole:?}");
        assert!(!shown.contains(SEED) && !shown.contains(JWT), "{shown}");
    }

    #[test]
    fn what_is_half_or_mistyped_is_told_apart_without_showing_it() {
        let mistyped = SEED.replace("IP7", "IP6");
        let account = SEED.replacen("SU", "SA", 1);
        let (jwt_alone, seed_alone) =
            signed(JWT, SEED).split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        for (text, fault) in [
            (jwt_alone, CredentialsFault::Half),
            (seed_alone, CredentialsFault::Half),
            (signed("a.b", SEED), CredentialsFault::Jwt),
            (signed("", SEED), CredentialsFault::Jwt),
            (signed("a.b.c d", SEED), CredentialsFault::Jwt),
            (signed(JWT, &mistyped), CredentialsFault::Seed),
            (signed(JWT, &account), CredentialsFault::Seed),
            (signed(JWT, SEED.split_at(57).0), CredentialsFault::Seed),
            (signed(JWT, &SEED.to_lowercase()), CredentialsFault::Seed),
            (signed(JWT, ""), CredentialsFault::Seed),
        ] {
            assert_eq!(Credentials::parse(&text), Err(fault), "{text}");
            assert!(!fault.to_string().contains(SEED.split_at(10).0));
        }
    }

    #[test]
    fn file_that_is_no_good_any_more_leaves_what_was_good() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("no credentials");
        assert!(CredentialsFile::open(&path).is_err());
        write("tallyd:one");
        let file = CredentialsFile::open(&path).unwrap();
        let user = "tallyd".to_owned();
        let one = Credentials::Password { user: user.clone(), password: "one".to_owned() };
        write("tallyd:two");
        let two = Credentials::Password { user, password: "two".to_owned() };
        assert_ne!(one, two);
        assert!(matches!(file.read(), (read, None) if read == two));
        write("");
        assert!(matches!(file.read(), (read, Some(CredentialsError::Wrong { .. })) if read == two));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.read(), (read, Some(CredentialsError::Unreadable { .. })) if read == two));
        write("tallyd:one");
        assert!(matches!(file.clone().read(), (read, None) if read == one));
    }
}
