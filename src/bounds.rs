//! How large an amount, an id and a name may be.

/// The largest amount of a limit, and the most units that can be asked for: 10^15 − 1.
///
/// It is the largest integer that structured fields carry (RFC 9651, section 3.3.1), and exact
/// where numbers are 64-bit floats. A request for more never fits.
pub const MAX_UNITS: u64 = 999_999_999_999_999;

/// The longest id, in bytes. A longer one is an error, never truncated.
pub const MAX_ID_BYTES: usize = 256;

const MAX_NAME_BYTES: usize = 64;

/// Whether `name` may name a plan, a feature or a limit: `[A-Za-z0-9._-]{1,64}`.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
