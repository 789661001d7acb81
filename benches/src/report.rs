//! What was promised, and what came of it.

/// The targets so far, with what was measured.
#[derive(Default)]
pub(crate) struct Report(Vec<Target>);

struct Target {
    what: String,
    measured: f64,
    promise: String,
    met: bool,
}

impl Report {
    /// `what` was promised to be `limit` or less.
    pub(crate) fn at_most(&mut self, limit: f64, what: impl Into<String>, measured: f64) {
        self.0.push(Target {
            what: what.into(),
            measured,
            promise: format!("at most {limit}"),
            met: measured <= limit,
        });
    }

    /// `what` was promised to be `limit` or more.
    pub(crate) fn at_least(&mut self, limit: f64, what: impl Into<String>, measured: f64) {
        self.0.push(Target {
            what: what.into(),
            measured,
            promise: format!("at least {limit}"),
            met: measured >= limit,
        });
    }

    /// The last block of the output.
    pub(crate) fn print(&self) {
        heading("Targets");
        for target in &self.0 {
            let verdict = if target.met { "met" } else { "MISSED" };
            println!(
                "  {:<66}{:>9.2}  {:<14}{verdict}",
                target.what, target.measured, target.promise
            );
        }
    }
}

/// Begins a block of the output.
pub(crate) fn heading(text: &str) {
    println!("\n{text}");
}
