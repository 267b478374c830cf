//! What is known of nodes before a dry run clears them in the mind.
//!
//! What the pods on a node take up is added up by priority when it is first asked for, and again when the row has changed:
//! here and not in the table, so that a pod that comes or goes costs nothing where nobody preempts, and what is added up is
//! shared by all that look for victims. Filters that read nothing else of the pods answer for a node without those of
//! lower priority by subtraction. They say so by the type of what they read.

use std::cell::RefCell;
use std::sync::Arc;

use plimsoll_framework::overlay::Overlay;
use plimsoll_framework::plugin::{EvictionPolicy, RejectedBy};
use plimsoll_framework::pod::PodInfo;
use plimsoll_framework::preemption::{Clearing, Shortcuts, Without};
use plimsoll_framework::table::{Row, View};
use plimsoll_framework::taken::TakenByPriority;
use plimsoll_framework::verdict::{Code, Verdict};

use super::Scratch;
use super::filter::{NodeVerdict, PreFiltered, Prepared};
use crate::memo::{Class, ClearingsOfPriority, Nominated};
use crate::profile::Profile;

/// What the pods that may be made to go take up, by row and priority.
#[derive(Default)]
pub(super) struct TakenRows {
    table: Option<Arc<()>>,
    /// With the epoch at which the row was like that.
    rows: Vec<Option<(u64, TakenByPriority)>>,
}

impl TakenRows {
    fn of(&mut self, view: &View, row: Row, policy: &EvictionPolicy) -> &TakenByPriority {
        if !self.table.as_ref().is_some_and(|table| Arc::ptr_eq(table, view.identity())) {
            (self.table, self.rows) = (Some(Arc::clone(view.identity())), Vec::new());
        }
        if self.rows.len() <= row as usize {
            self.rows.resize(view.row_limit().max(row as usize + 1), None);
        }
        let (kept, epoch) = (&mut self.rows[row as usize], view.row_epoch(row));
        if kept.as_ref().is_some_and(|(of, _)| *of != epoch) {
            *kept = None;
        }
        &kept.get_or_insert_with(|| (epoch, TakenByPriority::of(view, row, |pod| policy.allows(pod)))).1
    }
}

/// The rows of the pod's class, where these are all that is to be said of nodes.
pub(super) struct ByRows<'a> {
    pub(super) class: &'a Class,
    pub(super) clearings: RefCell<&'a mut ClearingsOfPriority>,
    /// Whether nobody but the plugins has turned the pod away.
    pub(super) alone: bool,
}

impl ByRows<'_> {
    pub(super) fn code(&self, view: &View, row: Row) -> Option<Code> {
        view.node(row)?;
        self.class.rejection(row).map(|(_, verdict)| verdict.code())
    }
}

/// The pods nominated for the node of a row that count for this pod.
fn nominated(view: &View, row: Row, pod: &PodInfo) -> Nominated {
    let node = view.node(row).filter(|_| !view.nominations().is_empty());
    node.into_iter().flat_map(|node| view.nominations().counting_for(pod, &node.name)).cloned().collect()
}

/// The shortcuts of one search, and whether each is gone, or only compared with what comes of the long way.
pub(super) struct Known<'a, 's, 'r> {
    pub(super) view: &'a View,
    pub(super) pod: &'a PodInfo,
    pub(super) policy: &'a EvictionPolicy,
    /// The filters; `None` where nothing can be told of nodes from sums.
    pub(super) prepared: Option<&'a Prepared<'a>>,
    pub(super) by_rows: Option<&'a ByRows<'r>>,
    /// Whether PreFilter turned the pod away, so that all nodes do.
    pub(super) everywhere: bool,
    pub(super) scratch: &'a RefCell<&'s mut Scratch>,
    pub(super) taken: RefCell<&'a mut TakenRows>,
    pub(super) audits: bool,
    /// What came out otherwise on the long way: what was known, and what is right.
    pub(super) wrong: RefCell<Option<(String, String)>>,
}

impl Known<'_, '_, '_> {
    fn told_by_sums(&self, row: Row) -> Without {
        let Some(prepared) = self.prepared else { return Without::Unknown };
        let mut taken = self.taken.borrow_mut();
        let taken = taken.of(self.view, row, self.policy);
        if !taken.has_below(self.pod.priority()) {
            return Without::Nobody;
        }
        self.scratch.borrow_mut().without(prepared, self.view, self.pod, row, taken)
    }

    fn kept_of(&self, row: Row) -> Option<Arc<Clearing>> {
        let rows = self.by_rows.filter(|rows| rows.class.rejection(row).is_some())?;
        let nominated = nominated(self.view, row, self.pod);
        rows.clearings.borrow().get(self.view, row, &nominated).cloned()
    }

    /// Whether all plugins let the pod pass on the node of a row as it is.
    fn passes(&self, row: Row) -> bool {
        match self.by_rows {
            Some(rows) => rows.code(self.view, row).is_none(),
            None => !self.everywhere && self.scratch.borrow().code(self.view, row).is_none(),
        }
    }

    fn compare(&self, known: &Clearing, row: Row, right: &Clearing) {
        if !known.agrees_with(right) {
            let node = self.view.node(row).map(|node| node.name.clone()).unwrap_or_default();
            *self.wrong.borrow_mut() = Some((format!("{node}: {known:?}"), format!("{right:?}")));
        }
    }
}

