//! One transaction: the rows that it wants are locked and read, changed here, and written.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;

use super::rows::{CounterRow, Due, HoldRow};
use crate::clock::Timestamp;
use crate::limits::Span;
use crate::store::books::{Lease, RemoteCounter};
use crate::store::hold::HoldId;

/// How many holds whose lease has ended are marked in one transaction. The others are summed up.
const MARKED: u32 = 1_000;

/// The key of a counter.
pub(crate) type Key = Arc<[u8]>;

/// What a transaction is going to need.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// In the order in which they are locked. With the end of its window where the counter is made
    /// if it is not there.
    pub(crate) counters: BTreeMap<Key, Option<Timestamp>>,
    pub(crate) holds: Vec<(Key, HoldId)>,
    /// The lines of changes, by their nonces.
    pub(crate) lines: Vec<(Key, u64)>,
    /// The last windows of limits, by their keys for all windows.
    pub(crate) windows: Vec<Key>,
}

impl Wanted {
    /// A counter, made if it is not there.
    pub(crate) fn counter(&mut self, counter: &RemoteCounter) -> Key {
        let key = Key::from(counter.key());
        self.counters.insert(key.clone(), Some(counter.needed_until()));
        key
    }

    /// A hold, if it is there, and its counter.
    pub(crate) fn hold(&mut self, counter: &RemoteCounter, id: HoldId) {
        let key = Key::from(counter.key());
        self.counters.entry(key.clone()).or_default();
        self.holds.push((key, id));
    }
}

/// The rows of a database, in a transaction.
pub(crate) trait Rows: Send {
    /// Locks counters in their order and reads them. Those that are not there are left out.
    fn counters(
        &mut self,
        wanted: &BTreeMap<Key, Option<Timestamp>>,
    ) -> impl Future<Output = sqlx::Result<Vec<(Key, CounterRow)>>> + Send;

    /// The books' clock.
    fn now(&mut self) -> impl Future<Output = sqlx::Result<Timestamp>> + Send;

    /// Marks the first of the holds of a counter that are due, and gives them.
    fn mark(
        &mut self,
        key: &Key,
        now: Timestamp,
        at_most: u32,
    ) -> impl Future<Output = sqlx::Result<Vec<HoldRow>>> + Send;

    /// When the first lease of the unmarked holds of a counter ends.
    fn lapse_at(
        &mut self,
        key: &Key,
    ) -> impl Future<Output = sqlx::Result<Option<Timestamp>>> + Send;

    /// What is due of a counter.
    fn due(&mut self, key: &Key, now: Timestamp) -> impl Future<Output = sqlx::Result<Due>> + Send;

    /// Reads holds. Those that are not there are left out.
    fn holds(
        &mut self,
        wanted: &[(Key, HoldId)],
    ) -> impl Future<Output = sqlx::Result<Vec<((Key, HoldId), HoldRow)>>> + Send;

    /// Reads the last number that each counter has seen of a line. Those that are not there are left
    /// out.
    fn lines(
        &mut self,
        wanted: &[(Key, u64)],
    ) -> impl Future<Output = sqlx::Result<Vec<((Key, u64), u64)>>> + Send;

    /// Locks last windows and reads them. Those that are not known are left out.
    fn windows(
        &mut self,
        wanted: &[Key],
    ) -> impl Future<Output = sqlx::Result<Vec<(Key, Span)>>> + Send;

    /// Writes what has changed.
    fn write(&mut self, draft: &Draft) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// The rows of a transaction as they are going to be.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The books' clock, read when all was locked.
    pub(crate) now: Timestamp,
    pub(crate) lease: Lease,
    pub(crate) counters: BTreeMap<Key, CounterPage>,
    pub(crate) holds: HashMap<(Key, HoldId), HoldPage>,
    pub(crate) lines: HashMap<(Key, u64), LinePage>,
    pub(crate) windows: HashMap<Key, WindowPage>,
}

/// A counter in a draft.
#[derive(Debug, Default)]
pub(crate) struct CounterPage {
    pub(crate) row: CounterRow,
    pub(crate) changed: bool,
}

/// A hold in a draft. One that is not there in the end is deleted.
#[derive(Debug)]
pub(crate) struct HoldPage {
    pub(crate) stored: Option<HoldRow>,
    pub(crate) row: Option<HoldRow>,
}

/// A line of changes in a draft.
#[derive(Debug)]
pub(crate) struct LinePage {
    pub(crate) sequence: u64,
    pub(crate) changed: bool,
}

/// The last window of a limit in a draft.
#[derive(Debug)]
pub(crate) struct WindowPage {
    pub(crate) window: Span,
    /// Until when it has to be known, if it is new.
    pub(crate) known_until: Option<Timestamp>,
}

