//! Where a request carries its token, whether that is enough, and for which stories. The token itself is never logged or
//! repeated.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::http::request::Parts;
use hyper::{StatusCode, header};

use super::failure::Failure;
use super::routes::{Dialect, Endpoint, LimitedTokens, Route};
use crate::model::story_set::StorySet;
use crate::net::Services;
use crate::net::auth::{Auth, Denied, Permit, Renewal};
use crate::net::guessing::NoAccess;
use crate::net::metrics::Listener;

/// That a request was let in. Its token may be gone by the time that a long body has come or a long answer is read, so it is
/// renewed then.
#[derive(Clone, Debug)]
pub(super) struct Access {
    permit: Option<Permit>,
}

static ALL_STORIES: StorySet = StorySet::ALL;

impl Access {
    /// The stories that the request is about; all others are as if unknown.
    pub(super) fn stories(&self) -> &StorySet {
        self.permit.as_ref().map_or(&ALL_STORIES, Permit::stories)
    }

    /// What it was let in with; `None` on the routes that need no token.
    pub(super) fn into_permit(self) -> Option<Permit> {
        self.permit
    }

    /// The token's name.
    pub(super) fn token(&self) -> &str {
        self.permit.as_ref().map_or("", Permit::name)
    }

    /// Whose idempotency key the request has.
    pub(super) fn key_owner(&self) -> Option<&str> {
        self.permit.as_ref().and_then(Permit::key_owner)
    }

    /// Checks the token once more, against the tokens as they are now. Free of cost while they stay the same.
    pub(super) fn renew(&mut self, auth: &Auth) -> Result<Renewal, Failure> {
        self.permit.as_mut().map_or(Ok(Renewal::Same), |permit| auth.renew(permit).map_err(denied))
    }
}

/// Lets the request in, or says why not. 401 without a known token, 403 with one that lacks the scope, or that is limited to
/// some stories where the route is about all; where the peer guesses tokens 429. The routes of events never say 429, which makes
/// a client throw its events away: what is wrong is 401 there, and what was not checked 503.
pub(super) fn check(
    services: &Services,
    route: &Route,
    head: &Parts,
    peer: Option<IpAddr>,
) -> Result<Access, Failure> {
    let access = Access { permit: permit(services, route, head, peer)? };
    if route.limited_tokens == LimitedTokens::Refused && access.stories().is_limited() {
        let message = "this is about all stories, and the token is limited to some";
        return Err(Failure::new(StatusCode::FORBIDDEN, message));
    }
    Ok(access)
}

fn permit(
    services: &Services,
    route: &Route,
    head: &Parts,
    peer: Option<IpAddr>,
) -> Result<Option<Permit>, Failure> {
    if route.scopes.is_empty() {
        return Ok(None);
    }
    let presented = presented(head, route.dialect);
    // Where everything is allowed, there is nothing to guess.
    let peer = peer.filter(|_| !services.auth.is_open());
    let outcome = services.guessing.check((Listener::Http, peer), presented.as_deref(), || {
        let mut denied = Denied::Missing;
        for scope in route.scopes {
            match services.auth.check(presented.as_deref(), *scope) {
                Ok(permit) => return Ok(permit),
                Err(why) => denied = why,
            }
        }
        Err(denied)
    });
    outcome.map(Some).map_err(|why| match why {
        NoAccess::Denied(why) => denied(why),
        NoAccess::Hasty(_) if route.endpoint == Endpoint::WriteEvents => denied(Denied::Unknown),
        NoAccess::Unchecked(pause) if route.endpoint == Endpoint::WriteEvents => {
            Failure::unavailable(format!("{why}; nothing was counted; send the events again")).after(pause)
        }
        NoAccess::Hasty(pause) | NoAccess::Unchecked(pause) => {
            Failure::new(StatusCode::TOO_MANY_REQUESTS, why.to_string()).after(pause)
        }
    })
}

fn denied(why: Denied) -> Failure {
    let status = match why {
        Denied::Missing | Denied::Unknown => StatusCode::UNAUTHORIZED,
        Denied::Scope => StatusCode::FORBIDDEN,
    };
    Failure::new(status, why.to_string())
}

/// The token of a request: `Authorization: Bearer` everywhere; on the routes of `InfluxDB` clients also `Token`,
/// the password of `Basic`, and the query parameter `p`.
fn presented(head: &Parts, dialect: Dialect) -> Option<Cow<'_, str>> {
    let header = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((scheme, rest)) = header.and_then(|value| value.trim().split_once(' ')) {
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Cow::Borrowed(rest));
        }
        if dialect != Dialect::Own && scheme.eq_ignore_ascii_case("token") {
            return Some(Cow::Borrowed(rest));
        }
        if dialect != Dialect::Own && scheme.eq_ignore_ascii_case("basic") {
            let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            let (_user, password) = decoded.split_once(':')?;
            return Some(Cow::Owned(password.to_owned()));
        }
    }
    if dialect == Dialect::Own {
        return None;
    }
    form_urlencoded::parse(head.uri.query()?.as_bytes())
        .find_map(|(key, value)| (key == "p").then_some(value))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn check_presented(uri: &str, authorization: Option<&str>, dialect: Dialect, expected: Option<&str>) {
        let mut request = Request::builder().uri(uri);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(presented(&head, dialect).as_deref(), expected, "{uri} {authorization:?} {dialect:?}");
    }

    #[test]
    fn presented_is_found_where_each_dialect_puts_it() {
        let basic = format!("Basic {}", STANDARD.encode("user:se:cret"));
        for (uri, authorization, dialect, expected) in [
            ("/x", Some("Bearer abc"), Dialect::Own, Some("abc")),
            ("/x", Some("bearer  abc "), Dialect::InfluxV2, Some("abc")),
            ("/x", Some("Token abc"), Dialect::InfluxV2, Some("abc")),
            ("/x", Some("Token abc"), Dialect::Own, None),
            ("/x", Some(basic.as_str()), Dialect::InfluxV1, Some("se:cret")),
            ("/x", Some(basic.as_str()), Dialect::Own, None),
            ("/x", Some("Basic !!"), Dialect::InfluxV1, None),
            ("/x?u=user&p=a%2Bb", None, Dialect::InfluxV1, Some("a+b")),
            ("/x?u=user&p=abc", None, Dialect::Own, None),
            ("/x?p=abc", Some("Bearer other"), Dialect::InfluxV1, Some("other")),
            ("/x", Some("abc"), Dialect::InfluxV1, None),
            ("/x", None, Dialect::InfluxV1, None),
        ] {
            check_presented(uri, authorization, dialect, expected);
        }
    }
}
