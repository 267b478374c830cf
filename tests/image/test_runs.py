"""The program in a container: its answers, and a scheduler as the chart runs it, from the first probe to SIGTERM."""

import box
from cluster import EXTENDER, PORT, Dns, Extender, StandIn, answer, until

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
SCHEDULER = "http://127.0.0.1:10251"
CONFIG = """apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: true, resourceName: plimsoll, resourceNamespace: plimsoll}
profiles:
  - schedulerName: plimsoll
"""
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello"},
       "spec": {"schedulerName": "plimsoll", "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}]}}


def mounted(folder, **texts):
    """Files to mount, as readable for everybody as those of a ConfigMap are."""
    for name, text in texts.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o644)
        yield path


def test_says_its_version(image):
    assert box.run(image, "--version") == (0, f"plimsoll {image.version}\n", "")


def test_checks_a_configuration(image):
    good, bad = mounted(image.folder("configs"), good=CONFIG, bad=CONFIG + "profile: []\n")
    code, out, err = box.run(image, "check-config", "/etc/plimsoll/config.yaml", mounts={"/etc/plimsoll/config.yaml": good})
    assert (code, err) == (0, "") and "plimsoll" in out, (code, out, err)
    code, out, err = box.run(image, "check-config", "/etc/plimsoll/config.yaml", mounts={"/etc/plimsoll/config.yaml": bad})
    assert code == 2 and "profile" in err, (code, out, err)


def test_has_no_tools(image):
    for verb in ["demo", "simulate", "apiserver", "bench"]:
        code, _, err = box.run(image, verb)
        assert code == 2 and "unrecognized subcommand" in err, (verb, code, err)


def test_nothing_can_be_written(image):
    code, _, err = box.run(image, "run", "--write-config-to", "/config.yaml")
    assert code != 0 and "Read-only file system" in err, (code, err)
    assert not (image.root / "config.yaml").exists()


def test_schedules_and_ends(image):
    folder = image.folder("pod")
    dns, cluster = Dns(), StandIn(folder)
    wanted = sorted(node["metadata"]["name"] for node in cluster.call("GET", "/api/v1/nodes")["items"])[-1]
    extender = Extender(wanted)
    config = CONFIG + f"extenders:\n  - {{urlPrefix: '{extender.url}', filterVerb: filter, nodeCacheCapable: true}}\n"
    # As a kubelet writes them: the API server is found in /etc/hosts here, the extender by the cluster's DNS.
    search = "nameserver 127.0.0.1\nsearch plimsoll.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
    config, authority, token, namespace, hosts, resolver = mounted(
        folder, config=config, authority=cluster.authority, token="a token", namespace="plimsoll",
        hosts="127.0.0.1 localhost\n", resolver=search)
    mounts = {"/etc/plimsoll/config.yaml": config, f"{ACCOUNT}/ca.crt": authority, f"{ACCOUNT}/token": token,
              f"{ACCOUNT}/namespace": namespace, "/etc/hosts": hosts, "/etc/resolv.conf": resolver}
    environment = {"KUBERNETES_SERVICE_HOST": "localhost", "KUBERNETES_SERVICE_PORT": str(PORT), "POD_IP": "127.0.0.1"}

    with box.Running(image, "run", "--config", "/etc/plimsoll/config.yaml", mounts=mounts, environment=environment) as pod:
        try:
            until("/readyz", lambda: (pod.is_running() and answer(f"{SCHEDULER}/readyz") or [0])[0] == 200)
            assert answer(f"{SCHEDULER}/livez")[0] == 200
            assert pod.user()[0] == "65532"
            assert [pod.status(field) for field in ["CapEff", "CapPrm", "CapBnd", "NoNewPrivs"]] == ["0" * 16] * 3 + ["1"]

            cluster.call("POST", "/api/v1/namespaces/default/pods", POD)
            path = "/api/v1/namespaces/default/pods/hello"
            assert until("the pod's node", lambda: cluster.call("GET", path)["spec"].get("nodeName")) == wanted
            assert f"{EXTENDER}.svc.cluster.local" in dns.asked and f"{EXTENDER}.cluster.local" in dns.asked, dns.asked
            metrics = answer(f"{SCHEDULER}/metrics")[1]
            assert 'scheduler_schedule_attempts_total{profile="plimsoll",result="scheduled"} 1' in metrics, metrics

            assert pod.terminate() == 0
            lease = cluster.call("GET", "/apis/coordination.k8s.io/v1/namespaces/plimsoll/leases/plimsoll")
            assert not lease["spec"].get("holderIdentity"), "the lease was not released"
        except BaseException:
            print(pod.log())
            raise
    cluster.close()
