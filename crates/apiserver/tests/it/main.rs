//! The server as its clients see it. One program, so that it is linked once.

#![expect(clippy::unwrap_used, reason = "what a helper cannot do has failed the test")]

mod access;
mod binding;
mod client;
mod continuity;
mod deletes;
mod evictions;
mod faults;
mod kinds;
mod kube_client;
mod lists;
mod patches;
mod tls;
mod volumes;
mod watches;
mod workloads;
mod writes;
