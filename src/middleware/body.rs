//! The response's body, which carries the reservation to its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::outcome::Ending;
use super::settling::Settling;

pin_project! {
    /// The body of the inner service's response, or of the layer's own answer.
    ///
    /// It passes frames on as they are. When it ends, fails or is dropped, the request is settled.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner {
            #[pin]
            body: B,
            // Dropped after the body, and none once the request is settled.
            settling: Option<Settling>,
        },
        Own {
            bytes: Bytes,
        },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn inner(body: B, settling: Option<Settling>) -> Self {
        let kind = Kind::Inner { body, settling };
        Self { kind }
    }

    pub(super) fn own(bytes: Bytes) -> Self {
        let kind = Kind::Own { bytes };
        Self { kind }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body, settling } => poll_inner(body, settling, cx),
            KindProjection::Own { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Own { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Own { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Own { bytes } => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
        }
    }
}

fn poll_inner<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    settling: &mut Option<Settling>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
    let Some(open) = settling else {
        return body.poll_frame(cx);
    };
    let polled = ready!(open.watch(|| body.as_mut().poll_frame(cx)));
    let ending = match &polled {
        Some(Ok(frame)) => {
            open.note(frame);
            // Nobody polls a body that says it has ended, or has given its trailers.
            let ended = frame.is_trailers() || open.watch(|| body.is_end_stream());
            ended.then_some(Ending::Complete)
        }
        Some(Err(_)) => Some(Ending::BodyError),
        None => Some(Ending::Complete),
    };
    if let Some((settling, ending)) = settling.take_if(|_| ending.is_some()).zip(ending) {
        settling.end(ending);
    }
    Poll::Ready(polled)
}
