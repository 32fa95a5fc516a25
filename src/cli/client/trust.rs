//! Which certificates an https daemon is trusted by: those of a file, or the system's. Knows nothing of connections.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::CertificateResult;

/// What trusts the certificates of the file, or the system's where there is none. Blocks, while it reads files.
pub(super) fn config(file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let certificates = match file {
        Some(path) => {
            let place = || format!("{}: no certificates can be read (PEM)", path.display());
            let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(place)?.collect();
            found.with_context(place)?
        }
        None => of_the_system()?,
    };
    let mut roots = RootCertStore::empty();
    let (taken, _unusable) = roots.add_parsable_certificates(certificates);
    let place = || file.map_or("this system".to_owned(), |path| path.display().to_string());
    ensure!(taken > 0, "{}: there is no certificate that can be used", place());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Some of them may be of no use, but not all.
fn of_the_system() -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let CertificateResult { certs, errors, .. } = rustls_native_certs::load_native_certs();
    if certs.is_empty() {
        let why = errors.first().map_or(String::new(), |error| format!(" ({error})"));
        bail!("this system has no certificates to trust{why}; give --ca-file");
    }
    Ok(certs)
}

/// Whether the error, or what caused it, is about TLS, so that another try would end as this one did.
pub(super) fn is_about_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}
