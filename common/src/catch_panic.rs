//! Work on bytes that somebody else wrote: a decoder that panics on them costs one file, not the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;

/// What `work` comes to; the message of a panic in it.
///
/// # Errors
/// Where it panics.
pub async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| panic_text(&*panic).to_owned())
}

/// As [`catch_panic`], of work that waits for nothing.
///
/// # Errors
/// Where it panics.
pub fn catch_panic_sync<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(&*panic).to_owned())
}

/// The message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it left no message")
}
