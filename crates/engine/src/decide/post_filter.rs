//! PostFilter: what can be done for a pod that fits nowhere (reference section 9.3).

use std::cell::RefCell;
use std::sync::Arc;

use hashbrown::HashSet;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::overlay::{Delta, Overlay};
use plimsoll_framework::plugin::{PostFilterContext, PostFilterVerdict, RejectedBy};
use plimsoll_framework::pod::{PodInfo, Uid};
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::verdict::Code;

use super::{PreFiltered, Prepared, Worker};
use crate::profile::Profile;

/// What came of PostFilter.
#[derive(Clone, Debug, PartialEq)]
pub struct PostFiltered {
    /// `Success` when a node is to be cleared for the pod.
    pub code: Code,
    /// That node.
    pub nominated_node: Option<Istr>,
    /// The pods that have to leave it, those included that are leaving it already; the most important one first.
    pub victims: Vec<Arc<PodInfo>>,
    /// The text that joins the pod's message; empty when a node is to be cleared.
    pub message: String,
    /// Whether the node that was being cleared for the pod, if any, is of no use to it any more.
    pub clears_nomination: bool,
    /// The plugin that found pods that could make room, and that may not go.
    pub forbidden_by: Option<&'static str>,
}

impl PostFiltered {
    fn rejected(code: Code, message: String, clears_nomination: bool) -> Self {
        Self { code, nominated_node: None, victims: Vec::new(), message, clears_nomination, forbidden_by: None }
    }
}

impl Worker {
    /// Asks the profile's PostFilter plugins about a pod that fits nowhere on `view`; `None` where it has none, or where
    /// there is no node at all.
    pub(crate) fn post_filter(
        &mut self,
        profile: &Profile,
        view: &View,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<PostFiltered> {
        if !has_a_say(profile, view) {
            return None;
        }
        self.post_filter_through(profile, view, &Overlay::default(), pod, draw)
    }

    /// The same through an overlay: what it takes away from the view is gone already, what it adds is there.
    pub(super) fn post_filter_through(
        &mut self,
        profile: &Profile,
        view: &View,
        base: &Overlay,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<PostFiltered> {
        let asked = Prepared::for_pod(profile, view, base, pod);
        if let PreFiltered::Run(prepared) = &asked {
            self.scratch.filter(prepared, view, base, pod);
        }
        self.post_filter_after(&asked, profile, view, base, pod, draw)
    }

    /// The same after PreFilter and, where it let the pod pass, after every node was asked.
    pub(super) fn post_filter_after(
        &mut self,
        asked: &PreFiltered<'_>,
        profile: &Profile,
        view: &View,
        base: &Overlay,
        pod: &PodInfo,
        draw: u64,
    ) -> Option<PostFiltered> {
        if !has_a_say(profile, view) {
            return None;
        }
        let (prepared, everywhere) = match asked {
            PreFiltered::Run(prepared) => (Some(prepared), None),
            // Turned away before any node was looked at: the same holds of all of them.
            PreFiltered::Reject(rejected) => (rejected.prepared.as_ref(), Some(&rejected.by)),
            PreFiltered::Fail(_) => return None,
        };
        let last = everywhere.filter(|by| by.code == Code::UnschedulableAndUnresolvable);
        let asked = last.and_then(|by| profile.pre_filter.iter().position(|point| point.name == by.plugin));
        let not_asked: Vec<&'static str> =
            asked.map_or(&[][..], |at| &profile.pre_filter[at + 1..]).iter().map(|point| point.name).collect();
        // A plugin asks about nodes one at a time, through a shared reference.
        let scratch = RefCell::new(&mut self.scratch);
        let joined = RefCell::new(Joined::new(view, base));
        let code = |row: Row| match everywhere {
            Some(by) => view.node(row).map(|_| by.code),
            None => scratch.borrow().code(view, row),
        };
        let fits = |row: Row, overlay: &Overlay| match prepared {
            Some(prepared) if base.is_empty() => scratch.borrow_mut().fits(prepared, view, overlay, pod, row),
            Some(prepared) => {
                let mut joined = joined.borrow_mut();
                scratch.borrow_mut().fits(prepared, view, joined.with(overlay), pod, row)
            }
            None => Err(RejectedBy { plugin: "", code: Code::UnschedulableAndUnresolvable, reasons: Vec::new() }),
        };
        let context = PostFilterContext {
            view,
            not_asked: &not_asked,
            code: &code,
            fits: &fits,
            draw: self.seed ^ draw,
            policy: &self.policy,
        };
        Some(ask(profile, pod, &context))
    }
}

/// Two overlays as one, where the second grows between questions. What the first has taken away stays away, whatever
/// the second says of it.
struct Joined<'a> {
    view: &'a View,
    base: &'a Overlay,
    gone: HashSet<Uid>,
    overlay: Overlay,
    /// Of the second, in their order.
    applied: Vec<(Uid, i64)>,
    begun: bool,
}

impl<'a> Joined<'a> {
    fn new(view: &'a View, base: &'a Overlay) -> Self {
        let gone = base.deltas().iter().filter(|d| d.sign < 0).map(|d| d.pod.key.uid.clone()).collect();
        Self { view, base, gone, overlay: Overlay::default(), applied: Vec::new(), begun: false }
    }

