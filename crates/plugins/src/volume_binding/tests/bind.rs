//! From the choice to what is assumed, written and waited for.

use plimsoll_framework::assume::Assumption;
use plimsoll_framework::extensions::AnyAwaited;
use plimsoll_framework::object::{KindRef, ObjectKey};
use plimsoll_framework::plugin::{PreBindAnswer, Progress, Refusal};
use plimsoll_framework::pod::Uid;

use super::*;
use crate::testing::objects;

/// A claim with a UID and a version.
fn claim(name: &str, class: &str) -> Value {
    set(unbound(name, class, "1Gi"), "metadata|resourceVersion", json!("7"))
}

fn selecting(claim: Value, node: &str) -> Value {
    set(claim, "metadata|annotations", json!({"volume.kubernetes.io/selected-node": node}))
}

/// A free volume with a version.
fn volume(name: &str) -> Value {
    set(free(name, "local", "1Gi"), "metadata|resourceVersion", json!("8"))
}

/// A volume that is kept for the claim `c`, by somebody who knows its UID or does not.
fn kept(name: &str, uid: &str) -> Value {
    set(volume(name), "spec|claimRef", json!({"namespace": "d", "name": "c", "uid": uid}))
}

/// The claim as it is when its binding is complete.
fn done(claim: Value, volume: &str) -> Value {
    let done = set(claim, "spec|volumeName", json!(volume));
    set(done, "metadata|annotations|pv.kubernetes.io/bind-completed", json!("yes"))
}

struct Stage {
    world: World,
    plugin: Extensions,
    pod: PodInfo,
}

impl Stage {
    fn new(claims: &[Value], volumes: &[Value], names: &[&str]) -> Self {
        let plugin = VolumeBinding::new(Duration::from_secs(5));
        Self {
            world: world(claims, volumes),
            plugin: Extensions::of(plugin).reserve().pre_bind().done(),
            pod: pod(with_claims(names)),
        }
    }

    /// Reserves, and makes what is assumed what is read.
    fn reserve(&mut self) -> Result<Vec<Assumption>, Refusal> {
        let reserve = self.plugin.reserve.as_ref().unwrap();
        let assumed = reserve.reserve(&self.pod, self.world.node(), self.world.view())?;
        for assumption in &assumed {
            assert!(self.world.cluster_mut().assume_object(&Uid::new("p"), assumption.clone()).is_some());
        }
        Ok(assumed)
    }

    /// The names of what it is looked at again for.
    fn hangs_on(&self, awaited: &AnyAwaited) -> Vec<String> {
        let pre_bind = self.plugin.pre_bind.as_ref().unwrap();
        let objects = pre_bind.hangs_on(&**awaited, self.world.node(), self.world.view()).unwrap();
        objects.into_iter().map(|(_, key)| key.name.to_string()).collect()
    }

    fn pre_bind(&self, assumed: &[Assumption]) -> Result<PreBindAnswer<AnyAwaited>, PluginError> {
        let pre_bind = self.plugin.pre_bind.as_ref().unwrap();
        pre_bind.pre_bind(&self.pod, self.world.node(), assumed, self.world.view())
    }

    /// What is written for the pod, as path and patch, and what is waited for.
    fn start(&mut self) -> (Vec<(String, Value)>, Option<AnyAwaited>) {
        let assumed = self.reserve().unwrap();
        let PreBindAnswer { writes, wait } = self.pre_bind(&assumed).unwrap();
        let writes = writes.into_iter().map(|write| {
            assert_eq!((&*write.group, &*write.version, &write.subresource), ("", "v1", &None));
            (format!("{} {}/{}", write.plural, write.namespace, write.name), write.merge_patch)
        });
        let wait = wait.map(|wait| {
            assert_eq!((wait.at_most, wait.doing), (Duration::from_secs(5), "binding volumes"));
            wait.state
        });
        (writes.collect(), wait)
    }

    fn progress(&self, awaited: &AnyAwaited) -> Progress {
        self.plugin.pre_bind.as_ref().unwrap().progress(&**awaited, self.world.node(), self.world.view())
    }
}

fn reference() -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "d", "name": "c", "uid": "c",
           "resourceVersion": "7"})
}

fn keep(volume: &str, by_us: bool) -> (String, Value) {
    let mut patch = json!({"metadata": {"resourceVersion": "8"}, "spec": {"claimRef": reference()}});
    if by_us {
        patch["metadata"]["annotations"] = json!({"pv.kubernetes.io/bound-by-controller": "yes"});
    }
    (format!("persistentvolumes /{volume}"), patch)
}

fn select(claim: &str) -> (String, Value) {
    let annotations = json!({"volume.kubernetes.io/selected-node": "n"});
    let patch = json!({"metadata": {"resourceVersion": "7", "annotations": annotations}});
    (format!("persistentvolumeclaims d/{claim}"), patch)
}

