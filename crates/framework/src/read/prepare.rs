//! What `prepare` is handed: of the pod, and of the cluster as a whole.

use super::*;

/// What of the pod is read when a plugin is prepared for it.
pub trait ReadPod: Sealed + Send + Sync + 'static {
    /// Whether only the spec is read, so that what was prepared serves every pod that is alike.
    const SPEC_ONLY: bool;
    /// Whether nothing is read that pods of one template do not have in common: see [`Template`].
    const TEMPLATE_ONLY: bool;
    /// What `prepare` is handed.
    type Item<'a>;
    #[doc(hidden)]
    fn item(pod: &PodInfo) -> Self::Item<'_>;
}

/// The pod's spec alone.
#[derive(Debug)]
pub enum Spec {}
impl Sealed for Spec {}
impl ReadPod for Spec {
    const SPEC_ONLY: bool = true;
    const TEMPLATE_ONLY: bool = true;
    type Item<'a> = &'a PodSpecInfo;
    fn item(pod: &PodInfo) -> &PodSpecInfo {
        &pod.spec
    }
}

/// What the pods of one template have in common: spec, labels, namespace and owner.
#[derive(Debug)]
pub enum Template {}
impl Sealed for Template {}
impl ReadPod for Template {
    const SPEC_ONLY: bool = false;
    const TEMPLATE_ONLY: bool = true;
    type Item<'a> = TemplatePod<'a>;
    fn item(pod: &PodInfo) -> TemplatePod<'_> {
        pod.into()
    }
}

/// A pod without what tells it apart from others of its template.
#[derive(Clone, Copy, Debug)]
pub struct TemplatePod<'a> {
    /// What scheduling reads of its spec.
    pub spec: &'a Arc<PodSpecInfo>,
    /// Its labels.
    pub labels: &'a Arc<LabelSet>,
    /// Its namespace.
    pub namespace: &'a Istr,
    /// The controller that made it.
    pub owner: Option<&'a Arc<Owner>>,
}

impl<'a> From<&'a PodInfo> for TemplatePod<'a> {
    fn from(pod: &'a PodInfo) -> Self {
        Self { spec: &pod.spec, labels: &pod.labels, namespace: &pod.key.namespace, owner: pod.owner.as_ref() }
    }
}

/// Everything of the pod, its name and labels included.
#[derive(Debug)]
pub enum WholePod {}
impl Sealed for WholePod {}
impl ReadPod for WholePod {
    const SPEC_ONLY: bool = false;
    const TEMPLATE_ONLY: bool = false;
    type Item<'a> = &'a PodInfo;
    fn item(pod: &PodInfo) -> &PodInfo {
        pod
    }
}

/// What `prepare` is handed of the pod when `P` was declared.
pub type PodOf<'a, P> = <P as ReadPod>::Item<'a>;

/// What of the cluster as a whole is read when a plugin is prepared for a pod.
pub trait ReadCluster: Sealed + Send + Sync + 'static {
    /// What must change for an answer to become stale; follows from the type.
    const GROUPS: Groups;
    /// What `prepare` is handed.
    type Item<'a>;
    #[doc(hidden)]
    fn item(view: &View) -> Self::Item<'_>;
}

/// What `prepare` is handed of the cluster when `C` was declared.
pub type ClusterOf<'a, C> = <C as ReadCluster>::Item<'a>;

impl ReadCluster for () {
    const GROUPS: Groups = Groups::NONE;
    type Item<'a> = ();
    fn item(_: &View) {}
}

/// The number of a scalar resource, for [`Amounts::scalar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnId(pub(super) usize);

macro_rules! cluster_markers {
    ($($(#[$doc:meta])* $name:ident: $groups:expr => $item:ty, |$view:ident| $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Sealed for $name {}
        impl ReadCluster for $name {
            const GROUPS: Groups = Groups($groups);
            type Item<'a> = $item;
            #[allow(clippy::needless_lifetimes, reason = "some items borrow from the view, some do not")]
            fn item<'a>($view: &'a View) -> $item { $read }
        }
    )*};
}

cluster_markers! {
    /// How many nodes there are.
    NodeCount: Groups::CLUSTER | Groups::NODE_COUNT => usize, |view| view.node_count();
    /// The numbers of the scalar resources. A number is never taken back, so what fitted by it still does.
    ResourceColumns: Groups::COLUMNS => ResourceNumbers<'a>, |view| ResourceNumbers { names: &view.cluster.resource_columns };
    /// The images in the cluster.
    ClusterImages: Groups::CLUSTER | Groups::NODE_COUNT | Groups::IMAGES => ImageIndex<'a>, |view| ImageIndex { view };
    /// The terms that existing pods carry.
    Terms: Groups::CLUSTER | Groups::TERMS | Groups::NAMESPACES => ExistingTerms<'a>, |view| ExistingTerms::new(view);
    /// How often the pods on nodes use each claim.
    ClaimUses: Groups::CLUSTER | Groups::CLAIM_USES => ClaimIndex<'a>, |view| ClaimIndex { view };
    /// The labels of namespaces.
    Namespaces: Groups::CLUSTER | Groups::NAMESPACES => NamespaceIndex<'a>, |view| NamespaceIndex { view };
}

/// The numbers of the scalar resources.
#[derive(Clone, Copy)]
pub struct ResourceNumbers<'a> {
    names: &'a [Istr],
}
impl ResourceNumbers<'_> {
    /// The number of a resource; `None` when no node has any of it.
    pub fn get(&self, name: &Istr) -> Option<ColumnId> {
        self.names.iter().position(|n| n == name).map(ColumnId)
    }
}

/// The images in the cluster.
#[derive(Clone, Copy)]
pub struct ImageIndex<'a> {
    view: &'a View,
}
impl ImageIndex<'_> {
    /// An image by its normalised name; `None` when no node has it.
    pub fn get(&self, name: &Istr) -> Option<crate::cluster::ImageState> {
        self.view.cluster.image(name)
    }
    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.view.node_count()
    }
}

/// How often the pods on nodes use each claim.
#[derive(Clone, Copy)]
pub struct ClaimIndex<'a> {
    view: &'a View,
}
impl ClaimIndex<'_> {
    /// How often a claim is used: once for each volume of a pod that names it.
    pub fn uses(&self, namespace: &Istr, name: &Istr) -> usize {
        self.view.cluster.claim_uses(namespace, name)
    }
}

/// The labels of namespaces.
#[derive(Clone, Copy)]
pub struct NamespaceIndex<'a> {
    view: &'a View,
}
impl<'a> NamespaceIndex<'a> {
    /// The labels of a namespace; `None` when it is not known.
    pub fn labels(&self, name: &Istr) -> Option<&'a LabelSet> {
        self.view.cluster.namespace_labels(name).map(|l| &**l)
    }
    /// Whether `pod` is one of those that `matcher` matches: what a plugin asks of the pod's own terms and the pod itself.
    pub fn matched(&self, pod: TemplatePod<'_>, matcher: &PodMatcher) -> bool {
        matcher.matches_labels(pod.namespace, pod.labels, &self.view.cluster)
    }
}

/// The objects of a further kind.
#[derive(Debug)]
pub struct ObjectsOf<K>(PhantomData<K>);
impl<K> Sealed for ObjectsOf<K> {}
impl<K: ObjectKind> ReadCluster for ObjectsOf<K> {
    const GROUPS: Groups = Groups(Groups::CLUSTER | Groups::OBJECTS);
    type Item<'a> = Objects<K>;
    fn item(view: &View) -> Objects<K> {
        Objects::new(&view.cluster)
    }
}
