//! Profiles from a source: loaded once, kept for a while, and a failure is never a denial.

mod failures;
mod waiting;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::Empty;
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    BoxError, HeaderIdentity, ManualClock, Profile, ProfileId, ProfileSource, Profiles,
    QuotaHandle, QuotaLayer, QuotaLayerBuilder, Quotas, Unidentified,
};

use crate::support::{daily, json, noon, profile, used_and_held};

const MINUTE: Duration = Duration::from_secs(60);
const WHO: HeaderName = HeaderName::from_static("x-who");

/// A database that counts its queries, and answers one for each permit.
#[derive(Clone)]
struct Users {
    queries: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
    broken: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl Users {
    /// Answers at once, however often.
    fn new() -> Self {
        Self {
            queries: Arc::default(),
            permits: Arc::new(Semaphore::new(1_000)),
            broken: Arc::default(),
            panics: Arc::default(),
        }
    }

    /// Answers nothing yet.
    fn slow() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), ..Self::new() }
    }

    fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

impl ProfileSource for Users {
    async fn load(&self, id: ProfileId) -> Result<Option<Profile>, BoxError> {
        self.queries.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.load(Ordering::SeqCst), "the source panics");
        self.permits.acquire().await?.forget();
        if self.broken.load(Ordering::SeqCst) {
            return Err("no connection".into());
        }
        let known = id.as_str() != Some("stranger");
        Ok(known.then(|| profile(id.as_str().unwrap())))
    }
}

/// Five units a day for the profiles of `source`, which are kept for a minute.
struct Scene {
    clock: ManualClock,
    quotas: Quotas,
    profiles: Profiles,
    layer: QuotaLayer,
}

impl Scene {
    fn of(source: impl ProfileSource) -> Self {
        Self::with(source, |layer| layer)
    }

    fn with(
        source: impl ProfileSource,
        configure: impl FnOnce(QuotaLayerBuilder) -> QuotaLayerBuilder,
    ) -> Self {
        let clock = noon();
        let quotas = daily(&clock, 5);
        let profiles = Profiles::new(source).time_to_live(MINUTE);
        let builder = QuotaLayer::builder(quotas.clone())
            .feature("remix")
            .identify(HeaderIdentity::new(WHO))
            .profiles(profiles.clone());
        Self { clock, quotas, profiles, layer: configure(builder).build().unwrap() }
    }

    /// The answer to somebody's request, 204 if it was metered and 200 if not.
    async fn request(&self, who: &str) -> Response<()> {
        let inner = service_fn(async |request: Request<()>| {
            let status = match request.extensions().get::<QuotaHandle>() {
                Some(_) => StatusCode::NO_CONTENT,
                None => StatusCode::OK,
            };
            let response = Response::builder().status(status);
            Ok::<_, Infallible>(response.body(Empty::<bytes::Bytes>::new()).unwrap())
        });
        let request = Request::builder().header(WHO, who).body(()).unwrap();
        let response = self.layer.layer(inner).oneshot(request);
        response.await.unwrap().map(drop)
    }

    async fn status(&self, who: &str) -> u16 {
        self.request(who).await.status().as_u16()
    }

    fn used(&self, who: &str) -> u64 {
        used_and_held(&self.quotas, &profile(who)).0
    }
}

#[tokio::test]
async fn the_loaded_profile_pays() {
    let scene = Scene::of(|id: ProfileId| async move {
        let unlimited = id.as_str() == Some("owner");
        Ok(Some(Profile::new(id.as_bytes(), "free").unlimited(unlimited)))
    });
    for status in [204, 204, 204, 204, 204, 429] {
        assert_eq!(scene.status("7").await, status);
        assert_eq!(scene.status("owner").await, 204);
    }
    assert_eq!((scene.used("7"), scene.used("owner")), (5, 0));
}

#[tokio::test]
async fn each_id_is_loaded_by_itself() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    for who in ["7", "8", "7", "8"] {
        assert_eq!(scene.status(who).await, 204);
    }
    assert_eq!(users.queries(), 2);
    assert_eq!((scene.used("7"), scene.used("8")), (2, 2));
}

#[tokio::test]
async fn a_profile_is_kept_for_its_time_to_live_and_no_longer() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    assert_eq!(scene.status("7").await, 204);
    scene.clock.advance(Duration::from_millis(59_999));
    assert_eq!(scene.status("7").await, 204);
    assert_eq!(users.queries(), 1);
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(scene.status("7").await, 204);
    assert_eq!(users.queries(), 2);
    assert_eq!(scene.status("7").await, 204);
    assert_eq!(users.queries(), 2);
}

/// What a load has read is as old as its start: a slow one does not live longer for it.
#[tokio::test]
async fn a_time_to_live_begins_with_the_load() {
    let users = Users::slow();
    let scene = Scene::of(users.clone());
    let finish = async {
        scene.clock.advance(MINUTE);
        users.permits.add_permits(2);
    };
    let (status, ()) = tokio::join!(biased; scene.status("7"), finish);
    assert_eq!(status, 204);
    assert_eq!(scene.status("7").await, 204);
    assert_eq!(users.queries(), 2);
}

#[tokio::test]
async fn an_unknown_id_is_nobody_and_that_is_kept_as_well() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    assert_eq!(scene.status("stranger").await, 401);
    assert_eq!(scene.status("stranger").await, 401);
    assert_eq!(users.queries(), 1);
}

#[tokio::test]
async fn an_unknown_id_may_pass_or_share_a_profile() {
    let scene = Scene::with(Users::new(), |layer| layer.unidentified(Unidentified::Pass));
    assert_eq!(scene.status("stranger").await, 200);

    let scene = Scene::with(Users::new(), |layer| {
        layer.unidentified(Unidentified::Profile(profile("guests")))
    });
    assert_eq!(scene.status("stranger").await, 204);
    assert_eq!(scene.used("guests"), 1);
}

#[tokio::test]
async fn a_bad_id_is_not_looked_up() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    for bad in ["", &"i".repeat(257)] {
        assert_eq!(scene.status(bad).await, 400);
    }
    assert_eq!(users.queries(), 0);
}

#[tokio::test]
async fn an_invalidated_profile_is_loaded_anew() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    for who in ["7", "8"] {
        assert_eq!(scene.status(who).await, 204);
    }
    scene.profiles.invalidate(&ProfileId::new("7"));
    for who in ["7", "8"] {
        assert_eq!(scene.status(who).await, 204);
    }
    assert_eq!(users.queries(), 3);
}

#[tokio::test]
async fn the_usage_service_knows_profiles_from_the_same_source() {
    let users = Users::new();
    let scene = Scene::of(users.clone());
    assert_eq!(scene.status("7").await, 204);
    let request = Request::builder().header(WHO, "7").body(()).unwrap();
    let usage = scene.layer.usage().oneshot(request).await.unwrap();
    assert_eq!(json(usage).await["features"]["remix"]["day"]["used"], 1);
    assert_eq!(users.queries(), 1);
}
