//! Reserve and PreBind without their types.

use std::any::Any;

use super::*;
use crate::assume::Assumption;
use crate::node::NodeInfo;
use crate::object::{KindId, ObjectKey};

/// [`Reserve`], callable without knowing the plugin.
pub trait ReserveDyn: Send + Sync {
    /// [`Reserve::concerns`].
    fn concerns(&self, pod: &PodSpecInfo) -> bool;
    /// [`Reserve::reserve`], on what the view shows.
    fn reserve(&self, pod: &PodInfo, node: &NodeInfo, view: &View) -> Result<Vec<Assumption>, Refusal>;
    /// [`Reserve::unreserve`].
    fn unreserve(&self, pod: &PodInfo, node: &Istr);
}

impl<P: Reserve> ReserveDyn for P {
    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        <P as Reserve>::concerns(self, pod)
    }
    fn reserve(&self, pod: &PodInfo, node: &NodeInfo, view: &View) -> Result<Vec<Assumption>, Refusal> {
        <P as Reserve>::reserve(self, pod, node, P::Cluster::item(view))
    }
    fn unreserve(&self, pod: &PodInfo, node: &Istr) {
        <P as Reserve>::unreserve(self, pod, node);
    }
}

/// What a plugin waits for, known to it alone.
pub type AnyAwaited = Box<dyn Any + Send>;

/// [`PreBind`], callable without knowing the plugin.
pub trait PreBindDyn: Send + Sync {
    /// [`PreBind::concerns`].
    fn concerns(&self, pod: &PodSpecInfo) -> bool;
    /// Whether what it waits for may depend on objects of this kind.
    fn reads(&self, kind: KindId) -> bool;
    /// [`PreBind::pre_bind`], on what the view shows.
    fn pre_bind(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        assumed: &[Assumption],
        view: &View,
    ) -> Result<PreBindAnswer<AnyAwaited>, PluginError>;
    /// [`PreBind::progress`], on what the view shows.
    fn progress(&self, awaited: &(dyn Any + Send), node: &NodeInfo, view: &View) -> Progress;
    /// [`PreBind::hangs_on`], on what the view shows.
    fn hangs_on(&self, awaited: &(dyn Any + Send), node: &NodeInfo, view: &View) -> Option<Vec<(KindId, ObjectKey)>>;
}

struct PreBindAdapter<P> {
    plugin: Arc<P>,
    kinds: Vec<KindId>,
}

impl<P: PreBind> PreBindDyn for PreBindAdapter<P> {
    fn concerns(&self, pod: &PodSpecInfo) -> bool {
        self.plugin.concerns(pod)
    }
    fn reads(&self, kind: KindId) -> bool {
        self.kinds.contains(&kind)
    }

    fn pre_bind(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        assumed: &[Assumption],
        view: &View,
    ) -> Result<PreBindAnswer<AnyAwaited>, PluginError> {
        let PreBindAnswer { writes, wait } = self.plugin.pre_bind(pod, node, assumed, P::Cluster::item(view))?;
        let wait = wait.map(|Awaited { state, at_most, doing }| {
            let state: AnyAwaited = Box::new(state);
            Awaited { state, at_most, doing }
        });
        Ok(PreBindAnswer { writes, wait })
    }

    fn progress(&self, awaited: &(dyn Any + Send), node: &NodeInfo, view: &View) -> Progress {
        match awaited.downcast_ref() {
            Some(awaited) => self.plugin.progress(awaited, node, P::Cluster::item(view)),
            // The engine hands back what this plugin gave it, so it is never another type.
            None => Progress::Failed(PluginError { message: "what is waited for was lost".to_owned() }),
        }
    }

    fn hangs_on(&self, awaited: &(dyn Any + Send), node: &NodeInfo, view: &View) -> Option<Vec<(KindId, ObjectKey)>> {
        self.plugin.hangs_on(awaited.downcast_ref()?, node, P::Cluster::item(view))
    }
}

impl<P: Reserve> Builder<P> {
    /// The plugin extends this point.
    #[must_use]
    pub fn reserve(mut self) -> Self {
        self.made.reserve = Some(self.plugin.clone());
        self
    }
}

impl<P: PreBind> Builder<P> {
    /// The plugin extends this point.
    #[must_use]
    pub fn pre_bind(mut self) -> Self {
        let kinds = self.made.kinds.iter().map(|kind| kind.id).collect();
        self.made.pre_bind = Some(Arc::new(PreBindAdapter { plugin: Arc::clone(&self.plugin), kinds }));
        self
    }
}
