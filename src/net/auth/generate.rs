//! New secrets and their entries for a tokens file. The secret is handed to the caller once and kept nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Scope, Scopes, digest, parse};
use crate::model::event::StoryId;

/// What the secrets begin with.
const PREFIX: &str = "tally_";

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The name cannot be a token's.
    #[error("{0}")]
    Name(String),
    /// No scope was given.
    #[error("a token needs at least one scope")]
    NoScope,
    /// A token cannot be limited so.
    #[error("{0}")]
    Stories(String),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random(#[source] getrandom::Error),
}

/// A new secret of 256 random bits, as `tally_` and 43 characters of URL-safe base64, and the TOML text that makes
/// it known when it is added to a tokens file. `stories` are those that it is limited to; none for all stories.
///
/// # Errors
/// [`GenerateError`].
pub fn generate(
    name: &str,
    scopes: &[Scope],
    stories: &[StoryId],
) -> Result<(String, String), GenerateError> {
    parse::check_name(name).map_err(GenerateError::Name)?;
    let scopes: Scopes = scopes.iter().copied().collect();
    if scopes.is_empty() {
        return Err(GenerateError::NoScope);
    }
    let stories_line = stories_line(&scopes, stories)?;
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(GenerateError::Random)?;
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let names: Vec<String> = scopes.iter().map(|scope| format!("\"{}\"", scope.as_str())).collect();
    let entry = format!(
        "[[token]]\nname = \"{name}\"\nscopes = [{}]\n{stories_line}sha256 = \"{}\"\n",
        names.join(", "),
        hex(&digest(&secret))
    );
    Ok((secret, entry))
}

/// Whether a secret has the form of those that [`generate`] makes, of which nobody guesses one.
pub(in crate::net) fn has_generated_form(secret: &str) -> bool {
    let mut random = [0_u8; 32];
    let text = secret.strip_prefix(PREFIX);
    text.is_some_and(|text| URL_SAFE_NO_PAD.decode_slice(text, &mut random) == Ok(random.len()))
}

/// The line that limits a token to those stories; nothing where there are none.
fn stories_line(scopes: &Scopes, stories: &[StoryId]) -> Result<String, GenerateError> {
    if stories.is_empty() {
        return Ok(String::new());
    }
    parse::check_limit(scopes, stories.len()).map_err(GenerateError::Stories)?;
    let ids: Vec<String> = stories.iter().map(|id| format!("\"{id}\"")).collect();
    Ok(format!("stories = [{}]\n", ids.join(", ")))
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}
