//! Where access tokens come from, and how they are read again. Knows nothing of what tokens look like.
//!
//! INVARIANT: secrets of the environment are hashed when they are read; only paths and digests are kept.

use std::path::{Path, PathBuf};

use super::ConfigFault;
use super::options::TOKENS_VARIABLE;
use super::raw::{Environment, read_text};
use crate::net::auth::Auth;

/// The variable in which systemd says where a service's credentials are.
pub(super) const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The name of the credential that holds tokens, in the form of a tokens file.
const CREDENTIAL: &str = "tokens";

/// The places that tokens are read from.
#[derive(Debug, Default)]
pub struct TokenSources {
    files: Vec<PathBuf>,
    environment: Auth,
}

impl TokenSources {
    /// The places that there are: the tokens file, the systemd credential, the variable.
    pub(super) fn find(
        file: Option<&Path>,
        environment: Environment<'_>,
        faults: &mut Vec<ConfigFault>,
    ) -> Self {
        let mut files: Vec<PathBuf> = file.map(Path::to_owned).into_iter().collect();
        let credential = environment(CREDENTIALS_VARIABLE).map(|dir| Path::new(&dir).join(CREDENTIAL));
        files.extend(credential.filter(|path| path.exists()));
        let text = match environment(TOKENS_VARIABLE).map(std::ffi::OsString::into_string) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(_)) => {
                faults.push(ConfigFault::new(TOKENS_VARIABLE, "is not UTF-8"));
                String::new()
            }
        };
        let environment = Auth::from_env_text(&text).unwrap_or_else(|whats| {
            faults.extend(whats.into_iter().map(|what| ConfigFault::new(TOKENS_VARIABLE, what)));
            Auth::default()
        });
        Self { files, environment }
    }

    /// Reads the tokens of all places. Blocks.
    ///
    /// # Errors
    /// Every fault of every place.
    pub fn load(&self) -> Result<Auth, Vec<ConfigFault>> {
        let mut faults = Vec::new();
        let mut all = Auth::default();
        match all.merged(&self.environment) {
            Ok(merged) => all = merged,
            Err(whats) => {
                faults.extend(whats.into_iter().map(|what| ConfigFault::new(TOKENS_VARIABLE, what)));
            }
        }
        for path in &self.files {
            match load_file(path).and_then(|auth| all.merged(&auth)) {
                Ok(merged) => all = merged,
                Err(whats) => {
                    faults.extend(whats.into_iter().map(|what| ConfigFault::new(path.display(), what)));
                }
            }
        }
        if faults.is_empty() { Ok(all) } else { Err(faults) }
    }
}

fn load_file(path: &Path) -> Result<Auth, Vec<String>> {
    let text = read_text(path).map_err(|what| vec![what])?;
    Auth::from_file_text(&text)
}
