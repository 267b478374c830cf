mod reference;

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use plimsoll_framework::pod::RefusalKind;
use plimsoll_framework::point::Point;

use super::*;

/// Touches every child kind once, so that every metric has a series.
fn touched() -> Metrics {
    let metrics = Metrics::new().unwrap();
    let s = &metrics.scheduler;
    let profile = s.profile("plimsoll");
    profile.schedule_attempts.at(AttemptResult::Scheduled).inc();
    profile.scheduling_attempt_duration.at(AttemptResult::Unschedulable).observe(0.002);
    profile.extension_point_duration.at((ExtensionPoint::Filter, Status::Success)).observe(0.002);
    profile.podgroup_schedule_attempts.at(AttemptResult::Scheduled).inc();
    profile.podgroup_scheduling_attempt_duration.at(AttemptResult::Scheduled).observe(0.002);
    s.podgroup_scheduling_algorithm_duration.observe(0.001);
    let plugin = s.plugin("NodeResourcesFit", "plimsoll");
    plugin.evaluations.at(ExtensionPoint::Filter).inc_by(5);
    plugin.unschedulable_pods.at(()).set(3);
    s.scheduling_algorithm_duration.observe(0.001);
    s.pending_pods.at(QueueName::Gated).set(2);
    s.pod_scheduling_attempts.observe(1.0);
    s.pod_scheduled_after_flush.inc();
    s.permit_wait_duration.at(Status::Success).observe(1.0);
    s.cache_size.at(CacheKind::AssumedPods).set(1);
    s.pod_scheduling_sli_duration(1).observe(0.1);
    s.queue_incoming_pods("UnschedulablePodAdd").at(QueueName::Active).inc();
    s.inflight_events("PodPopped").set(1);
    s.goroutines("binding").inc();
    s.plugin_failed(Point::Filter, "VolumeBinding");
    s.objects_assumed("VolumeBinding", false);
    let p = &metrics.plimsoll;
    p.commit_rechecks.at(RecheckResult::Passed).inc();
    p.stale_scores.inc();
    p.wakeups_ruled_out.inc();
    p.preemptions_held_off.inc();
    p.evictions("going").inc();
    p.futile_wakeups("NodeAdd").inc();
    p.binding_results.at(BindingResult::AlreadyBound).inc();
    p.events_dropped.inc();
    p.gangs.at(GangState::Waiting).set(1);
    p.invalid_pods("quantity").inc();
    p.unknown_fields.count("spec.fooBar");
    p.missing_permission("list", "pods").set(1);
    let watch = p.watch("Pod");
    watch.events.at(WatchEventType::Applied).inc();
    watch.restarts.at(RestartReason::Expired).inc();
    p.kubelet_refusals("OutOfcpu").inc();
    p.lane_window(LaneName::Bind).set(8);
    p.lane_throttled(LaneName::Bind).inc();
    p.extender("https://extender/").requests("filter", "ok").inc();
    p.extender("https://extender/").duration("filter").observe(0.01);
    p.shadow.decisions("default-scheduler").at(ShadowResult::Same).inc();
    p.shadow.pending_placeable("default-scheduler").set(1);
    p.fleet.set(&BTreeMap::new());
    p.waits.set_longest(&BTreeMap::from([("NodeAffinity", 60)]));
    p.waits.set_held(&BTreeMap::from([("InvalidPodSpec", 1)]));
    let client = metrics.rest_client("api:6443");
    client.observe(&Method::POST, Some(StatusCode::CREATED), Duration::from_millis(3));
    client.observe(&Method::PATCH, Some(StatusCode::IM_A_TEAPOT), Duration::from_millis(3));
    client.observe(&Method::GET, None, Duration::from_millis(3));
    client.observe(&Method::TRACE, None, Duration::from_millis(3));
    metrics.leader_election_master_status("plimsoll").set(1);
    metrics
}

