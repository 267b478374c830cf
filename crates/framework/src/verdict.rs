//! Answers. "Does not fit" is an answer, never an error.

use std::fmt;

/// What Filter says of one node: fits, or the reasons why not, as bits that the plugin's `reasons` turns into text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict(u32);

impl Verdict {
    /// The pod fits, as far as this plugin is concerned.
    pub const FITS: Self = Self(0);
    const UNRESOLVABLE: u32 = 1 << 31;
    const FAILED: u32 = 1 << 30;
    const MARKS: u32 = Self::UNRESOLVABLE | Self::FAILED;
    /// How many reasons a plugin can tell apart.
    pub const REASONS: u32 = 30;

    /// Does not fit now, but might if pods left the node (`Unschedulable`). `reasons` are bits of the plugin's own
    /// meaning, of which at least one is set; the two highest cannot be used.
    pub const fn unschedulable(reasons: u32) -> Self {
        debug_assert!(reasons != 0 && reasons & Self::MARKS == 0);
        Self(reasons)
    }

    /// Does not fit, whatever pods leave the node (`UnschedulableAndUnresolvable`).
    pub const fn unresolvable(reasons: u32) -> Self {
        debug_assert!(reasons != 0 && reasons & Self::MARKS == 0);
        Self(reasons | Self::UNRESOLVABLE)
    }

    /// The question could not be answered (`Error`): the attempt fails with the first reason as its message, whatever
    /// other nodes say.
    pub const fn failed(reasons: u32) -> Self {
        debug_assert!(reasons != 0 && reasons & Self::MARKS == 0);
        Self(reasons | Self::FAILED)
    }

    /// Whether the pod fits.
    pub const fn fits(self) -> bool {
        self.0 == 0
    }

    /// Whether all of a block's verdicts are [`Self::FITS`].
    pub fn all_fit(block: &[Self; 64]) -> bool {
        block.iter().fold(0, |all, v| all | v.0) == 0
    }

    /// The lanes of a block whose verdicts are [`Self::FITS`]. Mostly that is all of them, which is seen at a glance.
    pub fn fitting(block: &[Self; 64]) -> u64 {
        if Self::all_fit(block) {
            return u64::MAX;
        }
        block.iter().enumerate().fold(0, |set, (lane, verdict)| set | u64::from(verdict.fits()) << lane)
    }

    /// The reasons, as the plugin's bits.
    pub const fn reasons(self) -> u32 {
        self.0 & !Self::MARKS
    }

    /// The status code.
    pub const fn code(self) -> Code {
        match self.0 {
            0 => Code::Success,
            bits if bits & Self::FAILED != 0 => Code::Error,
            bits if bits & Self::UNRESOLVABLE != 0 => Code::UnschedulableAndUnresolvable,
            _ => Code::Unschedulable,
        }
    }
}

/// Status codes under upstream's names (reference section 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Done, or fits.
    Success,
    /// A fault of ours or of something we asked; retried.
    Error,
    /// Does not fit now.
    Unschedulable,
    /// Does not fit, and preemption cannot change that.
    UnschedulableAndUnresolvable,
    /// Has to wait (Permit).
    Wait,
    /// Nothing to do here.
    Skip,
    /// Does not fit until something the plugin waits for happens; then goes straight to the active queue.
    Pending,
}

impl Code {
    /// The name, as metrics and messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Error => "Error",
            Self::Unschedulable => "Unschedulable",
            Self::UnschedulableAndUnresolvable => "UnschedulableAndUnresolvable",
            Self::Wait => "Wait",
            Self::Skip => "Skip",
            Self::Pending => "Pending",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pod turned away as a whole, or from one node after it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// One of `Unschedulable`, `UnschedulableAndUnresolvable`, `Pending`.
    pub code: Code,
    /// Why, in upstream's words where upstream has some.
    pub reason: String,
}

impl Rejection {
    /// A rejection that preemption cannot change.
    pub fn unresolvable(reason: impl Into<String>) -> Self {
        Self { code: Code::UnschedulableAndUnresolvable, reason: reason.into() }
    }
    /// A rejection that preemption might change.
    pub fn unschedulable(reason: impl Into<String>) -> Self {
        Self { code: Code::Unschedulable, reason: reason.into() }
    }
}

/// A fault of a plugin, as opposed to an answer: the attempt fails with `SchedulerError` and is retried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PluginError {
    /// What failed.
    pub message: String,
}
