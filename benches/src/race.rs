//! Contestants take turns in short rounds, so that a machine that slows down slows all of them;
//! comparisons are made within a round, and the median of the rounds is what is reported.

use std::convert::Infallible;
use std::ops::Range;
use std::time::Instant;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use tower::Service;

use crate::exchange::{Call, shuffled};

/// Someone who does the same operation as the others.
pub(crate) struct Contestant {
    name: &'static str,
    operate: Box<dyn FnMut(Range<u64>)>,
}

impl Contestant {
    /// `operate` does the operation once for each turn in the range.
    pub(crate) fn new(name: &'static str, operate: impl FnMut(Range<u64>) + 'static) -> Self {
        Self { name, operate: Box::new(operate) }
    }

    /// Pays the visits to `service`: each profile's once before the race, and then in turn.
    pub(crate) fn serving<S, B>(name: &'static str, mut service: S, visits: &Visits) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
        B: http_body::Body,
    {
        let Visits { call, profiles, expected } = visits.clone();
        for turn in 0..profiles {
            call.make(shuffled(turn, profiles), &mut service);
        }
        Self::new(name, move |turns| {
            for turn in turns {
                let status = call.make(shuffled(turn, profiles), &mut service);
                assert_eq!(status, expected, "{name}");
            }
        })
    }

    /// Does the operation once for each of `turns`.
    pub(crate) fn operate(&mut self, turns: Range<u64>) {
        (self.operate)(turns);
    }
}

/// What services are asked for in a race.
#[derive(Clone)]
pub(crate) struct Visits {
    /// What each visitor asks for.
    pub(crate) call: Call,
    /// How many profiles take turns.
    pub(crate) profiles: u64,
    /// The status that every answer in the race must have.
    pub(crate) expected: StatusCode,
}

/// How long a race is.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    /// How often each contestant's turn comes.
    pub(crate) rounds: u64,
    /// How many operations it does then.
    pub(crate) operations: u64,
}

/// Nanoseconds an operation, of each contestant in each round.
pub(crate) struct Times(Vec<(&'static str, Vec<f64>)>);

/// Lets the contestants race. Another one begins in each round.
pub(crate) fn race(mut contestants: Vec<Contestant>, length: Length) -> Times {
    let mut times = Times(contestants.iter().map(|c| (c.name, Vec::new())).collect());
    for round in 0..length.rounds {
        let turns = round * length.operations..(round + 1) * length.operations;
        for position in 0..contestants.len() {
            let who = (position + round as usize) % contestants.len();
            let start = Instant::now();
            contestants[who].operate(turns.clone());
            let nanoseconds = start.elapsed().as_nanos() as f64;
            times.0[who].1.push(nanoseconds / length.operations as f64);
        }
    }
    times
}

impl Times {
    /// Lets each run as often as there are rounds, another one first in each. A turn gives the
    /// nanoseconds that an operation took of it.
    pub(crate) fn of_turns<T>(contestants: &mut [(&'static str, T)], rounds: usize) -> Self
    where
        T: FnMut() -> f64,
    {
        let mut times = Self(contestants.iter().map(|(name, _)| (*name, Vec::new())).collect());
        for round in 0..rounds {
            for position in 0..contestants.len() {
                let who = (position + round) % contestants.len();
                times.0[who].1.push(contestants[who].1());
            }
        }
        times
    }

    /// Each contestant's most and median operations a second, and how they compare with the first's.
    pub(crate) fn print_rates(&self) {
        let base = self.0[0].0;
        println!(
            "  {:<44}{:>10}{:>10}{:>16}",
            "operations a second", "most", "median", "of the first's"
        );
        for (name, rounds) in &self.0 {
            let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
            let share = self.median(|time| time(base) / time(name));
            let (most, median) = (1e9 / least, 1e9 / median(rounds.clone()));
            println!("  {name:<44}{most:>10.0}{median:>10.0}{share:>16.2}");
        }
    }

    /// Each contestant's least and median, and by how much it was slower than the first.
    pub(crate) fn print(&self) {
        let base = self.0[0].0;
        println!(
            "  {:<34}{:>9}{:>9}{:>16}",
            "ns an operation", "least", "median", "over the first"
        );
        for (name, rounds) in &self.0 {
            let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
            let added = self.median(|time| time(name) - time(base));
            let median = median(rounds.clone());
            println!("  {name:<34}{least:>9.1}{median:>9.1}{added:>16.1}");
        }
    }

    /// The median over the rounds of what `figure` makes of a round, in which it may ask for the
    /// time of each contestant.
    pub(crate) fn median(&self, figure: impl Fn(&dyn Fn(&str) -> f64) -> f64) -> f64 {
        let rounds = self.0[0].1.len();
        median((0..rounds).map(|round| figure(&|name| self.of(name)[round])).collect())
    }

    fn of(&self, name: &str) -> &[f64] {
        let contestant = self.0.iter().find(|(n, _)| *n == name);
        &contestant.expect("a contestant of this race").1
    }
}

/// The one in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
