use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Few domains, a crowd of neighbours, and others far out: arrays become maps, and maps arrays again.
fn domain() -> impl Strategy<Value = DomainId> {
    prop_oneof![0_u32..40, 900_u32..1_100, 0_u32..20_000]
}

proptest! {
    #[test]
    fn sums_are_those_of_a_map(
        adds in vec((domain(), -3_i64..6), 1..400),
        crowd in prop::option::weighted(0.3, 1_u32..3_000),
        changed in vec((domain(), -3_i64..4), 0..4),
        empty in 0_u32..3,
    ) {
        let (mut sums, mut model) = (Sums::default(), BTreeMap::<DomainId, i64>::new());
        let crowd = (0..crowd.unwrap_or(0)).map(|domain| (domain, 1));
        for (domain, by) in adds.into_iter().chain(crowd) {
            let sum = model.entry(domain).or_default();
            let by = by.max(-*sum);
            *sum += by;
            sums.add(domain, by);
        }
        let changed: Vec<_> = changed.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
        changed.iter().for_each(|(domain, _)| *model.entry(*domain).or_default() += 0);
        for (domain, sum) in &model {
            prop_assert_eq!(i64::from(sums.get(*domain)), *sum);
        }
        prop_assert_eq!(sums.total(), model.values().sum::<i64>());
        // Domains in which nothing was ever counted.
        let domains = u32::try_from(model.len()).unwrap() + empty;
        prop_assert_eq!(sums.least(domains, &[]), model.values().copied().chain((empty > 0).then_some(0)).min());
        for (domain, by) in &changed {
            *model.entry(*domain).or_default() += by;
        }
        prop_assert_eq!(sums.least(domains, &changed), model.values().copied().chain((empty > 0).then_some(0)).min());
    }
}