impl HoldPage {
    pub(crate) const NONE: Self = Self { stored: None, row: None };
}

impl Draft {
    /// Locks and reads.
    pub(crate) async fn open(
        rows: &mut impl Rows,
        wanted: &Wanted,
        lease: Lease,
    ) -> sqlx::Result<Self> {
        let mut draft = Self::mark(rows, &wanted.counters, MARKED, lease).await?;
        let now = draft.now;
        for (key, page) in &mut draft.counters {
            if page.row.may_be_due(now) {
                page.row.due = rows.due(key, now).await?;
            }
            page.row.roll(None, now);
        }
        let page = |row: HoldRow| HoldPage { stored: Some(row.clone()), row: Some(row) };
        let holds = rows.holds(&wanted.holds).await?;
        draft.holds = holds.into_iter().map(|(name, row)| (name, page(row))).collect();
        let page = |sequence| LinePage { sequence, changed: false };
        let lines = rows.lines(&wanted.lines).await?;
        draft.lines = lines.into_iter().map(|(line, sequence)| (line, page(sequence))).collect();
        let page = |window| WindowPage { window, known_until: None };
        let windows = rows.windows(&wanted.windows).await?;
        draft.windows = windows.into_iter().map(|(key, window)| (key, page(window))).collect();
        Ok(draft)
    }

    /// Locks counters, and marks at most so many of their holds whose lease has ended, for it makes no
    /// difference to what is counted how many are. What is due of the others is not read.
    pub(crate) async fn mark(
        rows: &mut impl Rows,
        wanted: &BTreeMap<Key, Option<Timestamp>>,
        at_most: u32,
        lease: Lease,
    ) -> sqlx::Result<Self> {
        let stored = rows.counters(wanted).await?;
        let now = rows.now().await?;
        let mut counters: BTreeMap<_, CounterPage> =
            wanted.keys().map(|key| (key.clone(), CounterPage::default())).collect();
        let mut left = at_most;
        for (key, row) in stored {
            let mut page = CounterPage { row, changed: false };
            if left > 0 && page.row.may_be_due(now) {
                left = left.saturating_sub(page.mark(rows, &key, now, left).await?);
            }
            counters.insert(key, page);
        }
        let (holds, lines, windows) = (HashMap::new(), HashMap::new(), HashMap::new());
        Ok(Self { now, lease, counters, holds, lines, windows })
    }

    /// Whether there is nothing to write.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_clean(&self) -> bool {
        self.changed_counters().next().is_none()
            && self.put_holds().next().is_none()
            && self.dropped_holds().next().is_none()
            && self.new_windows().next().is_none()
    }

    pub(crate) fn changed_counters(&self) -> impl Iterator<Item = (&Key, &CounterPage)> {
        self.counters.iter().filter(|(_, page)| page.changed)
    }

    /// The holds that are new or renewed.
    pub(crate) fn put_holds(&self) -> impl Iterator<Item = (&(Key, HoldId), &HoldRow)> {
        let changed = self.holds.iter().filter(|(_, page)| page.stored != page.row);
        changed.filter_map(|(name, page)| Some((name, page.row.as_ref()?)))
    }

    /// The holds that have been settled.
    pub(crate) fn dropped_holds(&self) -> impl Iterator<Item = &(Key, HoldId)> {
        let dropped = |page: &HoldPage| page.stored.is_some() && page.row.is_none();
        self.holds.iter().filter(move |(_, page)| dropped(page)).map(|(name, _)| name)
    }

    pub(crate) fn changed_lines(&self) -> impl Iterator<Item = (&(Key, u64), u64)> {
        let changed = self.lines.iter().filter(|(_, page)| page.changed);
        changed.map(|(line, page)| (line, page.sequence))
    }

    /// The windows that were opened, each with the instant until which it has to be known.
    pub(crate) fn new_windows(&self) -> impl Iterator<Item = (&Key, Span, Timestamp)> {
        self.windows.iter().filter_map(|(key, page)| Some((key, page.window, page.known_until?)))
    }
}

impl CounterPage {
    /// Says how many were marked.
    async fn mark(
        &mut self,
        rows: &mut impl Rows,
        key: &Key,
        now: Timestamp,
        at_most: u32,
    ) -> sqlx::Result<u32> {
        let marked = rows.mark(key, now, at_most).await?;
        for hold in &marked {
            self.row.mark(hold);
        }
        self.row.lapse_at = rows.lapse_at(key).await?;
        self.changed = true;
        Ok(u32::try_from(marked.len()).unwrap_or(u32::MAX))
    }
}
