//! Help in messages: the nearest name, the place where a misplaced field belongs, what is allowed.

/// Fields, and where they belong. Only those that are found at one place.
const HOMES: &[(&str, &str)] = &[
    ("acceptContentTypes", "under clientConnection"),
    ("addedAffinity", "in profiles[].pluginConfig[].args of NodeAffinity"),
    ("args", "in profiles[].pluginConfig[]"),
    ("bindTimeoutSeconds", "in profiles[].pluginConfig[].args of VolumeBinding"),
    ("bindVerb", "in extenders[]"),
    ("bindingTimeout", "in profiles[].pluginConfig[].args of DynamicResources"),
    ("burst", "under clientConnection"),
    ("clientConnection", "at the top of the document"),
    ("coexistence", "in a document of its own, of kind PlimsollConfiguration"),
    ("contentType", "under clientConnection"),
    ("defaultConstraints", "in profiles[].pluginConfig[].args of PodTopologySpread"),
    ("defaultingType", "in profiles[].pluginConfig[].args of PodTopologySpread"),
    ("delayCacheUntilActive", "at the top of the document"),
    ("disabled", "in profiles[].plugins.POINT"),
    ("enableContentionProfiling", "at the top of the document"),
    ("enableHTTPS", "in extenders[]"),
    ("enableProfiling", "at the top of the document"),
    ("enabled", "in profiles[].plugins.POINT"),
    ("extenderParallelism", "in a document of its own, of kind PlimsollConfiguration"),
    ("extenders", "at the top of the document"),
    ("filterTimeout", "in profiles[].pluginConfig[].args of DynamicResources"),
    ("filterVerb", "in extenders[]"),
    ("hardPodAffinityWeight", "in profiles[].pluginConfig[].args of InterPodAffinity"),
    ("headroom", "under coexistence in a document of its own, of kind PlimsollConfiguration"),
    ("history", "in a document of its own, of kind PlimsollConfiguration"),
    ("httpTimeout", "in extenders[]"),
    ("ignorable", "in extenders[]"),
    ("ignorePreferredTermsOfExistingPods", "in profiles[].pluginConfig[].args of InterPodAffinity"),
    ("ignoredByScheduler", "in extenders[].managedResources[]"),
    ("ignoredResourceGroups", "in profiles[].pluginConfig[].args of NodeResourcesFit"),
    ("ignoredResources", "in profiles[].pluginConfig[].args of NodeResourcesFit"),
    ("kubeconfig", "under clientConnection"),
    ("leaderElect", "under leaderElection"),
    ("leaderElection", "at the top of the document"),
    ("leaseDuration", "under leaderElection"),
    ("managedResources", "in extenders[]"),
    ("minCandidateNodesAbsolute", "in profiles[].pluginConfig[].args of DefaultPreemption"),
    ("minCandidateNodesPercentage", "in profiles[].pluginConfig[].args of DefaultPreemption"),
    ("mode", "in a document of its own, of kind PlimsollConfiguration"),
    ("multiPoint", "in profiles[].plugins"),
    ("nodeCacheCapable", "in extenders[]"),
    ("parallelism", "at the top of the KubeSchedulerConfiguration"),
    ("paused", "in a document of its own, of kind PlimsollConfiguration"),
    ("percentageOfNodesToScore", "at the top of the document or in profiles[]"),
    ("pluginConfig", "in profiles[]"),
    ("plugins", "in profiles[]"),
    ("podInitialBackoffSeconds", "at the top of the document"),
    ("podMaxBackoffSeconds", "at the top of the document"),
    ("preemptVerb", "in extenders[]"),
    ("prioritizeVerb", "in extenders[]"),
    ("profiles", "at the top of the document"),
    ("qps", "under clientConnection"),
    ("refusalCooldown", "under coexistence in a document of its own, of kind PlimsollConfiguration"),
    ("renewDeadline", "under leaderElection"),
    ("replaceDefaultScheduler", "in a document of its own, of kind PlimsollConfiguration"),
    ("requestedToCapacityRatio", "in scoringStrategy of the args of NodeResourcesFit"),
    ("resourceLock", "under leaderElection"),
    ("resourceName", "under leaderElection"),
    ("resourceNamespace", "under leaderElection"),
    ("retryPeriod", "under leaderElection"),
    ("schedulerName", "in profiles[]"),
    ("scoringStrategy", "in profiles[].pluginConfig[].args of NodeResourcesFit"),
    ("seed", "in a document of its own, of kind PlimsollConfiguration"),
    ("memo", "in a document of its own, of kind PlimsollConfiguration"),
    ("eventPolicy", "in a document of its own, of kind PlimsollConfiguration"),
    ("preemption", "in a document of its own, of kind PlimsollConfiguration"),
    ("schedulerNames", "under shadow in a document of its own, of kind PlimsollConfiguration"),
    ("shadow", "in a document of its own, of kind PlimsollConfiguration"),
    ("tieBreak", "in a document of its own, of kind PlimsollConfiguration"),
    ("tlsConfig", "in extenders[]"),
    ("urlPrefix", "in extenders[]"),
    ("workers", "in a document of its own, of kind PlimsollConfiguration"),
];

/// Fields of former versions, and what took their place.
const GONE: &[(&str, &str)] = &[
    ("algorithmSource", "it was removed with policy files: use profiles"),
    ("disablePreemption", "it was removed: disable the plugin DefaultPreemption"),
    ("healthzBindAddress", "it was removed: use the flag --http-address"),
    ("lockObjectName", "it was renamed: use resourceName"),
    ("lockObjectNamespace", "it was renamed: use resourceNamespace"),
    ("metricsBindAddress", "it was removed: use the flag --http-address"),
    ("unreserve", "it was removed: a plugin's unreserve belongs to reserve"),
];

/// The message for a field that is not allowed where it stands.
pub(super) fn unknown_field(name: &str, allowed: &[&str]) -> String {
    let shown = clip(name);
    if let Some(nearest) = nearest(name, allowed.iter().copied()) {
        return format!("unknown field {shown:?}; did you mean {nearest:?}?");
    }
    if let Some((_, home)) = HOMES.iter().find(|(known, _)| *known == name) {
        return format!("unknown field {shown:?} here; it belongs {home}");
    }
    if let Some((_, instead)) = GONE.iter().find(|(known, _)| *known == name) {
        return format!("unknown field {shown:?}; {instead}");
    }
    if let Some(known) = nearest(name, HOMES.iter().map(|(known, _)| *known))
        && let Some((_, home)) = HOMES.iter().find(|(field, _)| *field == known)
    {
        return format!("unknown field {shown:?}; if {known:?} is meant, it belongs {home}");
    }
    format!("unknown field {shown:?}; allowed here: {}", allowed.join(", "))
}

/// The name of `names` that `name` is most likely a misspelling of, if any is near.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong, at most three: enough for typos, too little to turn one plugin into another.
    let limit = (name.len() / 3).clamp(1, 3);
    if name.len() > 64 {
        return None;
    }
    let wanted = name.to_lowercase();
    names
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// No more of a name from outside than a message should hold.
pub(super) fn clip(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Number of letters to insert, remove or change to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (index, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[index + 1];
            row[index + 1] = change.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let names = ["NodeResourcesFit", "NodeAffinity", "InterPodAffinity"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("NodeResourceFit"), Some("NodeResourcesFit"));
        assert_eq!(near("nodeaffinity"), Some("NodeAffinity"));
        assert_eq!(near("Coscheduling"), None);
        assert_eq!(near(""), None);
    }
}
