"""For every alert: what the metrics say, and whether it fires.

A row is what it is about, the series with their values minute by minute, the minute at which it is looked at, and the labels of
each alert that fires, beside its name, its severity and the release.
"""

A, B = "first-plimsoll-7d9f-aaaaa", "first-plimsoll-7d9f-bbbbb"
INSTANCES = {A: "10.0.0.1:10251", B: "10.0.0.2:10251"}
OURS = {"namespace": "ops", "job": "plimsoll"}


def s(name, pod=A, /, **labels):
    """A series of a replica of this release."""
    labels = OURS | {"pod": pod, "instance": INSTANCES.get(pod, "10.0.0.9:10251")} | labels
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}"


def flat(value, minutes=60):
    return f"{value}+0x{minutes}"


def up(step, minutes=60, start=0):
    """Grows by `step` a minute."""
    return f"{start}+{step}x{minutes}"


def by(**labels):
    return OURS | labels


def attempts(result, step, profile="plimsoll"):
    return {s("scheduler_schedule_attempts_total", profile=profile, result=result): up(step, 600)}


def late(total, in_time, minutes):
    """Pods placed at the first attempt, a minute: so many in all, so many of them in time."""
    name = "scheduler_pod_scheduling_sli_duration_seconds"
    return {
        s(f"{name}_count", attempts="1"): up(total, minutes),
        s(f"{name}_bucket", attempts="1", le="5.12"): up(in_time, minutes),
        s(f"{name}_bucket", attempts="1", le="+Inf"): up(total, minutes),
        # Those that waited for room do not count.
        s(f"{name}_count", attempts="2"): up(total, minutes),
        s(f"{name}_bucket", attempts="2", le="5.12"): flat(0, minutes),
    }


def share(name, bad, good, bad_step, good_step, pod=A):
    """Two series of a counter that differ in some labels."""
    return {s(name, pod, **bad): up(bad_step), s(name, pod, **good): up(good_step)}


LEADER = "leader_election_master_status"
PENDING = "scheduler_pending_pods"
STANDBY = {s(LEADER, name="l"): flat(0), s(LEADER, B, name="l"): flat(1)}
OLDEST = "plimsoll_longest_pending_seconds"
REFUSALS = "plimsoll_kubelet_refusals_total"

