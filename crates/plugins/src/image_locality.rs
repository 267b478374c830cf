//! ImageLocality (Score): prefers nodes that already have the pod's images, large ones above all, and less so where few
//! nodes have them, so that one node does not draw all pods to it. Reference section 4.8.

use plimsoll_framework::cluster::ImageState;
use plimsoll_framework::intern::Istr;
use plimsoll_framework::node::NodeImage;
use plimsoll_framework::plugin::{MAX_NODE_SCORE, Plugin, Score};
use plimsoll_framework::pod::PodSpecInfo;
use plimsoll_framework::read::{Block, ClusterImages, ImageIndex, Images, Spec};
use plimsoll_framework::table::bits;

const MIB: i64 = 1024 * 1024;
/// Up to this sum a node is as good as one without any of the images.
const MIN_THRESHOLD_BYTES: i64 = 23 * MIB;
/// At this sum for each container a node is as good as it gets.
const MAX_CONTAINER_THRESHOLD_BYTES: i64 = 1000 * MIB;

/// Prefers nodes that have the pod's images.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageLocality;

/// What the images of a pod are worth on a node that has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Every image that some node has, with its size scaled by the share of nodes that have it; those that the pod
    /// names several times are here several times.
    scaled_bytes: Box<[(Istr, i64)]>,
    container_count: i64,
}

impl Wanted {
    /// The score of a node with `sum` scaled bytes of the images.
    fn score(&self, sum: i64) -> i64 {
        let max = MAX_CONTAINER_THRESHOLD_BYTES * self.container_count;
        if sum < MIN_THRESHOLD_BYTES {
            return 0;
        }
        // No number of containers makes the divisor 0.
        MAX_NODE_SCORE.saturating_mul(sum.min(max) - MIN_THRESHOLD_BYTES) / (max - MIN_THRESHOLD_BYTES)
    }
}

impl Plugin for ImageLocality {
    const NAME: &'static str = "ImageLocality";
}

impl Score for ImageLocality {
    type Pod = Spec;
    type Cluster = ClusterImages;
    type Node = Images;
    type State = Wanted;

    fn prepare(&self, pod: &PodSpecInfo, images: ImageIndex<'_>) -> Option<Wanted> {
        let nodes = images.node_count();
        let known = pod.images.iter().filter_map(|name| Some((name.clone(), scaled_bytes(images.get(name)?, nodes))));
        let scaled_bytes: Box<[_]> = known.collect();
        (!scaled_bytes.is_empty()).then(|| Wanted { scaled_bytes, container_count: i64::from(pod.container_count) })
    }

    fn score(&self, wanted: &Wanted, images: &[NodeImage]) -> i64 {
        let has = |name: &Istr| images.iter().any(|image| image.name == *name);
        let here = wanted.scaled_bytes.iter().filter(|(name, _)| has(name));
        wanted.score(here.fold(0, |sum: i64, (_, bytes)| sum.saturating_add(*bytes)))
    }

    fn score_block(&self, wanted: &Wanted, block: &Block<'_, Images>, out: &mut [i64; 64]) {
        let images = block.cols();
        out.fill(0);
        for (name, bytes) in &wanted.scaled_bytes {
            for lane in bits(images.with(name)) {
                let sum = &mut out[lane as usize];
                *sum = sum.saturating_add(*bytes);
            }
        }
        for score in out {
            *score = wanted.score(*score);
        }
    }
}

/// The size of an image times the share of the cluster's nodes that have it.
#[expect(clippy::cast_possible_truncation, reason = "the product is cut to whole bytes, as upstream does")]
fn scaled_bytes(image: ImageState, nodes: usize) -> i64 {
    let spread = image.nodes as f64 / nodes as f64;
    (image.size_bytes as f64 * spread) as i64
}

#[cfg(test)]
mod tests {
    use plimsoll_framework::extensions::Extensions;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::score_one;

    fn pod(images: &[&str]) -> Value {
        let containers: Vec<Value> = images.iter().map(|image| json!({"image": image})).collect();
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn what_is_there_counts_by_size() {
        let node = json!({"metadata": {"name": "n"}, "status": {"images": [
            {"names": ["small:1"], "sizeBytes": 10 * MIB},
            {"names": ["big:latest", "big@sha256:0"], "sizeBytes": 500 * MIB},
            {"names": ["huge:1"], "sizeBytes": 5_000 * MIB},
        ]}});
        let rows: [(&[&str], Option<i64>); 8] = [
            (&["none"], None),
            (&["small:1"], Some(0)),
            (&["big"], Some(48)),
            (&["big@sha256:0"], Some(48)),
            (&["huge:1"], Some(100)),
            (&["big", "none"], Some(24)),
            (&["big", "big"], Some(49)),
            (&["small:2", "huge:1"], Some(100)),
        ];
        for (images, expect) in rows {
            let plugin = Extensions::of(ImageLocality).score().done();
            assert_eq!(score_one(&plugin, &pod(images), &node, &[]), expect, "{images:?}");
        }
    }

    #[test]
    fn an_image_that_few_nodes_have_counts_less() {
        assert_eq!(scaled_bytes(ImageState { size_bytes: 1_000, nodes: 1 }, 3), 333);
        assert_eq!(scaled_bytes(ImageState { size_bytes: 1_000, nodes: 3 }, 3), 1_000);
    }

    #[test]
    fn image_volumes_have_no_threshold_of_their_own() {
        let wanted = Wanted { scaled_bytes: Box::default(), container_count: 0 };
        assert_eq!((wanted.score(0), wanted.score(50 * MIB)), (0, 100));
    }
}
