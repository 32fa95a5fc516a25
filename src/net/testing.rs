//! What must hold for any text that comes as a tokens file, or as tokens in the environment. Run by `cargo test` and by the
//! targets of `fuzz/`; see [`crate::testing`].

use super::auth::{Auth, Denied, Permit, Scope};
use crate::limits::{TOKEN_SECRET_BYTES_MIN, TOKENS_MAX};

/// A text is tokens, or faults that name their place and repeat nothing secret; and a secret opens what its token says.
pub fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    file(text);
    environment(text);
}

fn file(text: &str) {
    match Auth::from_file_text(text) {
        Ok(auth) => assert_sound(&auth),
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = text.lines().count().max(1).saturating_add(1);
            for fault in &faults {
                let line =
                    fault.strip_prefix("line ").and_then(|rest| rest.split_once(':')).map(|(line, _)| line);
                let is_placed =
                    line.and_then(|line| line.parse().ok()).is_some_and(|line| (1..=lines).contains(&line));
                let is_between =
                    ["two tokens", "the token `", "there are "].iter().any(|it| fault.starts_with(it));
                assert!(is_placed || is_between, "{fault:?}");
                assert!(!fault.chars().any(char::is_control), "{fault:?}");
            }
            // Only the values of a digest: a key is none.
            for digest in
                text.split('"').filter(|text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
            {
                let is_value = text.contains(&format!("= \"{digest}\""));
                assert!(
                    !is_value || faults.iter().all(|fault| !fault.contains(digest)),
                    "a digest is repeated"
                );
            }
        }
    }
}

fn environment(text: &str) {
    let entries = || text.split(|c: char| c == ';' || c.is_whitespace()).filter(|entry| !entry.is_empty());
    let secrets = || entries().filter_map(|entry| entry.splitn(3, ':').nth(2));
    match Auth::from_env_text(text) {
        Ok(auth) => {
            assert_sound(&auth);
            assert_eq!(auth.token_count(), entries().count());
            for entry in entries() {
                let mut parts = entry.splitn(3, ':');
                let (name, scopes, secret) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
                for scope in scopes.split('+').filter_map(Scope::parse) {
                    let permit = auth.check(secret, scope);
                    assert_eq!(permit.as_ref().ok().map(Permit::name), name);
                    assert!(permit.is_ok_and(|permit| !permit.stories().is_limited()), "the file's alone");
                }
                if !scopes.split('+').any(|scope| matches!(scope, "admin" | "write")) {
                    assert!(auth.check(secret, Scope::Write) == Err(Denied::Scope), "more than its scopes");
                }
                assert!(!format!("{auth:?}").contains(secret.unwrap_or_default()), "a secret is shown");
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                assert!(!fault.chars().any(char::is_control), "{fault:?}");
                let is_told = ["token ", "two tokens", "the token `", "there are "]
                    .iter()
                    .any(|it| fault.starts_with(it));
                assert!(is_told, "{fault:?}");
                let is_repeated =
                    |secret: &str| secret.len() >= TOKEN_SECRET_BYTES_MIN && fault.contains(secret);
                assert!(!secrets().any(is_repeated), "a secret is repeated");
            }
        }
    }
}

/// Tokens are bounded, exclude each other, and let nobody in who has none.
fn assert_sound(auth: &Auth) {
    assert!(auth.token_count() <= TOKENS_MAX);
    assert_eq!(auth.merged(&Auth::default()).map(|merged| merged.token_count()), Ok(auth.token_count()));
    if auth.is_open() {
        return;
    }
    assert!(auth.merged(auth).is_err(), "tokens of one name");
    assert!(auth.check(None, Scope::Read) == Err(Denied::Missing));
    assert!(auth.check(Some("not any of them"), Scope::Read) == Err(Denied::Unknown));
}
