//! An answer that is there already, or a future one.

use std::fmt;
use std::future::{self, IntoFuture};

use futures::future::{BoxFuture, Either, FutureExt, TryFutureExt};

/// An answer that is ready now, or a boxed future that owns what it needs.
///
/// Both can be awaited. A ready answer neither allocates nor yields, and code outside of a runtime
/// can match on it.
#[must_use = "an answer does nothing unless it is awaited or matched on"]
pub enum Answer<T> {
    /// The answer.
    Ready(T),
    /// A future that will give it.
    Pending(BoxFuture<'static, T>),
}

impl<T: 'static> Answer<T> {
    /// Applies `f` to the answer, now or when it is there.
    #[inline]
    pub fn map<U>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Answer<U> {
        match self {
            Self::Ready(answer) => Answer::Ready(f(answer)),
            Self::Pending(future) => Answer::Pending(future.map(f).boxed()),
        }
    }
}

impl<E: Send + 'static> Answer<Result<(), E>> {
    /// This one, and then the next, unless this one is an error.
    pub(crate) fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Ready(Ok(())), next) => next,
            (Self::Ready(Err(error)), _) => Self::Ready(Err(error)),
            (Self::Pending(first), next) => {
                Self::Pending(first.and_then(|()| next.into_future()).boxed())
            }
        }
    }
}

impl<T> IntoFuture for Answer<T> {
    type Output = T;
    type IntoFuture = Either<future::Ready<T>, BoxFuture<'static, T>>;

    fn into_future(self) -> Self::IntoFuture {
        match self {
            Self::Ready(answer) => Either::Left(future::ready(answer)),
            Self::Pending(future) => Either::Right(future),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(answer) => f.debug_tuple("Ready").field(answer).finish(),
            Self::Pending(_) => f.write_str("Pending(..)"),
        }
    }
}