#[test]
fn what_is_chosen_is_written_unless_it_is_there() {
    let bound_claim = || bound("b", "other");
    let taken = set(volume("other"), "spec|claimRef", json!({"namespace": "d", "name": "b", "uid": ""}));
    type Case<'c> = (&'c str, Vec<Value>, Vec<Value>, &'c [&'c str], Vec<(String, Value)>, bool);
    let rows: [Case<'_>; 8] = [
        ("no claims", vec![], vec![], &[], vec![], false),
        ("all bound", vec![bound_claim()], vec![taken.clone()], &["b"], vec![], false),
        ("free volume", vec![claim("c", "local")], vec![volume("v")], &["c"], vec![keep("v", true)], true),
        ("kept by name", vec![claim("c", "local")], vec![kept("v", "")], &["c"], vec![keep("v", false)], true),
        ("kept already", vec![claim("c", "local")], vec![kept("v", "c")], &["c"], vec![], true),
        ("to be made", vec![claim("m", "made")], vec![], &["m"], vec![select("m")], true),
        ("node named already", vec![selecting(claim("m", "made"), "n")], vec![], &["m"], vec![], true),
        (
            "of each kind",
            vec![claim("m", "made"), claim("c", "local"), bound_claim()],
            vec![volume("v"), taken.clone()],
            &["m", "b", "c"],
            vec![keep("v", true), select("m")],
            true,
        ),
    ];
    for (what, claims, volumes, names, expect, waits) in rows {
        let (writes, awaited) = Stage::new(&claims, &volumes, names).start();
        assert_eq!((writes, awaited.is_some()), (expect, waits), "{what}");
    }
}

#[test]
fn a_claim_that_is_used_twice_is_bound_once() {
    let mut stage = Stage::new(&[claim("c", "local")], &[volume("v"), volume("w")], &["c", "c"]);
    assert_eq!(stage.start().0, [keep("v", true)]);
}

#[test]
fn what_is_assumed_is_what_the_next_pod_sees() {
    let mut stage = Stage::new(&[claim("c", "local"), claim("x", "local")], &[volume("v")], &["c"]);
    let filter = |stage: &Stage, name: &str| stage.world.filter(&plugin(), &with_claims(&[name]));
    assert_eq!((filter(&stage, "c"), filter(&stage, "x")), (None, None));
    stage.start();
    assert_eq!((filter(&stage, "c"), filter(&stage, "x")), (None, unresolvable(&[NO_VOLUME])));
    let key = ObjectKey { namespace: Istr::default(), name: "v".into() };
    let volumes = KindRef::of::<PersistentVolumeKind>().id;
    assert!(stage.world.cluster_mut().withdraw_object(&Uid::new("p"), volumes, &key).is_some());
    assert_eq!(filter(&stage, "x"), None);
}

#[test]
fn what_does_not_fit_any_more_is_a_failure() {
    let mut stage = Stage::new(&[claim("c", "local")], &[], &["c"]);
    let Err(Refusal::Failed(error)) = stage.reserve() else { panic!("there is no volume") };
    assert_eq!(error.message, NO_VOLUME);
    // Between Reserve and PreBind a Permit plugin may have held the pod for long.
    let mut stage = Stage::new(&[claim("c", "local")], &[volume("v")], &["c"]);
    let assumed = stage.reserve().unwrap();
    let taken = set(volume("v"), "spec|claimRef", json!({"namespace": "d", "name": "x", "uid": "x"}));
    objects::<PersistentVolumeKind>(stage.world.cluster_mut(), &[taken]);
    assert_eq!(stage.pre_bind(&assumed).err().unwrap().message, NO_VOLUME);
}

