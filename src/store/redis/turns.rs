//! Reserving on one server, where one script reaches all counters: many requests share a call.

use std::sync::Arc;

use tokio::task::yield_now;

use super::error::{failed, is_transient};
use super::group::Reach;
use super::line::{Answer, Ask, Line, Place, Turn};
use super::reserve::verdict;
use super::session::Session;
use crate::error::StoreError;
use crate::store::books::{RemoteCharge, RemoteReserve};

impl Session {
    /// Holds units at once if only a few calls are under way, else together with others that wait.
    pub(super) async fn reserve_in_turn(
        self: Arc<Self>,
        line: &Arc<Line>,
        request: &RemoteReserve,
    ) -> Answer {
        if matches!(self.reach(), Reach::Slot(_)) {
            return self.reserve_all(request).await;
        }
        match line.come(request) {
            Turn::Now(place) => {
                let ahead = Ahead { session: self, place: Some(place) };
                ahead.session.reserve_all(request).await
            }
            Turn::Later(answer) => {
                let cut_short = |_| Err(StoreError::transient("reserve", "the runtime has ended"));
                answer.await.unwrap_or_else(cut_short)
            }
        }
    }

    /// Does what waits, until nothing does.
    async fn work(self: Arc<Self>, mut place: Place, mut asks: Vec<Ask>) {
        loop {
            self.answer(asks).await;
            // Who was just answered may be about to ask for more: fewer and fuller calls cost less.
            yield_now().await;
            let Some(next) = place.next() else { return };
            asks = next;
        }
    }

    /// Does requests together. If the server refuses to, it may be because of one of them: the others
    /// shall not share its fate, and are done alone. What was done of them by then, is not done twice.
    async fn answer(&self, asks: Vec<Ask>) {
        let charges: Vec<Vec<&RemoteCharge>> =
            asks.iter().map(|ask| ask.request.charges.iter().collect()).collect();
        let requests: Vec<_> =
            asks.iter().zip(&charges).map(|(ask, all)| (&ask.request, all.as_slice())).collect();
        let replies = match self.reserve_together(&requests).await {
            Ok(replies) => replies,
            Err(error) if is_transient(&error) => {
                asks.iter().map(|_| Err(failed("reserve")(error.clone()))).collect()
            }
            Err(_) => asks.iter().map(|_| Ok(None)).collect(),
        };
        let mut alone = Vec::new();
        for (ask, reply) in asks.into_iter().zip(replies) {
            match reply.transpose() {
                Some(reply) => ask.answer(reply.map(verdict)),
                None => alone.push(ask),
            }
        }
        for ask in alone {
            let answer = self.reserve_all(&ask.request).await;
            ask.answer(answer);
        }
    }
}

/// Who calls alone. Whatever becomes of the call, those who wait are next.
struct Ahead {
    session: Arc<Session>,
    place: Option<Place>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let Some(mut place) = self.place.take() else { return };
        if let Some(asks) = place.next() {
            // Not where the caller is: its runtime may be over with it, or stand still.
            self.session.runtime.spawn(self.session.clone().work(place, asks));
        }
    }
}
