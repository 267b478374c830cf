//! The numbers of the fields that `kubectl create` and `kubectl auth` use, as Kubernetes' API assigns them for ever.

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) sort: Sort,
    /// Whether Go has a pointer there, so that what is empty differs from what is absent.
    pub(super) pointer: bool,
    pub(super) repeated: bool,
    /// The message that it is, or that a map's values are; empty for texts.
    pub(super) of: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sort {
    Text,
    Int,
    Flag,
    Message,
    Map,
}

/// Messages with the same fields have one line. A field is its number, name and type: `s` text, `i` integer, `b` flag,
/// `m` map of texts, `m:X` map of messages, anything else a message; `*` in front marks a pointer, `[]` a list.
#[rustfmt::skip]
const MESSAGES: &[(&str, &str)] = &[
    ("Time", "1 seconds i,2 nanos i"),
    ("Quantity", "1 string s"),
    ("IntOrString", "1 type i,2 intVal i,3 strVal s"),
    ("ObjectMeta", "1 name s,2 generateName s,3 namespace s,5 uid s,6 resourceVersion s,8 creationTimestamp Time,\
        11 labels m,12 annotations m,14 finalizers []s"),
    ("LabelSelector", "1 matchLabels m,2 matchExpressions []Requirement"),
    ("Requirement", "1 key s,2 operator s,3 values []s"),
    ("Namespace", "1 metadata ObjectMeta,2 spec NamespaceSpec"),
    ("NamespaceSpec", "1 finalizers []s"),
    ("ConfigMap", "1 metadata ObjectMeta,2 data m,4 immutable *b"),
    ("ServiceAccount", "1 metadata ObjectMeta"),
    ("PriorityClass", "1 metadata ObjectMeta,2 value i,3 globalDefault b,4 description s,5 preemptionPolicy *s"),
    ("PodDisruptionBudget", "1 metadata ObjectMeta,2 spec PodDisruptionBudgetSpec"),
    ("PodDisruptionBudgetSpec", "1 minAvailable IntOrString,2 selector LabelSelector,3 maxUnavailable IntOrString"),
    ("Deployment", "1 metadata ObjectMeta,2 spec DeploymentSpec"),
    ("DeploymentSpec", "1 replicas *i,2 selector LabelSelector,3 template PodTemplateSpec,4 strategy DeploymentStrategy"),
    ("DeploymentStrategy", "1 type s,2 rollingUpdate RollingUpdate"),
    ("RollingUpdate", "1 maxUnavailable IntOrString,2 maxSurge IntOrString"),
    ("Job", "1 metadata ObjectMeta,2 spec JobSpec"),
    ("JobSpec", "1 parallelism *i,2 completions *i,6 template PodTemplateSpec"),
    ("CronJob", "1 metadata ObjectMeta,2 spec CronJobSpec"),
    ("CronJobSpec", "1 schedule s,4 suspend *b,5 jobTemplate JobTemplateSpec"),
    ("JobTemplateSpec", "1 metadata ObjectMeta,2 spec JobSpec"),
    ("PodTemplateSpec", "1 metadata ObjectMeta,2 spec PodSpec"),
    ("PodSpec", "2 containers []Container,3 restartPolicy s,7 nodeSelector m,8 serviceAccountName s,10 nodeName s,\
        19 schedulerName s"),
    ("Container", "1 name s,2 image s,3 command []s,4 args []s,6 ports []ContainerPort,7 env []EnvVar,\
        8 resources ResourceRequirements,14 imagePullPolicy s"),
    ("ContainerPort", "1 name s,2 hostPort i,3 containerPort i,4 protocol s,5 hostIP s"),
    ("EnvVar", "1 name s,2 value s"),
    ("ResourceRequirements", "1 limits m:Quantity,2 requests m:Quantity"),
    ("TokenRequest", "1 metadata ObjectMeta,2 spec TokenRequestSpec"),
    ("TokenRequestSpec", "1 audiences []s,3 boundObjectRef *BoundObjectReference,4 expirationSeconds *i"),
    ("BoundObjectReference", "1 kind s,2 apiVersion s,3 name s,4 uid s"),
    ("SelfSubjectReview", "1 metadata ObjectMeta"),
    ("SelfSubjectAccessReview", "1 metadata ObjectMeta,2 spec SelfSubjectAccessReviewSpec"),
    ("SelfSubjectAccessReviewSpec", "1 resourceAttributes *ResourceAttributes,2 nonResourceAttributes *Path"),
    ("ResourceAttributes", "1 namespace s,2 verb s,3 group s,4 version s,5 resource s,6 subresource s,7 name s"),
    ("Path", "1 path s,2 verb s"),
    ("SelfSubjectRulesReview", "1 metadata ObjectMeta,2 spec SelfSubjectRulesReviewSpec"),
    ("SelfSubjectRulesReviewSpec", "1 namespace s"),
];

/// The known fields of a message.
pub(super) fn message(name: &str) -> Option<Vec<Field>> {
    let (_, fields) = MESSAGES.iter().find(|(known, _)| *known == name)?;
    fields.split(',').map(field).collect()
}

fn field(text: &'static str) -> Option<Field> {
    let mut words = text.split_whitespace();
    let (number, name, of) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let (pointer, of) = of.strip_prefix('*').map_or((false, of), |of| (true, of));
    let (repeated, of) = of.strip_prefix("[]").map_or((false, of), |of| (true, of));
    let (sort, of) = match of {
        "s" => (Sort::Text, ""),
        "i" => (Sort::Int, ""),
        "b" => (Sort::Flag, ""),
        "m" => (Sort::Map, ""),
        of => of.strip_prefix("m:").map_or((Sort::Message, of), |of| (Sort::Map, of)),
    };
    Some(Field { number, name, sort, pointer, repeated, of })
}

#[cfg(test)]
mod tests {
    use super::{MESSAGES, Sort, message};

    #[test]
    fn every_message_that_is_named_is_known() {
        for (name, _) in MESSAGES {
            let fields = message(name).unwrap_or_else(|| panic!("{name} cannot be read"));
            for field in fields.iter().filter(|field| field.sort == Sort::Message) {
                assert!(message(field.of).is_some(), "{name}.{}", field.name);
            }
        }
    }
}
