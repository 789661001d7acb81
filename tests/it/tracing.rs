//! What is said in `tracing`.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use tower::{Layer, ServiceExt, service_fn};
use tower_quota::OnStoreFailure;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{BrokenStore, daily_in, empty, get, metered};

/// Keeps all events, and no spans.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let source = error.source().map(ToString::to_string);
        write!(self.0, "{field}: {error}: {} ", source.unwrap_or_default()).unwrap();
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}: {value:?} ").unwrap();
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_quota")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(flavor = "current_thread")]
async fn a_request_that_passes_uncounted_is_a_warning_and_a_refused_one_is_not() {
    let events = Events::default();
    let _guard = tracing::subscriber::set_default(events.clone());
    for policy in [OnStoreFailure::Refuse, OnStoreFailure::Allow] {
        let quotas = daily_in(BrokenStore::Later, 5);
        let layer = metered(&quotas).on_store_failure(policy).build().unwrap();
        layer.layer(service_fn(empty::<()>)).oneshot(get()).await.unwrap();
    }
    let events = events.0.lock().unwrap();
    let [(level, text)] = events.as_slice() else {
        panic!("one warning, not {events:?}");
    };
    assert_eq!(*level, Level::WARN);
    assert!(text.contains("passes uncounted"), "{text}");
    assert!(text.contains("the wire is cut"), "{text}");
}