CASES = {
    "PlimsollDown": [
        ("no replica answers", {s("up"): flat(0), s("up", B): flat(0)}, 10, [{}]),
        ("there is no target", {s("up", namespace="other"): flat(1)}, 10, [{}]),
        ("only pods of another release answer", {s("up", "first-plimsoll-batch-7d9f-aaaaa"): flat(1)}, 10, [{}]),
        ("one of two answers", {s("up"): flat(0), s("up", B): flat(1)}, 10, []),
        ("nobody for a moment", {s("up"): "1x5 0x3 1x10"}, 9, []),
    ],
    "PlimsollReplicaUnreachable": [
        ("one does not answer", {s("up"): flat(0), s("up", B): flat(1)}, 20, [by(pod=A, instance=INSTANCES[A])]),
        ("not for long", {s("up"): "1x20 0x10"}, 30, []),
    ],
    "PlimsollReplicasMissing": [
        ("one of two", {s("up"): flat(1)}, 20, [{}]),
        ("both", {s("up"): flat(1), s("up", B): flat(1)}, 20, []),
    ],
    "PlimsollNoLeader": [
        ("both stand by", {s(LEADER, name="l"): flat(0), s(LEADER, B, name="l"): flat(0)}, 5, [by(name="l")]),
        ("one leads", {s(LEADER, name="l"): flat(0), s(LEADER, B, name="l"): flat(1)}, 5, []),
        ("there is no election", {s("up"): flat(1)}, 5, []),
    ],
    "PlimsollSeveralLeaders": [
        ("both lead", {s(LEADER, name="l"): flat(1), s(LEADER, B, name="l"): flat(1)}, 5, [by(name="l")]),
        ("a leader of another release", {s(LEADER, name="l"): flat(1), s(LEADER, name="l", namespace="other"): flat(1)}, 5, []),
        ("the lead changes", {s(LEADER, name="l"): "1x6 0x10", s(LEADER, B, name="l"): "0x5 1x10"}, 7, []),
    ],
    "PlimsollRestarting": [
        ("three times", {s("process_start_time_seconds"): "100x5 200x5 300x5 400x10"}, 25, [by(pod=A)]),
        ("both once", {s("process_start_time_seconds"): "100x5 200x20", s("process_start_time_seconds", B): "90x9 210x20"}, 25, []),
    ],
    "PlimsollPaused": [
        ("forgotten", {s("plimsoll_paused"): flat(1, 90)}, 65, [by()]),
        ("for a while", {s("plimsoll_paused"): "0x30 1x50"}, 80, []),
    ],
    "PlimsollConfigReloadFailed": [
        ("refused", {s("plimsoll_config_last_reload_success"): flat(0)}, 10, [by(pod=A)]),
        ("taken over", {s("plimsoll_config_last_reload_success"): flat(1)}, 10, []),
    ],
    "PlimsollPodPendingTooLong": [
        ("on both replicas", {s(OLDEST, reason="NodeAffinity"): up(60), s(OLDEST, B, reason="NodeAffinity"): up(60)}, 20,
         [by(reason="NodeAffinity")]),
        ("while it is tried every other minute", {s(OLDEST, reason="error"): "1000 0 1000 0 1000 0 1000 0 1000"}, 8, [by(reason="error")]),
        ("not yet", {s(OLDEST, reason="NodeAffinity"): up(60)}, 10, []),
        ("on the one that stands by", STANDBY | {s(OLDEST, reason="queue"): up(60), s(OLDEST, B, reason="NodeAffinity"): flat(60)}, 40, []),
        ("on the one that leads", STANDBY | {s(OLDEST, reason="queue"): up(60), s(OLDEST, B, reason="NodeAffinity"): up(60)}, 40,
         [by(reason="NodeAffinity")]),
        ("the lead changes", {s(LEADER, name="l"): "0x30 1x30", s(OLDEST, reason="queue"): "0+60x30 0x30"}, 33, []),
        ("gated", {s(OLDEST, reason="SchedulingGates"): up(60)}, 40, []),
    ],
    "PlimsollUnschedulableBacklog": [
        ("many", {s(PENDING, queue="unschedulable"): flat(101)}, 20, [by()]),
        ("fewer on each, more in sum", {s(PENDING, queue="unschedulable"): flat(60), s(PENDING, B, queue="unschedulable"): flat(60)}, 20, []),
        ("gated", {s(PENDING, queue="gated"): flat(500)}, 20, []),
    ],
    "PlimsollQueueBacklog": [
        ("all the time", {s(PENDING, queue="active"): flat(1500)} | attempts("scheduled", 600), 12, [by()]),
        ("on the one that stands by", STANDBY | {s(PENDING, queue="active"): flat(1500), s(PENDING, B, queue="active"): flat(0)}, 12, []),
        ("a burst", {s(PENDING, queue="active"): "0x5 5000x2 0x30"} | attempts("scheduled", 600), 12, []),
        ("paused", {s(PENDING, queue="active"): flat(1500), s("plimsoll_paused"): flat(1)}, 12, []),
    ],
    "PlimsollNotScheduling": [
        ("nothing was ever tried", {s(PENDING, queue="active"): flat(3)}, 12, [by()]),
        ("nothing is tried any more", {s(PENDING, queue="active"): flat(3)} | attempts("scheduled", 0), 12, [by()]),
        ("some are", {s(PENDING, queue="active"): flat(3)} | attempts("unschedulable", 1), 12, []),
        ("gangs are", {s(PENDING, queue="active"): flat(3),
                       s("scheduler_podgroup_schedule_attempts_total", profile="plimsoll", result="unschedulable"): up(1)}, 12, []),
        ("paused", {s(PENDING, queue="active"): flat(3), s("plimsoll_paused"): flat(1)}, 12, []),
        ("on the one that stands by", STANDBY | {s(PENDING, queue="active"): flat(3), s(PENDING, B, queue="active"): flat(0)}, 12, []),
        ("nothing to do", {s(PENDING, queue="active"): flat(0)} | attempts("scheduled", 0), 12, []),
    ],
    "PlimsollSchedulingErrors": [
        ("one of ten", attempts("error", 1) | attempts("scheduled", 9), 20, [by(profile="plimsoll")]),
        ("of one of two profiles", attempts("error", 1, "b") | attempts("scheduled", 90, "a") | attempts("scheduled", 1, "b"), 20,
         [by(profile="b")]),
        ("one of a hundred", attempts("error", 1) | attempts("scheduled", 99), 20, []),
        ("none fits", attempts("unschedulable", 10), 20, []),
    ],
    "PlimsollBindingFailures": [
        ("timeouts", share("plimsoll_binding_results_total", {"result": "timeout"}, {"result": "bound"}, 1, 9), 20, [by(result="timeout")]),
        ("the pods are gone", share("plimsoll_binding_results_total", {"result": "gone"}, {"result": "bound"}, 5, 5), 20, []),
        ("nothing is bound", share("plimsoll_binding_results_total", {"result": "error"}, {"result": "bound"}, 0, 0), 20, []),
    ],
    "PlimsollPodsHeldBack": [
        ("for half an hour", {s("plimsoll_held_pods", reason="UnsupportedByPlimsoll"): flat(2)}, 35, [by(reason="UnsupportedByPlimsoll")]),
        ("mended", {s("plimsoll_held_pods", reason="InvalidPodSpec"): "1x20 0x40"}, 35, []),
    ],
    "PlimsollGangsNotPlaced": [
        ("waiting", {s("plimsoll_gangs", state="waiting"): flat(1), s("plimsoll_gangs", B, state="waiting"): flat(0)}, 35, [by(state="waiting")]),
        ("placed", {s("plimsoll_gangs", state="placed"): flat(9), s("plimsoll_gangs", state="waiting"): flat(0)}, 35, []),
    ],
    "PlimsollKubeletRefusals": [
        ("one a minute, seen by both", {s(REFUSALS, reason="OutOfcpu"): up(1), s(REFUSALS, B, reason="OutOfcpu"): up(1)}, 20,
         [by(reason="OutOfcpu")]),
        ("six in a quarter of an hour, seen by both", {s(REFUSALS, reason="OutOfcpu"): up(0.4), s(REFUSALS, B, reason="OutOfcpu"): up(0.4)}, 20, []),
    ],
    "PlimsollLatencyBudgetBurnsFast": [
        ("a fifth is late", late(10, 8, 120), 70, [by()]),
        ("a twentieth is late", late(100, 95, 120), 70, []),
        ("it is over", {key: value for key, value in late(10, 8, 60).items()} | {
            s("scheduler_pod_scheduling_sli_duration_seconds_count", attempts="1"): "0+10x60 610+10x30",
            s("scheduler_pod_scheduling_sli_duration_seconds_bucket", attempts="1", le="5.12"): "0+8x60 490+10x30"}, 80, []),
        ("of very few", late(0.2, 0.1, 120), 70, []),
    ],
    "PlimsollLatencyBudgetBurnsSlowly": [
        ("a tenth is late", late(10, 9, 600), 400, [by()]),
        ("one of a hundred is late", late(100, 99, 600), 400, []),
    ],
    "PlimsollWakeupsMissed": [
        ("one every other minute", {s("scheduler_pod_scheduled_after_flush_total"): up(0.5)}, 60, [by()]),
        ("some", {s("scheduler_pod_scheduled_after_flush_total"): up(0.1)}, 60, []),
    ],
    "PlimsollFleetFull": [
        ("memory", {s("plimsoll_fleet_requested", resource="memory"): flat(97), s("plimsoll_fleet_allocatable", resource="memory"): flat(100),
                    s("plimsoll_fleet_requested", resource="cpu"): flat(50), s("plimsoll_fleet_allocatable", resource="cpu"): flat(100)}, 20,
         [by(resource="memory")]),
        ("there are no nodes", {s("plimsoll_fleet_requested", resource="cpu"): flat(1), s("plimsoll_fleet_allocatable", resource="cpu"): flat(0)}, 20, []),
    ],
    "PlimsollNotSynced": [
        ("for long", {s("plimsoll_unread_lists"): flat(1), s("plimsoll_unread_lists", B): flat(0)}, 15, [by(pod=A)]),
        ("at its start", {s("plimsoll_unread_lists"): "9x2 0x30"}, 15, []),
    ],
    "PlimsollWatchFailing": [
        ("as often as it is tried", {s("plimsoll_watch_restarts_total", kind="Node", reason="error"): up(2)}, 15, [by(pod=A, kind="Node")]),
        ("the API server restarts", {s("plimsoll_watch_restarts_total", kind="Node", reason="error"): "0x5 4x30"}, 15, []),
        ("too old", {s("plimsoll_watch_restarts_total", kind="Node", reason="expired"): up(2)}, 15, []),
    ],
    "PlimsollCachesDiffer": [
        ("nodes", {s("scheduler_cache_size", type="nodes"): flat(100), s("scheduler_cache_size", B, type="nodes"): flat(90),
                   s("scheduler_cache_size", type="pods"): flat(1000), s("scheduler_cache_size", B, type="pods"): flat(999)}, 20, [by(type="nodes")]),
        ("one starts", {s("scheduler_cache_size", type="nodes"): flat(100), s("scheduler_cache_size", B, type="nodes"): "0x5 100x30"}, 20, []),
    ],
    "PlimsollMissingPermissions": [
        ("one", {s("plimsoll_missing_permissions", verb="create", resource="events"): flat(1)}, 10, [by(verb="create", resource="events")]),
        ("granted", {s("plimsoll_missing_permissions", verb="create", resource="events"): "1x3 0x20"}, 10, []),
    ],
    "PlimsollApiErrors": [
        ("503", share("rest_client_requests_total", {"code": "503", "method": "POST"}, {"code": "201", "method": "POST"}, 1, 9), 20, [by(pod=A)]),
        ("no answer", share("rest_client_requests_total", {"code": "<error>", "method": "GET"}, {"code": "200", "method": "GET"}, 1, 9), 20,
         [by(pod=A)]),
        ("conflicts", share("rest_client_requests_total", {"code": "409", "method": "PUT"}, {"code": "200", "method": "GET"}, 5, 5), 20, []),
    ],
    "PlimsollApiThrottled": [
        ("bindings", {s("plimsoll_lane_throttled_total", lane="bind"): up(120)}, 20, [by(lane="bind")]),
        ("events", {s("plimsoll_lane_throttled_total", lane="events"): up(600)}, 20, []),
    ],
    "PlimsollEventsDropped": [
        ("all the time", {s("plimsoll_events_dropped_total"): up(120)}, 25, [by()]),
        ("a burst", {s("plimsoll_events_dropped_total"): "0x5 9000x40"}, 25, []),
    ],
    "PlimsollExtenderErrors": [
        ("timeouts", share("plimsoll_extender_requests_total", {"extender": "e", "verb": "filter", "result": "timeout"},
                           {"extender": "e", "verb": "filter", "result": "ok"}, 1, 9), 20, [by(extender="e", verb="filter")]),
        ("none", share("plimsoll_extender_requests_total", {"extender": "e", "verb": "filter", "result": "error"},
                       {"extender": "e", "verb": "filter", "result": "ok"}, 0, 9), 20, []),
    ],
    "PlimsollAuditMismatch": [
        ("one", {s("plimsoll_memo_mismatches_total"): flat(1)}, 1, [by(pod=A)]),
        ("none", {s("plimsoll_memo_mismatches_total"): flat(0)}, 1, []),
    ],
    "PlimsollUnknownFields": [
        ("one, seen by both", {s("plimsoll_unknown_scheduling_fields_total", field="spec.x"): flat(1),
                               s("plimsoll_unknown_scheduling_fields_total", B, field="spec.x"): flat(1)}, 1, [by(field="spec.x")]),
        ("none", {s("up"): flat(1)}, 1, []),
    ],
}