    fn with(&mut self, over: &Overlay) -> &Overlay {
        let mut same = self.applied.iter().zip(over.deltas());
        let goes_on = self.applied.len() <= over.deltas().len()
            && same.all(|((uid, sign), delta)| *sign == delta.sign && *uid == delta.pod.key.uid);
        if !goes_on || !self.begun {
            self.overlay.clear();
            self.applied.clear();
            self.begun = true;
            self.base.deltas().iter().for_each(|delta| apply(&mut self.overlay, self.view, delta));
        }
        for delta in over.deltas().iter().skip(self.applied.len()) {
            let uid = delta.pod.key.uid.clone();
            if !self.gone.contains(&uid) {
                apply(&mut self.overlay, self.view, delta);
            }
            self.applied.push((uid, delta.sign));
        }
        &self.overlay
    }
}

fn apply(overlay: &mut Overlay, view: &View, delta: &Delta) {
    if delta.sign > 0 {
        overlay.add(view, delta.row, Arc::clone(&delta.pod));
    } else {
        overlay.remove(view, delta.row, Arc::clone(&delta.pod));
    }
}

/// Whether somebody is to be asked, about at least one node.
fn has_a_say(profile: &Profile, view: &View) -> bool {
    view.node_count() > 0 && !profile.post_filter.is_empty()
}

fn ask(profile: &Profile, pod: &PodInfo, context: &PostFilterContext<'_>) -> PostFiltered {
    let (mut said, mut clears, mut forbidden_by) = (Vec::new(), false, None);
    for point in &profile.post_filter {
        match point.plugin.post_filter(pod, context) {
            Ok(PostFilterVerdict::Nominate { node, victims }) => {
                return PostFiltered {
                    code: Code::Success,
                    nominated_node: Some(node),
                    victims,
                    message: String::new(),
                    clears_nomination: false,
                    forbidden_by: None,
                };
            }
            Ok(PostFilterVerdict::Reject { rejection, clears_nomination }) => {
                clears |= clears_nomination;
                // Any other code is the last word.
                if rejection.code != Code::Unschedulable {
                    return PostFiltered::rejected(rejection.code, rejection.reason, clears_nomination);
                }
                said.push(rejection.reason);
            }
            Ok(PostFilterVerdict::Forbid(rejection)) => {
                clears = true;
                forbidden_by = Some(point.name);
                said.push(rejection.reason);
            }
            Err(error) => return PostFiltered::rejected(Code::Error, error.to_string(), false),
        }
    }
    PostFiltered { forbidden_by, ..PostFiltered::rejected(Code::Unschedulable, said.join(", "), clears) }
}
