//! Time, as a value: everything below the shell is told what time it is.

use std::time::Duration;

/// A point in time: the time since the Unix epoch on a clock that never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Time(Duration);

impl Time {
    /// The time this long after the Unix epoch.
    pub const fn since_epoch(d: Duration) -> Self {
        Self(d)
    }
    /// The time since the Unix epoch.
    pub const fn as_duration(self) -> Duration {
        self.0
    }
    /// Later by `d`.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(d))
    }
    /// How long since `earlier`; nothing if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
    /// Cut to the whole second.
    #[must_use]
    pub fn whole_second(self) -> Self {
        Self(Duration::from_secs(self.0.as_secs()))
    }
}
