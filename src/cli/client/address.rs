//! The address of a daemon, taken from a URL. Pure.

use anyhow::{Context as _, bail};

/// Where a daemon listens for HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// Name or address, without the brackets of IPv6.
    pub(crate) host: String,
    /// The port; 80 where the URL names none.
    pub(crate) port: u16,
    /// Host and port as the `Host` header has them.
    pub(crate) authority: String,
    /// What stands before every path, without a slash at its end; mostly empty.
    pub(crate) prefix: String,
}

impl Address {
    /// The address in a URL like `http://127.0.0.1:8780` or `http://[::1]:8780/behind/a/proxy`.
    ///
    /// # Errors
    /// Where it is not an `http` URL of a host.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let uri: hyper::Uri = url.parse().with_context(|| format!("{url:?} is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => bail!("{url:?}: https is not there yet; put a TLS proxy in front of the daemon"),
            _ => bail!("{url:?} is not a URL of the form http://HOST:PORT"),
        }
        if uri.query().is_some() {
            bail!("{url:?}: the address of a daemon has no query");
        }
        let authority = uri.authority().with_context(|| format!("{url:?} names no host"))?;
        if authority.as_str().contains('@') {
            bail!("the URL holds a user or a password; use --token-file");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_takes_names_numbers_ports_and_prefixes() {
        for (url, host, port, prefix) in [
            ("http://127.0.0.1:8780", "127.0.0.1", 8780, ""),
            ("http://127.0.0.1:8780/", "127.0.0.1", 8780, ""),
            ("http://[::1]:8780", "::1", 8780, ""),
            ("http://stats.internal", "stats.internal", 80, ""),
            ("http://stats.internal/tallyd/", "stats.internal", 80, "/tallyd"),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!((address.host.as_str(), address.port, address.prefix.as_str()), (host, port, prefix));
        }
    }

    #[test]
    fn address_refuses_what_is_not_a_daemon() {
        for url in [
            "",
            "127.0.0.1:8780",
            "/reports",
            "https://127.0.0.1",
            "ftp://127.0.0.1",
            "http://a:b@127.0.0.1",
            "http://127.0.0.1/?a=b",
        ] {
            assert!(Address::parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn address_never_repeats_a_password() {
        let error = Address::parse("http://me:secret@127.0.0.1").expect_err("a password");
        assert!(!format!("{error:#}").contains("secret"));
    }
}
