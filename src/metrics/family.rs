//! Vectors of metrics whose children are found by index.

use std::marker::PhantomData;
use std::sync::OnceLock;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// A combination of label values from fixed lists.
pub trait LabelSet: Copy {
    /// How many combinations there are.
    const COUNT: usize;
    /// The place of this one, below `COUNT`.
    fn index(self) -> usize;
    /// The values, in the order in which the vector names its labels.
    fn values(self) -> impl Iterator<Item = &'static str>;
}

impl LabelSet for () {
    const COUNT: usize = 1;
    fn index(self) -> usize {
        0
    }
    fn values(self) -> impl Iterator<Item = &'static str> {
        std::iter::empty()
    }
}

impl<A: LabelSet, B: LabelSet> LabelSet for (A, B) {
    const COUNT: usize = A::COUNT * B::COUNT;
    fn index(self) -> usize {
        self.0.index() * B::COUNT + self.1.index()
    }
    fn values(self) -> impl Iterator<Item = &'static str> {
        self.0.values().chain(self.1.values())
    }
}

/// A vector of metrics as the prometheus crate has it.
pub trait Vector: Clone {
    /// One of its metrics.
    type Child;
    /// The metric with these label values, found or made under the vector's lock.
    fn child(&self, values: &[&str]) -> Self::Child;
}

macro_rules! vectors {
    ($($vector:ty => $child:ty,)+) => {$(
        impl Vector for $vector {
            type Child = $child;
            fn child(&self, values: &[&str]) -> $child {
                self.with_label_values(values)
            }
        }
    )+};
}

vectors! {
    IntCounterVec => IntCounter,
    IntGaugeVec => IntGauge,
    HistogramVec => Histogram,
}

/// The children of one vector for all values of `L`, the other labels being fixed. A child comes into being when it is
/// first asked for; after that, asking is one load and an index.
pub struct Family<L, V: Vector> {
    vector: V,
    fixed: Vec<String>,
    children: Box<[OnceLock<V::Child>]>,
    labels: PhantomData<fn(L)>,
}

/// A [`Family`] of counters.
pub type Counters<L> = Family<L, IntCounterVec>;
/// A [`Family`] of gauges.
pub type Gauges<L> = Family<L, IntGaugeVec>;
/// A [`Family`] of histograms.
pub type Histograms<L> = Family<L, HistogramVec>;

impl<L: LabelSet, V: Vector> Family<L, V> {
    /// The vector's labels are those of `L`, then one for each of `fixed`.
    pub(super) fn new(vector: &V, fixed: &[&str]) -> Self {
        Self {
            vector: vector.clone(),
            fixed: fixed.iter().map(|&value| value.to_owned()).collect(),
            children: (0..L::COUNT).map(|_| OnceLock::new()).collect(),
            labels: PhantomData,
        }
    }

    /// The same with a series for every value of `L` from the start, so that its first increase is seen as one.
    pub(super) fn complete(self, all: impl IntoIterator<Item = L>) -> Self {
        all.into_iter().for_each(|labels| _ = self.at(labels));
        self
    }

    /// The child with these label values.
    pub fn at(&self, labels: L) -> &V::Child {
        self.children[labels.index()].get_or_init(|| {
            let mut values: Vec<&str> = Vec::with_capacity(4);
            for value in labels.values() {
                values.push(value);
            }
            values.extend(self.fixed.iter().map(String::as_str));
            self.vector.child(&values)
        })
    }
}

/// Makes metrics under a common prefix and registers them.
pub(super) struct Maker<'a> {
    pub(super) registry: &'a Registry,
    pub(super) prefix: &'static str,
}

type Made<T> = Result<T, prometheus::Error>;

impl Maker<'_> {
    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(format!("{}{name}", self.prefix), help)
    }

    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, metric: C) -> Made<C> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.add(IntCounter::with_opts(self.opts(name, help))?)
    }

    pub(super) fn counters(&self, name: &str, labels: &[&str], help: &str) -> Made<IntCounterVec> {
        self.add(IntCounterVec::new(self.opts(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Made<IntGauge> {
        self.add(IntGauge::with_opts(self.opts(name, help))?)
    }

    pub(super) fn gauges(&self, name: &str, labels: &[&str], help: &str) -> Made<IntGaugeVec> {
        self.add(IntGaugeVec::new(self.opts(name, help), labels)?)
    }

    /// For amounts that are no whole numbers.
    pub(super) fn float_gauges(&self, name: &str, labels: &[&str], help: &str) -> Made<GaugeVec> {
        self.add(GaugeVec::new(self.opts(name, help), labels)?)
    }

    pub(super) fn histogram(&self, name: &str, buckets: Vec<f64>, help: &str) -> Made<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::from(self.opts(name, help)).buckets(buckets))?)
    }

    pub(super) fn histograms(&self, name: &str, labels: &[&str], buckets: Vec<f64>, help: &str) -> Made<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::from(self.opts(name, help)).buckets(buckets), labels)?)
    }
}
