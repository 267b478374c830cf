//! A scheduler with a plugin of its own: everything that `plimsoll` does, its flags and commands included, and
//! [`rack_budget::RackBudget`] besides. `TierDedication` and `MostAvailableCPU` are in Plimsoll already; like this
//! program's own plugin they run where a profile enables them, as `config.yaml` does.
//!
//! ```text
//! cargo run -p custom-scheduler -- check-config examples/custom-scheduler/config.yaml
//! cargo run -p custom-scheduler -- --config examples/custom-scheduler/config.yaml --kubeconfig FILE
//! ```

mod rack_budget;

use std::process::ExitCode;

use plimsoll::registry::Registry;

fn main() -> ExitCode {
    let mut registry = Registry::default();
    registry.add(rack_budget::ENTRY);
    plimsoll::commands::main_with(&registry)
}