impl Shortcuts for Known<'_, '_, '_> {
    fn resolvable(&self) -> Option<Vec<Row>> {
        let rows = self.by_rows.filter(|rows| rows.alone)?;
        Some(rows.class.resolvable().collect())
    }

    fn without_lower(&self, row: Row) -> Without {
        if self.audits { Without::Unknown } else { self.told_by_sums(row) }
    }

    fn kept(&self, row: Row) -> Option<Arc<Clearing>> {
        if self.audits { None } else { self.kept_of(row) }
    }

    fn keep(&self, row: Row, clearing: &Arc<Clearing>) {
        if self.audits {
            if let Some(kept) = self.kept_of(row) {
                self.compare(&kept, row, clearing);
            }
            // Where Filter lets the pod pass as it is, nobody is made to go whatever it would say then.
            let told = if self.passes(row) { Without::Unknown } else { self.told_by_sums(row) };
            match told {
                Without::Unknown => {}
                Without::Nobody => self.compare(&Clearing::Nobody, row, clearing),
                Without::Rejected(by) if by.code == Code::Error => {
                    self.compare(&Clearing::Failed(by.reasons.join(", ")), row, clearing);
                }
                Without::Rejected(by) => self.compare(&Clearing::Rejected(by.reasons), row, clearing),
                Without::RejectedBySome => self.compare(&Clearing::RuledOut, row, clearing),
            }
        }
        // Where an extender alone turned the pod away, nothing of the node says so.
        if let Some(rows) = self.by_rows.filter(|rows| rows.class.rejection(row).is_some()) {
            let nominated = nominated(self.view, row, self.pod);
            rows.clearings.borrow_mut().set(self.view, row, nominated, clearing);
        }
    }
}

/// What filters that are asked one after the other say, of which some cannot be asked.
enum Told {
    /// All let the pod pass.
    Fits,
    /// This one is the first to turn it away.
    First(u8, Verdict),
    /// This one does, and one before it was not asked.
    Later,
    /// Those that were asked let it pass.
    Unknown,
}

impl Scratch {
    /// What is said of the node of a row without the pods of lower priority, by those filters that can tell it from what
    /// these take up. As in [`Self::rejection`] the pods nominated for it count first.
    fn without(
        &mut self,
        prepared: &Prepared<'_>,
        view: &View,
        pod: &PodInfo,
        row: Row,
        taken: &TakenByPriority,
    ) -> Without {
        let Some(node) = view.node(row) else { return Without::Unknown };
        let Some(gone) = taken.below(pod.priority()) else { return Without::Unknown };
        let overlay = &mut self.without;
        overlay.clear();
        if !overlay.take_off(view, row, &gone) {
            return Without::Unknown;
        }
        let alone = prepared.told(view, overlay, row);
        let mut nominated = view.nominations().counting_for(pod, &node.name).cloned().peekable();
        if nominated.peek().is_none() {
            return prepared.as_answer(alone);
        }
        nominated.for_each(|p| overlay.add(view, row, p));
        match (prepared.told(view, overlay, row), alone) {
            (Told::Fits, alone) => prepared.as_answer(alone),
            (Told::Unknown, Told::Fits | Told::Unknown) => Without::Unknown,
            (Told::Unknown, _) => Without::RejectedBySome,
            (told, _) => prepared.as_answer(told),
        }
    }
}

impl Prepared<'_> {
    /// What the filters say of a node through an overlay in which only what pods take up is right.
    fn told(&self, view: &View, overlay: &Overlay, row: Row) -> Told {
        let mut all = true;
        for (nth, filter) in self.numbered() {
            if filter.reads().reads_beyond_amounts() {
                all = false;
                continue;
            }
            let verdict = filter.one(view, Some(overlay), row);
            if !verdict.fits() {
                return if all { Told::First(nth, verdict) } else { Told::Later };
            }
        }
        if all { Told::Fits } else { Told::Unknown }
    }

    fn as_answer(&self, told: Told) -> Without {
        match told {
            Told::First(filter, verdict) => {
                let NodeVerdict { plugin, code, reasons } = self.verdict(filter, verdict);
                Without::Rejected(RejectedBy { plugin, code, reasons })
            }
            Told::Later => Without::RejectedBySome,
            Told::Fits | Told::Unknown => Without::Unknown,
        }
    }
}

impl Scratch {
    /// Asks every node about a pod, and gives a node that has another code than the rows of its class, with both.
    pub(super) fn other_codes(
        &mut self,
        profile: &Profile,
        class: &Class,
        view: &View,
        pod: &PodInfo,
    ) -> Option<(String, String)> {
        let none = Overlay::default();
        let PreFiltered::Run(prepared) = Prepared::for_pod(profile, view, &none, pod) else {
            return Some(("all nodes are asked".to_owned(), "PreFilter turns the pod away".to_owned()));
        };
        self.filter(&prepared, view, &none, pod);
        let kept = |row: Row| class.rejection(row).map(|(_, verdict)| verdict.code());
        let row = view.rows().find(|row| kept(*row) != self.code(view, *row))?;
        let name = view.node(row).map(|node| node.name.clone()).unwrap_or_default();
        Some((format!("{name}: {:?}", kept(row)), format!("{:?}", self.code(view, row))))
    }
}
