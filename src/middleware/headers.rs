//! Where a profile stands, as response headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::count::Count;
use crate::limits::{KeyedLimit, Limit, Measure};
use crate::standing::Standing;

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_THREE: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];
const X_RATE_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
const EPOCH: Timestamp = Timestamp::from_millis(0);

/// In which dialect metered responses say where the profile stands.
///
/// The older ones name a single limit: the one with the fewest units left. Where the inner service
/// has set these headers itself, or another quota layer has, draft 11 adds to them and the older
/// dialects leave them as they are.
///
/// A browser shows them to a script of another origin only if the CORS layer says
/// `Access-Control-Expose-Headers: Retry-After, RateLimit, RateLimit-Policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Headers {
    /// `RateLimit-Policy: "day";q=20;w=86400` and `RateLimit: "day";r=19;t=3600`
    /// ([draft-ietf-httpapi-ratelimit-headers-11](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11)).
    #[default]
    Draft11,
    /// `RateLimit-Policy: 20;w=86400` and `RateLimit: limit=20, remaining=19, reset=3600`
    /// ([draft 7](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-07)).
    /// A lifetime limit is left out: the draft has no way to say it.
    Draft7,
    /// `RateLimit-Limit: 20`, `RateLimit-Remaining: 19` and `RateLimit-Reset: 3600`
    /// ([draft 6](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06)).
    Draft6,
    /// `X-RateLimit-Limit: 20`, `X-RateLimit-Remaining: 19` and `X-RateLimit-Reset`.
    XRateLimit(Reset),
    /// None.
    None,
}

/// What `X-RateLimit-Reset` counts; there is no standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Seconds since the Unix epoch, as GitHub has it.
    Epoch,
    /// Seconds from now.
    Delta,
}

impl Headers {
    /// Says where `standing` stands; nothing, where nothing is counted.
    pub(super) fn write(self, standing: &Standing, headers: &mut HeaderMap) {
        match self {
            Self::Draft11 => write_draft_11(standing, headers),
            Self::Draft7 => write_draft_7(standing, headers),
            Self::Draft6 | Self::XRateLimit(_) => self.write_three(standing, headers),
            Self::None => {}
        }
    }

    fn write_three(self, standing: &Standing, headers: &mut HeaderMap) {
        let Some((limit, count)) = tightest(standing) else {
            return;
        };
        let [limit_name, remaining_name, reset_name] = match self {
            Self::XRateLimit(_) => X_RATE_LIMIT,
            _ => RATE_LIMIT_THREE,
        };
        let reset = count.window.resets_at().map(|end| match self {
            Self::XRateLimit(Reset::Epoch) => EPOCH.seconds_until(end),
            _ => standing.as_of().seconds_until(end),
        });
        let together = [
            (limit_name, Some(limit.amount().into())),
            (remaining_name, Some(count.remaining(limit.amount()).into())),
            (reset_name, reset.map(HeaderValue::from)),
        ];
        set(headers, together);
    }
}

fn write_draft_11(standing: &Standing, headers: &mut HeaderMap) {
    let mut state = Text::default();
    for (KeyedLimit { limit, .. }, count) in standing.enforced() {
        state.item(limit.name());
        state.parameter(";r=", count.remaining(limit.amount()));
        if let Some(end) = count.window.resets_at() {
            state.parameter(";t=", standing.as_of().seconds_until(end));
        }
    }
    let Some(state) = state.value() else {
        return;
    };
    let mut limits = standing.enforced();
    let policy = if limits.all(|(keyed, count)| keyed.limit.window().is_usual(count.window)) {
        standing.allowance().description(|| policy_11(standing))
    } else {
        policy_11(standing)
    };
    if let Ok(policy) = HeaderValue::from_maybe_shared(policy) {
        add(headers, RATE_LIMIT_POLICY, policy);
    }
    add(headers, RATE_LIMIT, state);
}

fn policy_11(standing: &Standing) -> Bytes {
    let mut policy = Text::default();
    for (KeyedLimit { limit, .. }, count) in standing.enforced() {
        policy.item(limit.name());
        policy.parameter(";q=", limit.amount());
        if let Some(unit) = unit(limit) {
            policy.unit(unit);
        }
        if let Some(seconds) = seconds(limit, count) {
            policy.parameter(";w=", seconds);
        }
    }
    Bytes::copy_from_slice(&policy.0)
}

/// How long the window is.
fn seconds(limit: &Limit, count: &Count) -> Option<u64> {
    limit.window().rolling_seconds().or_else(|| count.window.seconds())
}

/// The unit, where it is not the draft's default, requests.
fn unit(limit: &Limit) -> Option<&str> {
    match limit.measure() {
        Measure::Units => limit.unit_name(),
        Measure::Requests => None,
        Measure::InFlight => Some("concurrent-requests"),
    }
}

/// Draft 7 requires a window and a reset, so a lifetime limit cannot be said in it.
fn write_draft_7(standing: &Standing, headers: &mut HeaderMap) {
    let resetting = || {
        let limits = standing.enforced().map(|(keyed, count)| (&keyed.limit, count));
        limits.filter(|(_, count)| count.window.resets_at().is_some())
    };
    let Some((limit, count)) = resetting().min_by_key(remaining) else {
        return;
    };
    let mut policy = Text::default();
    for (limit, count) in resetting() {
        policy.comma();
        policy.parameter("", limit.amount());
        policy.parameter(";w=", seconds(limit, count).unwrap_or_default());
    }
    let mut state = Text::default();
    state.parameter("limit=", limit.amount());
    state.parameter(", remaining=", count.remaining(limit.amount()));
    state.parameter(", reset=", standing.as_of().seconds_until(count.window.end));
    set(headers, [(RATE_LIMIT_POLICY, policy.value()), (RATE_LIMIT, state.value())]);
}

/// The limit with the fewest units left.
fn tightest(standing: &Standing) -> Option<(&Limit, &Count)> {
    let limits = standing.enforced().map(|(keyed, count)| (&keyed.limit, count));
    limits.min_by_key(remaining)
}

fn remaining((limit, count): &(&Limit, &Count)) -> u64 {
    count.remaining(limit.amount())
}

/// Adds a line to a header that is a list.
fn add(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    // It fails in a map of more than 32,768 headers; such a response goes without.
    let _ = headers.try_append(name, value);
}

/// Sets headers that belong together, unless one of them is set: somebody else's would mix in.
fn set<const N: usize>(headers: &mut HeaderMap, together: [(HeaderName, Option<HeaderValue>); N]) {
    if together.iter().any(|(name, _)| headers.contains_key(name)) {
        return;
    }
    for (name, value) in together {
        if let Some(value) = value {
            let _ = headers.try_insert(name, value);
        }
    }
}

/// The text of a header, put together without an allocation of its own.
#[derive(Default)]
struct Text(SmallVec<[u8; 128]>);

impl Text {
    fn comma(&mut self) {
        if !self.0.is_empty() {
            self.0.extend_from_slice(b", ");
        }
    }

    /// Starts a list item: the name of a limit, which holds nothing to escape.
    fn item(&mut self, name: &str) {
        self.comma();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
    }

    /// A unit's name, which holds nothing to escape either.
    fn unit(&mut self, name: &str) {
        self.0.extend_from_slice(b";qu=\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
    }

    fn parameter(&mut self, key: &str, value: u64) {
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// The header's value; none if it is empty, for an empty list is no header at all.
    fn value(&self) -> Option<HeaderValue> {
        let value = HeaderValue::from_bytes(&self.0).ok();
        value.filter(|value| !value.is_empty())
    }
}
