//! Random choices that can be repeated.

/// Numbers that look random and follow from a seed (splitmix64).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Whether one chance in so many comes true.
    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    #[cfg(feature = "remote")]
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let length = u64::try_from(of.len()).unwrap_or(u64::MAX);
        let place = usize::try_from(self.number().checked_rem(length)?).ok()?;
        of.get(place)
    }

    /// Some of these, at least one if there is one, in any order.
    #[cfg(feature = "remote")]
    pub(crate) fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut rest = of.to_vec();
        let mut some = Vec::new();
        while !rest.is_empty() && (some.is_empty() || self.one_in(2)) {
            let length = u64::try_from(rest.len()).unwrap_or(u64::MAX);
            let place = usize::try_from(self.below(length)).unwrap_or_default();
            some.push(rest.swap_remove(place));
        }
        some
    }
}
