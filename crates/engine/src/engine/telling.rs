//! The words for pods that fit nowhere, found once for pods that are alike.
//!
//! Thousands of pods of one class share a diagnosis and what PostFilter said, by pointer, as long as nothing has changed. So
//! the message of their events and conditions, and the sets by which the queue knows what could help them, are made once
//! and shared as well.

use std::sync::Arc;

use hashbrown::HashMap;

use super::failure::Said;
use super::preempt::held_off;
use crate::decide::PostFiltered;
use crate::diagnosis::Diagnosis;
use crate::queue::Rejectors;

/// How many diagnoses have words ready, at most.
const KNOWN: usize = 256;

/// The words that are ready.
#[derive(Default)]
pub(super) struct Telling {
    /// By where in memory the diagnosis is, and what PostFilter said.
    known: HashMap<(usize, usize), Known>,
}

struct Known {
    /// Held, so that their places in memory are not used again.
    _held: (Arc<Diagnosis>, Option<Arc<PostFiltered>>),
    message: Arc<str>,
    rejectors: Rejectors,
}

impl Telling {
    /// The message for a pod, and who turned it away.
    pub(super) fn of(&mut self, diagnosis: &Arc<Diagnosis>, said: Said) -> (Arc<str>, Rejectors) {
        let done = match said {
            Said::Nothing => None,
            Said::Asked(done) => Some(done),
            Said::HeldOff(wait) => {
                let whole = Diagnosis { post_filter_message: held_off(wait), ..Diagnosis::clone(diagnosis) };
                return (whole.message().into(), whole.rejectors());
            }
        };
        let key = (Arc::as_ptr(diagnosis).addr(), done.as_ref().map_or(0, |done| Arc::as_ptr(done).addr()));
        if let Some(known) = self.known.get(&key) {
            return (Arc::clone(&known.message), known.rejectors.clone());
        }
        let mut whole = Diagnosis::clone(diagnosis);
        if let Some(done) = &done {
            whole.post_filter_message.clone_from(&done.message);
            done.forbidden_by.into_iter().for_each(|plugin| whole.unschedulable_plugins.insert(plugin));
        }
        let (message, rejectors): (Arc<str>, _) = (whole.message().into(), whole.rejectors());
        // What nobody else holds does not come again.
        let comes_again =
            Arc::strong_count(diagnosis) > 1 && done.as_ref().is_none_or(|done| Arc::strong_count(done) > 1);
        if comes_again {
            if self.known.len() >= KNOWN {
                self.known.clear();
            }
            let known = Known {
                _held: (Arc::clone(diagnosis), done),
                message: Arc::clone(&message),
                rejectors: rejectors.clone(),
            };
            self.known.insert(key, known);
        }
        (message, rejectors)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plimsoll_framework::verdict::Code;

    use super::*;

    fn post_filtered(message: &str, forbidden_by: Option<&'static str>) -> Arc<PostFiltered> {
        Arc::new(PostFiltered {
            code: Code::Unschedulable,
            nominated_node: None,
            victims: Vec::new(),
            message: message.to_owned(),
            clears_nomination: true,
            forbidden_by,
        })
    }

    #[test]
    fn words_are_shared_by_who_shares_the_diagnosis_and_by_nobody_else() {
        let mut telling = Telling::default();
        let one = Arc::new(Diagnosis::rejected_at_node("Fit", Code::Unschedulable, "no room".to_owned()));
        let (equal, kept) = (Arc::new(Diagnosis::clone(&one)), Arc::clone(&one));
        let (vain, forbidden) = (post_filtered("in vain.", None), post_filtered("forbidden.", Some("Budget")));
        let mut of = |diagnosis: &Arc<Diagnosis>, said: Said| telling.of(diagnosis, said);

        let (alone, by_fit) = of(&one, Said::Nothing);
        assert_eq!(&*alone, "0/1 nodes are available: 1 no room.");
        assert!(Arc::ptr_eq(&alone, &of(&kept, Said::Nothing).0));
        let (other, _) = of(&equal, Said::Nothing);
        assert!(other == alone && !Arc::ptr_eq(&other, &alone), "nobody else holds it");

        let (asked, by_same) = of(&one, Said::Asked(Arc::clone(&vain)));
        assert_eq!(&*asked, "0/1 nodes are available: 1 no room. in vain.");
        assert!(Arc::ptr_eq(&asked, &of(&one, Said::Asked(Arc::clone(&vain))).0));
        assert_eq!(by_same.unschedulable, by_fit.unschedulable);

        let (asked, by_two) = of(&one, Said::Asked(Arc::clone(&forbidden)));
        assert_eq!(&*asked, "0/1 nodes are available: 1 no room. forbidden.");
        assert_eq!(by_two.unschedulable, ["Fit", "Budget"].into_iter().collect());
        assert_eq!(of(&one, Said::Nothing).1.unschedulable, by_fit.unschedulable, "others are not told of the budget");

        let (held_off, _) = of(&one, Said::HeldOff(Duration::from_secs(3)));
        assert!(held_off.starts_with("0/1 nodes are available: 1 no room. preemption: held off for 3 s"), "{held_off}");
        assert_eq!(telling.known.len(), 3, "what comes once is not kept");
    }
}
