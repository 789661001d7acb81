//! The windows that were found last, so that a request does not search the calendar again.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering, fence};

use super::calendar::Placed;
use super::window::Span;
use crate::clock::Timestamp;

/// A power of two. Calendars that meet in a slot displace each other, which costs their requests a
/// search each; so many make that rare while a hundred are in use.
const SLOTS: usize = 2_048;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

/// Where a window lies depends on nothing but its key and the time, so all engines share them.
static SLOTS_OF_ALL: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];

/// One window, read without a lock: whoever finds that its version has changed meanwhile, or is odd
/// because somebody writes, does without it.
#[repr(align(32))]
struct Slot {
    version: AtomicU32,
    /// 0 while it is empty.
    key: AtomicU32,
    start: AtomicI64,
    end: AtomicI64,
    next_end: AtomicI64,
}

/// The window of this key that holds `at`: as it is remembered, or else as it is found.
#[inline]
pub(super) fn placed(key: u32, at: Timestamp, find: impl FnOnce() -> Placed) -> Placed {
    let slot = slot(key);
    if let Some(placed) = slot.and_then(|slot| slot.read(key)) {
        if placed.window.start <= at && at < placed.window.end {
            return placed;
        }
    }
    let placed = find();
    if let Some(slot) = slot {
        slot.write(key, placed);
    }
    placed
}

#[inline]
fn slot(key: u32) -> Option<&'static Slot> {
    const GOLDEN_RATIO: u32 = 0x9e37_79b9;
    let index = key.wrapping_mul(GOLDEN_RATIO) >> (u32::BITS - SLOT_BITS);
    SLOTS_OF_ALL.get(usize::try_from(index).ok()?)
}

impl Slot {
    const fn new() -> Self {
        Self {
            version: AtomicU32::new(0),
            key: AtomicU32::new(0),
            start: AtomicI64::new(0),
            end: AtomicI64::new(0),
            next_end: AtomicI64::new(0),
        }
    }

    #[inline]
    fn read(&self, key: u32) -> Option<Placed> {
        let before = self.version.load(Ordering::Acquire);
        let same_key = self.key.load(Ordering::Relaxed) == key;
        let start = self.start.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        let next_end = self.next_end.load(Ordering::Relaxed);
        // What was read is whole if the version is still the same after it.
        fence(Ordering::Acquire);
        let after = self.version.load(Ordering::Relaxed);
        let [start, end, next_end] = [start, end, next_end].map(Timestamp::from_millis);
        let placed = Placed { window: Span { start, end }, next_end };
        (same_key && before == after && before % 2 == 0).then_some(placed)
    }

    /// Leaves the slot alone while somebody else writes.
    fn write(&self, key: u32, placed: Placed) {
        let version = self.version.load(Ordering::Relaxed);
        let writing = version.wrapping_add(1);
        let free = version % 2 == 0;
        let (taken, missed) = (Ordering::Acquire, Ordering::Relaxed);
        if !free || self.version.compare_exchange(version, writing, taken, missed).is_err() {
            return;
        }
        // No reader may see what follows with the version from before.
        fence(Ordering::Release);
        self.key.store(key, Ordering::Relaxed);
        self.start.store(placed.window.start.as_millis(), Ordering::Relaxed);
        self.end.store(placed.window.end.as_millis(), Ordering::Relaxed);
        self.next_end.store(placed.next_end.as_millis(), Ordering::Relaxed);
        self.version.store(writing.wrapping_add(1), Ordering::Release);
    }
}
