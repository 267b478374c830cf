//! A whole scheduler against the stand-in API server, over real connections, in one process.
//!
//! Nothing here depends on how fast the machine is: waits end as soon as what is waited for is there, and only a test
//! that fails sees their limit.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

mod coexistence;
mod decisions;
mod events;
mod explain;
mod extenders;
mod faults;
mod gangs;
mod held;
mod odd_objects;
mod permissions;
mod preemption;
mod record;
mod refusals;
mod reload;
mod replicas;
mod rig;
mod scripted;
mod secured;
mod shadow;
mod shutdown;
mod streams;
mod volumes;
mod wire;
