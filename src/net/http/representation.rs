//! In which form an answer is sent: its tag alone where the client has it already (`304`), packed, or as it is.
//! INVARIANT: an answer that is made while it is read has no tag and is not packed.

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::entity_tag::EntityTag;
use super::inflate::Encoding;
use super::response::{HttpResponse, NO_STORE};
use super::response_body::ResponseBody;
use super::{HttpShared, accept_encoding, pack, reports};

/// What the answers depend on, beside the address that is asked for.
const VARY: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding, Authorization");

/// The answer in the form that the client is best served with.
pub(super) async fn chosen(
    shared: &HttpShared,
    asked: &HeaderMap,
    mut response: HttpResponse,
) -> HttpResponse {
    response.headers_mut().insert(header::VARY, VARY);
    let Some(body) = response.body().bytes() else { return response };
    let tag = shared.tag_key.tag(body);
    if tag.is_held(asked) {
        return not_modified(response, tag);
    }
    let encoding = accept_encoding::wanted(asked, pack::quickest(body.len()));
    let Some(packed) = pack::packed(shared, encoding, body).await else {
        mark(&mut response, tag, Encoding::Identity);
        return response;
    };
    *response.body_mut() = packed;
    mark(&mut response, tag, encoding);
    response
}

/// What is left of an answer that the client has.
fn not_modified(mut response: HttpResponse, tag: EntityTag) -> HttpResponse {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = ResponseBody::empty();
    let headers = response.headers_mut();
    let dropped_before = headers.remove(reports::DROPPED_BEFORE);
    headers.clear();
    // It is not in the answer that the client has where that is a list or a table.
    headers.extend(dropped_before.map(|first_kept| (reports::DROPPED_BEFORE, first_kept)));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::VARY, VARY);
    mark(&mut response, tag, Encoding::Identity);
    response
}

fn mark(response: &mut HttpResponse, tag: EntityTag, encoding: Encoding) {
    if let Some(tag) = tag.to_header(encoding) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
}
