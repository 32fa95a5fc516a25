//! Which certificates an https daemon is trusted by: those of a file, or the system's. Knows nothing of connections.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// What trusts the certificates of the file, or the system's where there is none. Blocks, while it reads files.
pub(super) fn config(file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let certificates = match file {
        Some(path) => {
            let place = || format!("{}: no certificates can be read (PEM)", path.display());
            let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(place)?.collect();
            found.with_context(place)?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (taken, _unusable) = roots.add_parsable_certificates(certificates);
    match file {
        Some(path) => ensure!(taken > 0, "{}: it has no certificate that can be used", path.display()),
        None => ensure!(taken > 0, "this system has no certificates to trust; give --ca-file"),
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether the error, or what caused it, is about TLS, so that another try would end as this one did.
pub(super) fn is_about_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}
