//! What closures and extractors see of a request.

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

/// A request without its body: [`http::request::Parts`], borrowed.
///
/// Borrowed, because taking a request apart and putting it together again would cost every request
/// more than the look at it.
///
/// ```
/// use http::Request;
/// use tower_quota::RequestHead;
///
/// let request = Request::new("a body of any type");
/// let head = RequestHead::of(&request);
/// assert_eq!(head.uri.path(), "/");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI.
    pub uri: &'a Uri,
    /// The HTTP version.
    pub version: Version,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What layers further out have left for those further in.
    pub extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    /// The head of a request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}
