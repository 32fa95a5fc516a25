//! Where the certificate and its key come from, and how they are read again. Knows nothing of handshakes.

use std::path::PathBuf;

use super::ConfigFault;
use super::raw::read_bytes;
use crate::net::listener::TlsIdentity;

/// The files of a certificate and its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl TlsFiles {
    /// Both, or neither.
    pub(super) fn find(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
        faults: &mut Vec<ConfigFault>,
    ) -> Option<Self> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Self { certificate, key }),
            (None, None) => None,
            (Some(certificate), None) => {
                faults.push(ConfigFault::new(
                    certificate.display(),
                    "is a certificate; --tls-key names its key",
                ));
                None
            }
            (None, Some(key)) => {
                faults.push(ConfigFault::new(key.display(), "is a key; --tls-cert names its certificate"));
                None
            }
        }
    }

    /// Reads both. Blocks.
    ///
    /// # Errors
    /// What is wrong with them; no part of the key is repeated.
    pub fn load(&self) -> Result<TlsIdentity, ConfigFault> {
        let read = |path: &PathBuf| read_bytes(path).map_err(|what| ConfigFault::new(path.display(), what));
        let (certificate, key) = (read(&self.certificate)?, read(&self.key)?);
        let place = format!("{} and {}", self.certificate.display(), self.key.display());
        TlsIdentity::from_pem(&certificate, &key).map_err(|error| ConfigFault::new(place, error))
    }
}