/// One line a metric: name, type, labels, and for histograms the number of buckets, the lowest and the highest.
fn shape(text: &str) -> Vec<String> {
    let mut shapes = Vec::new();
    for block in text.split("# HELP ").skip(1) {
        let mut lines = block.lines();
        let (name, help) = lines.next().unwrap().split_once(' ').unwrap();
        assert!(help.ends_with('.') && help.len() > 10, "help of {name}: {help:?}");
        let kind = lines.next().unwrap().rsplit_once(' ').unwrap().1;
        let series: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        let labels = |line: &str| -> Vec<String> {
            let inside = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            inside
                .split("\",")
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split('=').next().unwrap().to_owned())
                .collect()
        };
        let names = labels(series[0]).into_iter().filter(|label| label != "le").collect::<Vec<_>>().join(",");
        let bounds: Vec<String> = series
            .iter()
            .filter_map(|line| {
                Some(line.replace("{le=", "{,le=").split_once(",le=\"")?.1.split_once('"')?.0.to_owned())
            })
            .take_while(|bound| bound != "+Inf")
            .collect();
        let buckets = match bounds.as_slice() {
            [] => String::new(),
            [first, .., last] => format!(" {}[{first}..{last}]", bounds.len()),
            [only] => format!(" 1[{only}]"),
        };
        shapes.push(format!("{name} {kind} {{{names}}}{buckets}"));
    }
    shapes
}

#[test]
fn names_types_labels_and_buckets_are_as_promised() {
    let text = touched().render().unwrap();
    let found: Vec<String> = shape(&text).into_iter().filter(|line| !line.starts_with("process_")).collect();
    let golden = [
        "leader_election_master_status gauge {name}",
        "plimsoll_binding_results_total counter {result}",
        "plimsoll_build_info gauge {arch,kubernetes,os,version}",
        "plimsoll_commit_rechecks_total counter {result}",
        "plimsoll_config_last_reload_success gauge {}",
        "plimsoll_config_last_reload_success_timestamp_seconds gauge {}",
        "plimsoll_events_dropped_total counter {}",
        "plimsoll_evictions_total counter {result}",
        "plimsoll_extender_request_duration_seconds histogram {extender,verb} 12[0.001..5]",
        "plimsoll_extender_requests_total counter {extender,result,verb}",
        "plimsoll_fleet_allocatable gauge {resource}",
        "plimsoll_fleet_largest_free gauge {resource}",
        "plimsoll_fleet_requested gauge {resource}",
        "plimsoll_futile_wakeups_total counter {event}",
        "plimsoll_gangs gauge {state}",
        "plimsoll_held_pods gauge {reason}",
        "plimsoll_invalid_pods_total counter {reason}",
        "plimsoll_kubelet_refusals_total counter {reason}",
        "plimsoll_lane_throttled_total counter {lane}",
        "plimsoll_lane_window gauge {lane}",
        "plimsoll_longest_pending_seconds gauge {reason}",
        "plimsoll_memo_audits_total counter {}",
        "plimsoll_memo_bytes gauge {}",
        "plimsoll_memo_classes gauge {}",
        "plimsoll_memo_decisions_total counter {result}",
        "plimsoll_memo_evictions_total counter {}",
        "plimsoll_memo_mismatches_total counter {}",
        "plimsoll_missing_permissions gauge {resource,verb}",
        "plimsoll_paused gauge {}",
        "plimsoll_preemptions_held_off_total counter {}",
        "plimsoll_shadow_decisions_total counter {result,scheduler}",
        "plimsoll_shadow_pending_placeable gauge {scheduler}",
        "plimsoll_stale_scores_total counter {}",
        "plimsoll_unknown_scheduling_fields_total counter {field}",
        "plimsoll_unread_lists gauge {}",
        "plimsoll_wakeups_ruled_out_total counter {}",
        "plimsoll_watch_events_total counter {kind,type}",
        "plimsoll_watch_restarts_total counter {kind,reason}",
        "rest_client_request_duration_seconds histogram {host,verb} 12[0.005..60]",
        "rest_client_requests_total counter {code,host,method}",
        "scheduler_cache_size gauge {type}",
        "scheduler_framework_extension_point_duration_seconds histogram {extension_point,profile,status} 12[0.0001..0.2048]",
        "scheduler_goroutines gauge {operation}",
        "scheduler_inflight_events gauge {event}",
        "scheduler_pending_pods gauge {queue}",
        "scheduler_permit_wait_duration_seconds histogram {result} 15[0.001..16.384]",
        "scheduler_plugin_evaluation_total counter {extension_point,plugin,profile}",
        "scheduler_pod_scheduled_after_flush_total counter {}",
        "scheduler_pod_scheduling_attempts histogram {} 5[1..16]",
        "scheduler_pod_scheduling_sli_duration_seconds histogram {attempts} 20[0.01..5242.88]",
        "scheduler_podgroup_schedule_attempts_total counter {profile,result}",
        "scheduler_podgroup_scheduling_algorithm_duration_seconds histogram {} 15[0.001..16.384]",
        "scheduler_podgroup_scheduling_attempt_duration_seconds histogram {profile,result} 15[0.001..16.384]",
        "scheduler_preemption_attempts_total counter {}",
        "scheduler_preemption_victims histogram {} 7[1..64]",
        "scheduler_queue_incoming_pods_total counter {event,queue}",
        "scheduler_schedule_attempts_total counter {profile,result}",
        "scheduler_scheduling_algorithm_duration_seconds histogram {} 15[0.001..16.384]",
        "scheduler_scheduling_attempt_duration_seconds histogram {profile,result} 15[0.001..16.384]",
        "scheduler_unschedulable_pods gauge {plugin,profile}",
        "scheduler_volume_binder_cache_requests_total counter {operation}",
        "scheduler_volume_scheduling_stage_error_total counter {operation}",
    ];
    assert_eq!(found, golden);
}

