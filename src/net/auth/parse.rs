//! Token texts to tokens: the tokens file and the environment's form. Pure; every fault is found in one run.
//! INVARIANT: no fault repeats a secret or a digest.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Digest, Scope, Scopes, Token, digest};
use crate::limits::{
    STORIES_PER_TOKEN_MAX, TOKEN_NAME_BYTES_MAX, TOKEN_SECRET_BYTES_MAX, TOKEN_SECRET_BYTES_MIN, TOKENS_MAX,
};
use crate::model::event::{ObjectId, StoryId};
use crate::model::story_set::StorySet;

const SCOPES_TAKEN: &str = "\"read\", \"write\" or \"admin\"";

pub(super) fn file(text: &str) -> Result<Vec<Token>, Vec<String>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = FileReader { text, faults: Vec::new() };
    for error in &errors {
        reader.fault(error.span().map_or(0, |span| span.start), error.message());
    }
    let mut tokens = Vec::new();
    // After a syntax error the rest is guesswork, so only the syntax errors are reported.
    if errors.is_empty() {
        tokens = reader.root(root.get_ref());
    }
    reader.faults.sort();
    let mut faults: Vec<String> =
        reader.faults.into_iter().map(|(line, what)| format!("line {line}: {what}")).collect();
    faults.extend(faults_between(&tokens));
    if faults.is_empty() { Ok(tokens) } else { Err(faults) }
}

pub(super) fn environment(text: &str) -> Result<Vec<Token>, Vec<String>> {
    let mut tokens = Vec::new();
    let mut faults = Vec::new();
    let entries = text.split(|c: char| c == ';' || c.is_whitespace()).filter(|entry| !entry.is_empty());
    for (index, entry) in entries.enumerate() {
        match environment_entry(entry) {
            Ok(token) => tokens.push(token),
            Err(what) => faults.push(format!("token {}: {what}", index.saturating_add(1))),
        }
    }
    faults.extend(faults_between(&tokens));
    if faults.is_empty() { Ok(tokens) } else { Err(faults) }
}

fn environment_entry(entry: &str) -> Result<Token, String> {
    let mut parts = entry.splitn(3, ':');
    let (Some(name), Some(scope_names), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("must be NAME:SCOPE+SCOPE:SECRET".to_owned());
    };
    check_name(name)?;
    let scopes: Option<Scopes> = scope_names.split('+').map(Scope::parse).collect();
    let scopes = scopes.ok_or_else(|| format!("a scope is {SCOPES_TAKEN}"))?;
    check_secret(secret)?;
    Ok(Token { name: name.into(), scopes, stories: StorySet::ALL, digest: digest(secret) })
}

/// Names and digests that occur twice, and too many tokens.
pub(super) fn faults_between(tokens: &[Token]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut names = HashSet::new();
    let mut digests = HashSet::new();
    for token in tokens {
        if !names.insert(&token.name) {
            faults.push(format!("two tokens have the name `{}`", token.name));
        }
        if !digests.insert(&token.digest) {
            faults.push(format!("the token `{}` has the same secret as one before it", token.name));
        }
    }
    if tokens.len() > TOKENS_MAX {
        faults.push(format!("there are {} tokens; {TOKENS_MAX} is the most", tokens.len()));
    }
    faults
}

/// Refuses to limit a token with those scopes to so many stories.
pub(super) fn check_limit(scopes: &Scopes, stories: usize) -> Result<(), String> {
    if stories == 0 {
        return Err("`stories` is empty; leave it out for all stories".to_owned());
    }
    if stories > STORIES_PER_TOKEN_MAX {
        return Err(format!(
            "a token is limited to {STORIES_PER_TOKEN_MAX} stories at most, not to {stories}"
        ));
    }
    if scopes.contains(&Scope::Admin) {
        return Err("a token with the scope \"admin\" cannot be limited to stories".to_owned());
    }
    Ok(())
}

/// Refuses names that would be awkward in logs and on command lines.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=TOKEN_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    let fault = || format!("`name` must be 1 to {TOKEN_NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -");
    fits.then_some(()).ok_or_else(fault)
}

fn check_secret(secret: &str) -> Result<(), String> {
    let fits = (TOKEN_SECRET_BYTES_MIN..=TOKEN_SECRET_BYTES_MAX).contains(&secret.len())
        && secret.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(()).ok_or_else(|| {
        format!(
            "the secret must be {TOKEN_SECRET_BYTES_MIN} to {TOKEN_SECRET_BYTES_MAX} visible ASCII characters"
        )
    })
}

