//! `POST /backup` and `GET /cluster/snapshot`: a copy of the data directory, as an archive that a thread reads while the client takes it. What a copy is
//! is the store's; here it only gets its place, its thread and its errors.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::access::Access;
use super::body_error::BodyError;
use super::failure::Failure;
use super::response::{HttpResponse, NO_STORE};
use super::response_body::ResponseBody;
use super::routes::Route;
use super::{HttpShared, body, replica};
use crate::limits::BACKUP_CHUNKS_AHEAD;
use crate::model::excerpt::Excerpt;
use crate::net::metrics::Bound;
use crate::store::backup::{Backup, BackupError, ListedFile};

/// `Content-Type` of the archive.
pub(super) const KIND: &str = "application/x-tar";

/// The body of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// What the client has already.
    #[serde(default)]
    stands: Vec<ListedFile>,
}

/// `POST /backup`.
pub(super) async fn backup(
    shared: &Arc<HttpShared>,
    (route, mut access): (&Route, Access),
    (head, body): (&Parts, &mut Incoming),
) -> Result<HttpResponse, Failure> {
    takes_no_parameters(head)?;
    let json = body::read(shared, route.body.bytes_max, head, body).await.map_err(BodyError::of_no_events)?;
    let auth = &shared.services.auth;
    access.renew(auth)?;
    let wanted = parse(json.bytes())?;
    drop(json);
    send(shared, access, wanted.stands).await
}

/// `GET /cluster/snapshot`: the same, whole, of a daemon that shares a log and has read of it. `404` where it shares none.
pub(super) async fn snapshot(
    shared: &Arc<HttpShared>,
    access: Access,
    head: &Parts,
) -> Result<HttpResponse, Failure> {
    takes_no_parameters(head)?;
    let log = shared.services.log.as_ref().ok_or_else(replica::no_log)?;
    if log.view.position().is_none() {
        return Err(Failure::unavailable("this node has read nothing of the log yet"));
    }
    send(shared, access, Vec::new()).await
}

fn takes_no_parameters(head: &Parts) -> Result<(), Failure> {
    let Some((name, _)) = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).next()
    else {
        return Ok(());
    };
    let name = Excerpt::new(&name).to_string();
    let message = format!("`{name}` is not known; this path takes no parameters");
    Err(Failure::parameter(name, message))
}

/// Sends a copy without the files that the client has already.
async fn send(
    shared: &Arc<HttpShared>,
    access: Access,
    stands: Vec<ListedFile>,
) -> Result<HttpResponse, Failure> {
    let auth = &shared.services.auth;
    let place = Arc::clone(&shared.backups).try_acquire_owned();
    let place = place.map_err(|_none_left| Failure::overloaded(Bound::Backups))?;
    let backups = shared.services.backups.clone();
    let (pieces, archive) = mpsc::channel(BACKUP_CHUNKS_AHEAD);
    let (began, beginning) = tokio::sync::oneshot::channel();
    // Its thread lets those go first whom somebody waits for.
    shared.runtimes.heavy.spawn_blocking(move || {
        match backups.begin(&stands) {
            Ok(backup) => {
                if began.send(Ok(())).is_ok() {
                    read_out((backup, place), &pieces);
                }
            }
            Err(error) => {
                // Before the answer: a client that asks again at once finds the place free.
                drop(place);
                drop(began.send(Err(error)));
            }
        }
    });
    match beginning.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(refused(&error)),
        Err(_) => return Err(Failure::internal()),
    }
    let body = ResponseBody::archive(archive, (access.into_permit(), Arc::clone(auth)));
    let mut response = HttpResponse::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    headers.insert(CACHE_CONTROL, NO_STORE);
    Ok(response)
}

/// Hands the archive over, piece by piece, and an empty piece at its end, when the place is free again: a client that has the
/// whole archive may ask for the next one at once. What goes wrong is in the log.
fn read_out((mut backup, place): (Backup, OwnedSemaphorePermit), pieces: &mpsc::Sender<Bytes>) {
    while let Ok(chunk) = backup.next_chunk() {
        let Some(chunk) = chunk else {
            drop((backup, place));
            // Fails where the client is gone, to whom the end says nothing.
            drop(pieces.blocking_send(Bytes::new()));
            return;
        };
        if pieces.blocking_send(chunk.into()).is_err() {
            return;
        }
    }
}

fn parse(json: &[u8]) -> Result<Wanted, Failure> {
    if json.trim_ascii().is_empty() {
        return Ok(Wanted::default());
    }
    serde_json::from_slice(json).map_err(|error| {
        let message = format!("the body must be JSON with the files that stand, or nothing: {error}");
        Failure::parameter("body", message)
    })
}

/// What the client hears. Names of files are for the log.
fn refused(error: &BackupError) -> Failure {
    tracing::warn!(%error, "a backup was refused");
    match error {
        BackupError::UnderWay => Failure::overloaded(Bound::Backups),
        BackupError::Closing => Failure::unavailable("the daemon is stopping"),
        BackupError::NotSealed(_) => Failure::unavailable(
            "the journal cannot be sealed, as on a full disk, so there is no backup; see the daemon's log",
        ),
        BackupError::Late => {
            Failure::unavailable("the backup waits for a snapshot that is being made; try again")
        }
        BackupError::File(_) | BackupError::TooSlow => Failure::internal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_lists_what_stands_or_is_empty() {
        for (body, files) in [
            ("", Some(0)),
            ("\n", Some(0)),
            ("{}", Some(0)),
            (r#"{"stands":[{"name":"keys.0000000002","bytes":7,"crc32":9}]}"#, Some(1)),
            ("[]x", None),
            ("conversation,source=app count=1i", None),
            (r#"{"stands":[{"name":"a"}]}"#, None),
            (r#"{"stand":[]}"#, None),
        ] {
            assert_eq!(parse(body.as_bytes()).ok().map(|wanted| wanted.stands.len()), files, "{body}");
        }
    }
}
