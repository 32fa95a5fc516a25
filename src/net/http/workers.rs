//! Work that must not run on the threads of the connections: a bounded number of jobs at a time, of two kinds.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpShared;
use super::failure::Failure;
use crate::limits::HEAVY_QUERY_WAIT_MAX;
use crate::net::metrics::Bound;

/// Runs work on a body. It waits for its turn; the budget of bytes bounds how many wait. `None` if it panicked.
pub(super) async fn run_body<T: Send + 'static>(
    shared: &HttpShared,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let permit = Arc::clone(&shared.body_workers).acquire_owned().await.ok()?;
    run(&shared.runtimes.requests, permit, work).await
}

/// Runs a query over very many series. 503 where its turn does not come soon.
pub(super) async fn run_query<T: Send + 'static>(
    shared: &HttpShared,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let permit = soon(&shared.heavy_queries, Bound::HeavyQueries).await?;
    run(&shared.runtimes.heavy, permit, work).await.ok_or_else(Failure::internal)
}

/// A permit of a kind of which there are few. 503 where none becomes free soon.
pub(super) async fn soon(permits: &Arc<Semaphore>, bound: Bound) -> Result<OwnedSemaphorePermit, Failure> {
    match tokio::time::timeout(HEAVY_QUERY_WAIT_MAX, Arc::clone(permits).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Failure::overloaded(bound)),
    }
}

/// Runs work with a permit that the caller has got. `None` if it panicked.
pub(super) async fn run<T: Send + 'static>(
    runtime: &Handle,
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let job = runtime.spawn_blocking(move || {
        let outcome = work();
        drop(permit);
        outcome
    });
    job.await.inspect_err(|error| tracing::error!(%error, "a worker thread panicked")).ok()
}