#[test]
fn values_land_in_their_own_series() {
    let text = touched().render().unwrap();
    for line in [
        r#"scheduler_schedule_attempts_total{profile="plimsoll",result="scheduled"} 1"#,
        r#"scheduler_pending_pods{queue="gated"} 2"#,
        r#"scheduler_plugin_evaluation_total{extension_point="Filter",plugin="NodeResourcesFit",profile="plimsoll"} 5"#,
        r#"scheduler_queue_incoming_pods_total{event="UnschedulablePodAdd",queue="active"} 1"#,
        r#"plimsoll_watch_restarts_total{kind="Pod",reason="expired"} 1"#,
        r#"rest_client_requests_total{code="201",host="api:6443",method="POST"} 1"#,
        r#"rest_client_requests_total{code="418",host="api:6443",method="PATCH"} 1"#,
        r#"rest_client_requests_total{code="<error>",host="api:6443",method="GET"} 1"#,
        r#"rest_client_request_duration_seconds_count{host="api:6443",verb="GET"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "missing {line} in\n{text}");
    }
}

#[test]
fn counters_end_in_total_and_times_in_seconds() {
    for line in shape(&touched().render().unwrap()) {
        let mut words = line.split(' ');
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        if name.contains("duration") {
            assert!(name.ends_with("_seconds"), "{line}");
        }
    }
}

#[test]
fn attempts_above_fourteen_share_a_series() {
    let metrics = Metrics::new().unwrap();
    for attempts in [0, 1, 14, 15, 16, u32::MAX] {
        metrics.scheduler.pod_scheduling_sli_duration(attempts).observe(1.0);
    }
    let text = metrics.render().unwrap();
    for (label, count) in [("1", 2), ("14", 1), ("15+", 3)] {
        let line = format!("scheduler_pod_scheduling_sli_duration_seconds_count{{attempts=\"{label}\"}} {count}");
        assert!(text.contains(&line), "missing {line} in\n{text}");
    }
}

#[test]
fn a_fresh_set_shows_no_series_with_labels() {
    let text = Metrics::new().unwrap().render().unwrap();
    assert!(text.contains("scheduler_pod_scheduled_after_flush_total 0"));
    assert!(!text.contains("scheduler_schedule_attempts_total"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_measured() {
    let text = Metrics::new().unwrap().render().unwrap();
    let value = |name: &str| -> f64 {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_threads") >= 1.0);
    assert!(value("process_start_time_seconds") > 1.6e9);
    assert!(value("process_cpu_seconds_total") >= 0.0);
}

#[test]
fn refusals_that_are_there_from_the_start_are_kinds_of_refusals() {
    for reason in plimsoll::REFUSALS {
        assert_eq!(RefusalKind::of(reason).as_str(), reason);
    }
    let text = Metrics::new().unwrap().render().unwrap();
    assert!(text.contains("plimsoll_kubelet_refusals_total{reason=\"OutOfcpu\"} 0"));
    assert!(text.contains("plimsoll_binding_results_total{result=\"timeout\"} 0"));
}