/// Walks a parsed tokens file and gathers (line, fault).
struct FileReader<'t> {
    text: &'t str,
    faults: Vec<(usize, String)>,
}

impl FileReader<'_> {
    fn fault(&mut self, offset: usize, what: impl Into<String>) {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count().saturating_add(1);
        self.faults.push((line, what.into()));
    }

    fn root(&mut self, root: &DeTable<'_>) -> Vec<Token> {
        let mut tokens = Vec::new();
        for (key, value) in root {
            let at = key.span().start;
            if key.get_ref() != "token" {
                self.fault(
                    at,
                    format!("`{}` is not known; only [[token]] tables are", key.get_ref().escape_debug()),
                );
                continue;
            }
            let Some(entries) = value.get_ref().as_array() else {
                self.fault(at, "`token` must be written as [[token]] tables");
                continue;
            };
            for entry in entries {
                let before = self.faults.len();
                let token = self.token(entry);
                if self.faults.len() == before {
                    tokens.push(token);
                }
            }
        }
        tokens
    }

    /// The token of one table; of use only if no fault was found in it.
    fn token(&mut self, entry: &Spanned<DeValue<'_>>) -> Token {
        let (scopes, stories) = (Scopes::default(), StorySet::ALL);
        let mut token = Token { name: "".into(), scopes, stories, digest: [0; 32] };
        let at = entry.span().start;
        let Some(table) = entry.get_ref().as_table() else {
            self.fault(at, "`token` must be written as [[token]] tables");
            return token;
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => match value.get_ref().as_str().map(|name| (name, check_name(name))) {
                    Some((name, Ok(()))) => token.name = name.into(),
                    Some((_, Err(what))) => self.fault(value.span().start, what),
                    None => self.fault(value.span().start, "`name` must be a string"),
                },
                "scopes" => token.scopes = self.scopes(value),
                "sha256" => match value.get_ref().as_str().and_then(parse_digest) {
                    Some(digest) => token.digest = digest,
                    None => self.fault(
                        value.span().start,
                        "`sha256` must be 64 hexadecimal digits: the SHA-256 of the secret, not the secret itself",
                    ),
                },
                // Read below, since the scopes may come after them.
                "stories" => {}
                other => self.fault(
                    key.span().start,
                    format!(
                        "`{}` is not known; a token has name, scopes, sha256 and stories",
                        other.escape_debug()
                    ),
                ),
            }
        }
        if let Some(value) = table.get("stories") {
            token.stories = self.stories(&token.scopes, value);
        }
        for needed in ["name", "scopes", "sha256"] {
            if !table.contains_key(needed) {
                self.fault(at, format!("the token has no `{needed}`"));
            }
        }
        token
    }

    fn stories(&mut self, scopes: &Scopes, value: &Spanned<DeValue<'_>>) -> StorySet {
        let at = value.span().start;
        let Some(texts) = value.get_ref().as_array() else {
            self.fault(at, "`stories` must be an array of story ids");
            return StorySet::ALL;
        };
        if let Err(what) = check_limit(scopes, texts.len()) {
            self.fault(at, what);
            return StorySet::ALL;
        }
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            match text.get_ref().as_str().and_then(|text| ObjectId::parse(text.as_bytes())) {
                Some(id) => ids.push(StoryId(id)),
                None => self.fault(text.span().start, "a story id must be 24 ASCII letters and digits"),
            }
        }
        StorySet::only(ids)
    }

    fn scopes(&mut self, value: &Spanned<DeValue<'_>>) -> Scopes {
        let mut scopes = Scopes::default();
        let at = value.span().start;
        let Some(names) = value.get_ref().as_array() else {
            self.fault(at, format!("`scopes` must be an array of {SCOPES_TAKEN}"));
            return scopes;
        };
        for name in names {
            match name.get_ref().as_str().and_then(Scope::parse) {
                Some(scope) => _ = scopes.insert(scope),
                None => self.fault(name.span().start, format!("a scope is {SCOPES_TAKEN}")),
            }
        }
        if names.is_empty() && scopes.is_empty() {
            self.fault(at, "`scopes` is empty, so the token would be of no use");
        }
        scopes
    }
}

fn parse_digest(hex: &str) -> Option<Digest> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let bytes: Vec<u8> = digits?.as_chunks().0.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok().filter(|_| hex.len() == 64)
}
