//! One question about one node, for what-if answers.

use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::RejectedBy;
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::verdict::Code;

use super::{PreFiltered, Prepared, Worker};
use crate::profile::Profile;

impl Worker {
    /// Whether a pod would fit on the node of a row, pods nominated for it included; if not, who says so first and why.
    /// The plugin's name is empty where PreFilter leaves the node out, or where there is no node.
    pub fn fits_on(&mut self, profile: &Profile, view: &View, pod: &PodInfo, row: Row) -> Result<(), RejectedBy> {
        let none = Overlay::default();
        let nobody =
            |reason: String| RejectedBy { plugin: "", code: Code::UnschedulableAndUnresolvable, reasons: vec![reason] };
        let prepared = match Prepared::for_pod(profile, view, &none, pod) {
            PreFiltered::Run(prepared) => prepared,
            PreFiltered::Reject(rejected) => return Err(rejected.by),
            PreFiltered::Fail(message) => return Err(nobody(message)),
        };
        match view.node(row) {
            Some(node) if prepared.leaves(&node.name) => self.scratch.fits(&prepared, view, &none, pod, row),
            Some(_) => Err(nobody("PreFilter leaves it out".to_owned())),
            None => Err(nobody("there is no such node".to_owned())),
        }
    }
}
