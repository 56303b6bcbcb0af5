//! What each step of a test took, told as it goes.

use std::time::{Duration, Instant};

/// The steps of one test.
#[derive(Debug)]
pub(crate) struct Steps {
    of: String,
    began: Instant,
}

impl Steps {
    /// Begins.
    pub(crate) fn begin(of: &str) -> Self {
        Self { of: of.to_owned(), began: Instant::now() }
    }

    /// Does one step and tells how long it took. An error gets the step's name.
    pub(crate) fn step<T>(
        &self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Duration)> {
        let start = Instant::now();
        let outcome = work();
        let took = start.elapsed();
        let mark = if outcome.is_ok() { "" } else { " (failed)" };
        println!("{}: {:6.1} s  {name}{mark}", self.of, took.as_secs_f64());
        Ok((outcome.map_err(|error| error.context(format!("{}: {name}", self.of)))?, took))
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        println!("{}: {:6.1} s  in all", self.of, self.began.elapsed().as_secs_f64());
    }
}