/// What comes from the API server, and what follows from that.
type Row = (&'static str, Vec<Value>, Vec<Value>, Progress);

fn failed(message: &str) -> Progress {
    Progress::Failed(PluginError { message: message.to_owned() })
}

#[test]
fn a_kept_volume_is_waited_for_until_the_claim_is_bound() {
    use Progress::{Ready, Wait};
    let elsewhere = set(kept("v", "c"), "spec|nodeAffinity", in_zone("b"));
    let reset = || failed("ClaimRef got reset for pv \"v\"");
    let affinity = "pv \"v\" node affinity doesn't match node \"n\": no matching NodeSelectorTerms";
    let rows: [Row; 8] = [
        ("our write was not heard of", vec![], vec![], Wait),
        ("the claim is ahead", vec![done(claim("c", "local"), "v")], vec![], Wait),
        ("the claim is not bound", vec![], vec![kept("v", "c")], Wait),
        ("all done", vec![done(claim("c", "local"), "v")], vec![kept("v", "c")], Ready),
        ("given free", vec![], vec![volume("v")], reset()),
        ("kept by name alone", vec![], vec![kept("v", "")], reset()),
        ("another's", vec![], vec![kept("v", "other")], reset()),
        ("out of reach", vec![done(claim("c", "local"), "v")], vec![elsewhere], failed(affinity)),
    ];
    for (what, claims, volumes, expect) in rows {
        let mut stage = Stage::new(&[claim("c", "local")], &[volume("v")], &["c"]);
        let awaited = stage.start().1.unwrap();
        let named = stage.hangs_on(&awaited);
        objects::<PersistentVolumeClaimKind>(stage.world.cluster_mut(), &claims);
        objects::<PersistentVolumeKind>(stage.world.cluster_mut(), &volumes);
        assert_eq!(stage.progress(&awaited), expect, "{what}");
        let changed = || claims.iter().chain(&volumes).map(|object| object["metadata"]["name"].as_str().unwrap());
        assert!(expect == Wait || changed().any(|name| named.contains(&name.to_owned())), "{what}: nobody would look");
    }
}

#[test]
fn a_volume_is_waited_for_until_it_is_made_and_bound() {
    use Progress::{Ready, Wait};
    let named = || selecting(claim("m", "made"), "n");
    let other = set(claim("m", "made"), "metadata|annotations", json!({"other": ""}));
    let elsewhere = set(volume("v"), "spec|nodeAffinity", in_zone("b"));
    let affinity = "pv \"v\" node affinity doesn't match node \"n\": no matching NodeSelectorTerms";
    let provisioning = || failed("provisioning failed for PVC \"m\"");
    let rows: [Row; 8] = [
        ("our write was not heard of", vec![], vec![], Wait),
        ("nothing is made", vec![named()], vec![], Wait),
        ("the claim is ahead", vec![done(named(), "v")], vec![], Wait),
        ("all done", vec![done(named(), "v")], vec![volume("v")], Ready),
        ("given up", vec![other], vec![], provisioning()),
        ("for another node", vec![selecting(claim("m", "made"), "x")], vec![], provisioning()),
        ("no annotations", vec![claim("m", "made")], vec![], failed("selectedNode annotation reset for PVC \"m\"")),
        ("out of reach", vec![done(named(), "v")], vec![elsewhere], failed(affinity)),
    ];
    for (what, claims, volumes, expect) in rows {
        let mut stage = Stage::new(&[claim("m", "made")], &[], &["m"]);
        let awaited = stage.start().1.unwrap();
        let named = stage.hangs_on(&awaited);
        objects::<PersistentVolumeClaimKind>(stage.world.cluster_mut(), &claims);
        objects::<PersistentVolumeKind>(stage.world.cluster_mut(), &volumes);
        assert_eq!(stage.progress(&awaited), expect, "{what}");
        let changed = || claims.iter().chain(&volumes).map(|object| object["metadata"]["name"].as_str().unwrap());
        assert!(expect == Wait || changed().any(|name| named.contains(&name.to_owned())), "{what}: nobody would look");
    }
}

#[test]
fn objects_that_are_gone_are_not_waited_for() {
    let gone = |stage: &mut Stage, kind: KindRef, namespace: &str, name: &str| {
        let key = ObjectKey { namespace: namespace.into(), name: name.into() };
        stage.world.cluster_mut().set_object(kind.id, key, None);
    };
    let mut stage = Stage::new(&[claim("c", "local"), claim("m", "made")], &[volume("v")], &["c", "m"]);
    let awaited = stage.start().1.unwrap();
    gone(&mut stage, KindRef::of::<PersistentVolumeClaimKind>(), "d", "m");
    let message = "failed to check provisioning pvc: persistentvolumeclaim \"m\" not found";
    assert_eq!(stage.progress(&awaited), failed(message));
    gone(&mut stage, KindRef::of::<PersistentVolumeKind>(), "", "v");
    let message = "failed to check binding: persistentvolume \"v\" not found";
    assert_eq!(stage.progress(&awaited), failed(message));
}

#[test]
fn what_it_hangs_on_grows_with_what_is_known() {
    let mut stage = Stage::new(&[claim("c", "local"), claim("m", "made")], &[volume("v")], &["c", "m"]);
    let awaited = stage.start().1.unwrap();
    assert_eq!(stage.hangs_on(&awaited), ["c", "v", "m", "n"]);
    let named = done(selecting(claim("m", "made"), "n"), "w");
    objects::<PersistentVolumeClaimKind>(stage.world.cluster_mut(), &[named]);
    assert_eq!(stage.hangs_on(&awaited), ["c", "v", "m", "w", "n"], "the volume that was made, told of or not");
}
