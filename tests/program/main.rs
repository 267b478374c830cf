//! The program itself, as a process: arguments, exit codes, signals, and what it serves.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, reason = "in a test, a failed step is a failed test")]

mod rig;
mod roles;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_apiserver::Rule;
use plimsoll_testkit::pod;
use serde_json::Value;

use rig::{
    Api, Files, HEAD, Process, cert, ended, free_address, get, get_over_tls, kubeconfig, post, program, run, until,
};

#[test]
fn the_extender_serves_what_its_plugins_say() {
    let (api, files) = (Api::any(), Files::new());
    let kubeconfig = files.write("kubeconfig", &kubeconfig(api.server.address().unwrap()));
    let mut extender = Process::start(
        program()
            .args(["extender", "--bind-address", "127.0.0.1", "--port", "0", "--kubeconfig", &kubeconfig])
            .args(["--profile", "plimsoll"]),
    );
    let line = extender.line("serving as an extender at http://127.0.0.1:");
    let port = line.split("http://127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    until("it to be ready", || get(address, "/readyz").0 == 200);
    assert_eq!(get(address, "/healthz").0, 200);
    let ask = r#"{"Pod":{"metadata":{"name":"p","namespace":"default","uid":"u"},"spec":{"containers":[]}},"Nodes":null,"NodeNames":["only","new"]}"#;
    let (code, body) = post(address, "/filter", ask);
    assert_eq!(
        (code, serde_json::from_str::<Value>(&body).unwrap()["NodeNames"].to_string()),
        (200, r#"["only"]"#.into())
    );
    assert_eq!(
        post(address, "/prioritize", ask),
        (200, r#"[{"Host":"only","Score":0},{"Host":"new","Score":0}]"#.into())
    );
    assert_eq!(post(address, "/filter", "{}"), (400, "the question has no Pod\n".into()));
    assert_eq!((get(address, "/filter").0, post(address, "/bind", ask).0), (405, 404));

    // And a scheduler asks it.
    let config = files.write(
        "config.yaml",
        &format!(
            "{HEAD}leaderElection: {{leaderElect: false}}\nextenders:\n- urlPrefix: http://{address}\n  filterVerb: filter\n  \
             prioritizeVerb: prioritize\n  weight: 1\n  nodeCacheCapable: true\n"
        ),
    );
    let (mut scheduler, admin) = Process::scheduler(&["--kubeconfig", &kubeconfig, "--config", &config]);
    api.server.create(pod("asks")).unwrap();
    api.until_bound("asks");
    let series =
        format!("plimsoll_extender_requests_total{{extender=\"http://{address}\",result=\"ok\",verb=\"filter\"}} 1");
    assert!(get(admin, "/metrics").1.contains(&series));
    for process in [&mut scheduler, &mut extender] {
        process.signal("TERM");
        assert_eq!(process.end(), 0);
    }
}

#[test]
fn extenders_are_asked_over_tls_as_configured() {
    let (api, files) = (Api::any(), Files::new());
    let kubeconfig = files.write("kubeconfig", &kubeconfig(api.server.address().unwrap()));
    let extender =
        Process::start(
            program()
                .args(["extender", "--bind-address", "127.0.0.1", "--port", "0", "--kubeconfig", &kubeconfig])
                .args(["--tls-cert-file", &cert("cert.pem"), "--tls-private-key-file", &cert("key.pem")]),
        );
    let line = extender.line("serving as an extender at https://127.0.0.1:");
    let port = line.split("https://127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let ca = cert("ca.pem");
    for (pod_name, https, tls, works) in [
        ("trusted", true, format!("{{caFile: {ca}, serverName: extender.example}}"), true),
        ("other-name", true, format!("{{caFile: {ca}}}"), false),
        // Without a CA enableHTTPS trusts anybody, as in kube-scheduler.
        ("anybody", true, "{}".to_owned(), true),
        ("insecure", false, "{insecure: true}".to_owned(), true),
        ("unknown-ca", false, "{serverName: extender.example}".to_owned(), false),
    ] {
        let config = files.write(
            "config.yaml",
            &format!(
                "{HEAD}leaderElection: {{leaderElect: false}}\nextenders:\n- urlPrefix: https://127.0.0.1:{port}\n  \
                 filterVerb: filter\n  nodeCacheCapable: true\n  enableHTTPS: {https}\n  tlsConfig: {tls}\n"
            ),
        );
        let (mut scheduler, _) = Process::scheduler(&["--kubeconfig", &kubeconfig, "--config", &config]);
        api.server.create(pod(pod_name)).unwrap();
        if works {
            api.until_bound(pod_name);
        } else {
            let line = scheduler.line("pod is not scheduled");
            assert!(line.contains("invalid peer certificate"), "{pod_name}: {line}");
            api.server.delete("pods", "default", pod_name).unwrap();
        }
        scheduler.signal("TERM");
        assert_eq!(scheduler.end(), 0);
    }
    let files_of_nobody = files.write(
        "config.yaml",
        &format!(
            "{HEAD}extenders:\n- urlPrefix: https://a\n  enableHTTPS: true\n  tlsConfig: {{caFile: /nowhere/ca.pem}}\n"
        ),
    );
    let (code, _, err) = run(&[
        "run",
        "--http-address",
        "0",
        "--secure-port",
        "0",
        "--kubeconfig",
        &kubeconfig,
        "--config",
        &files_of_nobody,
    ]);
    assert_eq!(code, 1);
    assert!(err.contains("extenders[0]: tlsConfig: reading caFile /nowhere/ca.pem"), "{err}");
}

#[test]
fn the_extender_refuses_what_it_cannot_use() {
    let files = Files::new();
    let kubeconfig = files.write("kubeconfig", &kubeconfig(free_address()));
    let rubbish = files.write("rubbish", "none");
    for (arguments, expect) in [
        (&["--profile", "other"][..], "--profile \"other\": there is no such profile, only plimsoll"),
        (&["--tls-cert-file", &rubbish, "--tls-private-key-file", &rubbish], "no PEM private key"),
        (&["--tls-cert-file", &rubbish], "--tls-private-key-file"),
        (&["--port", "x"], "invalid value"),
    ] {
        let all: Vec<&str> = ["extender", "--kubeconfig", &kubeconfig].iter().chain(arguments).copied().collect();
        let (code, _, err) = run(&all);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(expect), "{err}");
    }
}

#[test]
fn version_and_help_go_to_standard_output() {
    let (code, out, err) = run(&["--version"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, concat!("plimsoll ", env!("CARGO_PKG_VERSION"), "\n"), ""));
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for word in ["run", "demo", "apiserver", "check-config", "completion", "--kubeconfig", "--leader-elect"] {
        assert!(out.contains(word), "{word} is not in\n{out}");
    }
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    for arguments in [
        &["run", "--nope"][..],
        &["nope"],
        &["run", "--leader-elect-lease-duration", "soon"],
        &["run", "-v", "loud"],
        &["check-config"],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("error: "), "{err}");
    }
    for (arguments, what) in [
        (["run", "--logging-format", "xml"], "\"xml\""),
        (["run", "--log-level", "loud"], "\"loud\""),
        (["run", "--http-address", "here"], "--http-address \"here\""),
    ] {
        let files = Files::new();
        let kubeconfig = files.write("kubeconfig", &kubeconfig(free_address()));
        let (code, _, err) = ended(program().args(arguments).args(["--kubeconfig", &kubeconfig]).output().unwrap());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(what), "{err}");
    }
}

#[test]
fn without_a_cluster_it_ends_at_once_and_names_the_flag() {
    let files = Files::new();
    let api = Api::any();
    // A cluster that somebody happens to work with is not taken by accident.
    let theirs = files.write("theirs", &api.server.kubeconfig());
    std::fs::create_dir(files.path(".kube")).unwrap();
    std::fs::copy(&theirs, files.path(".kube/config")).unwrap();
    for arguments in [&["run"][..], &[]] {
        let output = program().args(arguments).env("KUBECONFIG", &theirs).env("HOME", files.path("")).output().unwrap();
        let (code, out, err) = ended(output);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("error: no cluster to connect to: name a file with --kubeconfig"), "{err}");
    }
    assert!(api.server.call_counts().is_empty());
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named() {
    let files = Files::new();
    let folder = files.path("").display().to_string();
    let rows = [
        (files.path("none").display().to_string(), "reading kubeconfig"),
        (folder, "is a directory"),
        (files.write("garbage", "{{{\n"), "not valid YAML"),
        (files.write("empty", ""), "current-context is not set"),
        (files.write("loose", "apiVersion: v1\nkind: Config\ncurrent-context: a\n"), "contexts has no such entry"),
        (files.write("large", &"#".repeat(2 << 20)), "is 2097152 bytes long"),
    ];
    for (path, what) in rows {
        let (code, out, err) = run(&["run", "--kubeconfig", &path]);
        assert_eq!((code, out.as_str()), (2, ""), "{path}: {err}");
        assert!(err.contains(&path) && err.contains(what), "{what:?} is not in {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn a_configuration_that_cannot_be_run_is_refused_with_its_place() {
    let files = Files::new();
    let rows = [
        ("parallelism: 0\n", ":3:14: parallelism: must be 1 or more, not 0"),
        ("paralelism: 1\n", ":3:1: paralelism: "),
        ("profiles: [\n", ":"),
        (
            "profiles:\n- schedulerName: default-scheduler\n",
            ":4:18: profiles[0].schedulerName: \"default-scheduler\" is the name",
        ),
        ("extenders:\n- urlPrefix: 127.0.0.1:1\n", ":4:14: extenders[0].urlPrefix: is no URL"),
        ("delayCacheUntilActive: true\n", ": delayCacheUntilActive: is not supported yet"),
        (
            "leaderElection: {resourceName: kube-scheduler, resourceNamespace: kube-system}\n",
            "leaderElection.resourceName: ",
        ),
    ];
    for (number, (lines, what)) in rows.into_iter().enumerate() {
        let path = files.write(&format!("config{number}.yaml"), &format!("{HEAD}{lines}"));
        let (code, out, err) = run(&["run", "--config", &path]);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(
            err.contains(&format!("{path}{what}")) || (err.contains(&path) && err.contains(what)),
            "{what:?} is not in {err}"
        );
    }
    let (code, _, err) = run(&["run", "--config", &files.path("none.yaml").display().to_string()]);
    assert_eq!(code, 2);
    assert!(err.contains("none.yaml") && err.contains("No such file"), "{err}");
    // What flags ask for is judged like what files do.
    let elect = ["run", "--leader-elect-lease-duration=5s", "--leader-elect-renew-deadline=10s"];
    let (code, _, err) = run(&elect);
    assert_eq!(code, 2);
    assert!(err.contains("leaderElection.leaseDuration: must be longer than renewDeadline (10s), not 5s"), "{err}");
}

#[test]
fn check_config_judges_without_a_cluster() {
    let files = Files::new();
    let good = files.write("good.yaml", &format!("{HEAD}profiles:\n- schedulerName: mine\n"));
    let bad = files.write("bad.yaml", &format!("{HEAD}parallelism: 0\nfoo: 1\n"));
    let (code, out, err) = run(&["check-config", &good]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(": valid\n") && out.contains("\nProfile mine\n"), "{out}");
    let (code, out, err) = run(&["check-config", &bad]);
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 2), "{err}");
    assert!(err.starts_with(&format!("{bad}:3:14: parallelism: ")), "{err}");
    let nowhere = files.write("nowhere.yaml", &format!("{HEAD}extenders:\n- urlPrefix: 127.0.0.1:1\n"));
    let (code, out, err) = run(&["check-config", &nowhere]);
    let text = format!("{nowhere}:4:14: extenders[0].urlPrefix: is no URL: it lacks http:// or https://\n");
    assert_eq!((code, err), (2, text));
    assert!(out.starts_with(&format!("{nowhere}: valid for kube-scheduler, but cannot work\n")), "{out}");
    let (code, out, err) = run(&["check-config", "-o", "json", &good, &bad]);
    assert_eq!(code, 2, "one bad file is enough: {err}");
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["profiles"][0]["schedulerName"], "mine", "{value:#}");
}

#[test]
fn the_configuration_that_is_written_is_the_one_that_is_read() {
    let files = Files::new();
    let config = files.write(
        "in.yaml",
        &format!("{HEAD}profiles:\n- schedulerName: mine\n---\napiVersion: config.plimsoll/v1alpha1\nkind: PlimsollConfiguration\nworkers: 3\n"),
    );
    let (first, second) = (files.path("first.yaml"), files.path("second.yaml"));
    for (input, output) in [(Path::new(&config), &first), (&first, &second)] {
        let (code, _, err) = ended(
            program().args(["run", "--config"]).arg(input).arg("--write-config-to").arg(output).output().unwrap(),
        );
        assert_eq!(code, 0, "{err}");
    }
    let text = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&first), text(&second));
    assert!(text(&first).contains("schedulerName: mine") && text(&first).contains("workers: 3"), "{}", text(&first));
    let nowhere = files.path("none/out.yaml").display().to_string();
    let (code, _, err) = run(&["run", "--write-config-to", &nowhere]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("writing the configuration to {nowhere}: No such file")), "{err}");
}

#[test]
fn a_recording_outlives_a_scheduler_that_is_killed() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig());
    let config = files.write(
        "config.yaml",
        &format!(
            "{HEAD}leaderElection: {{leaderElect: false}}\n---\napiVersion: config.plimsoll/v1alpha1\nkind: \
             PlimsollConfiguration\nworkers: 4\n"
        ),
    );
    let dir = files.path("recording").display().to_string();
    let arguments = ["--kubeconfig", &kubeconfig, "--config", &config, "--record", &dir];
    let (mut scheduler, _) = Process::scheduler(&arguments);
    scheduler.line("while recording, one thread decides, whatever the configuration says");
    api.server.create(pod("web")).unwrap();
    api.until_bound("web");
    let replayed = || {
        let (code, out, err) = run(&["replay", &dir, "-o", "json"]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    until("the binding to be recorded", || replayed()["effects"]["bind"] == 1);
    scheduler.child.kill().unwrap();
    scheduler.child.wait().unwrap();
    assert_eq!(replayed()["ended"], "cutOff");
    // What is there stays there.
    let (code, out, err) = run(&[&["run"], &arguments[..]].concat());
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains(&format!("error: recording to {dir}: it holds a recording already")), "{err}");
    let file = files.write("file", "");
    let (code, _, err) = run(&["run", "--record", &file]);
    assert!(code == 2 && err.contains(&format!("recording to {file}: File exists")), "{err}");
}

#[test]
fn a_missing_permission_is_said_once_and_holds_up_nobody_else() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig());
    let refused = api.server.faults().add(Rule::status(403).resource("persistentvolumeclaims"));
    let (mut scheduler, admin) = Process::scheduler(&["--kubeconfig", &kubeconfig]);
    api.server.create(pod("web")).unwrap();
    api.until_bound("web");
    assert_eq!(get(admin, "/readyz"), (200, "ok".to_owned()));
    until("it to be asked again", || api.server.faults().hits(refused) > 2);
    let said: Vec<String> = scheduler
        .lines()
        .into_iter()
        .filter(|line| line.contains("permitted") || line.contains("answered with 403"))
        .collect();
    let text = "not permitted to watch persistentvolumeclaims: the role lacks the verbs list and watch on \
                persistentvolumeclaims; pods that need them wait, others do not";
    assert!(said.len() == 1 && said[0].contains(text), "{said:#?}");
    let missing = "plimsoll_missing_permissions{resource=\"persistentvolumeclaims\",verb=\"watch\"} ";
    assert!(get(admin, "/metrics").1.contains(&format!("{missing}1")));
    api.server.faults().clear();
    until("it to be granted", || get(admin, "/metrics").1.contains(&format!("{missing}0")));
    scheduler.signal("TERM");
    assert_eq!(scheduler.end(), 0);
}

#[test]
fn completion_scripts_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, err) = run(&["completion", shell]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("check-config") && out.contains("plimsoll"), "{shell}");
    }
    assert_eq!(run(&["completion", "dos"]).0, 2);
}

#[test]
fn a_scheduler_binds_serves_and_ends_at_sigterm() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig());
    let foreign = ["--cert-dir=/certs", "--profiling=false", "--client-ca-file", "ca.crt"];
    let arguments = [&["--kubeconfig", &kubeconfig, "--logging-format", "json"][..], &foreign].concat();
    let (mut scheduler, admin) = Process::scheduler(&arguments);
    api.server.create(pod("web")).unwrap();
    api.until_bound("web");
    scheduler.line("pod is bound");
    assert_eq!(get(admin, "/livez"), (200, "ok".to_owned()));
    assert_eq!(get(admin, "/readyz"), (200, "ok".to_owned()));
    until("the attempt to be counted", || {
        let (status, metrics) = get(admin, "/metrics");
        status == 200
            && metrics.contains("scheduler_schedule_attempts_total{profile=\"plimsoll\",result=\"scheduled\"} 1\n")
    });
    let (status, config) = get(admin, "/configz");
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!((status, &config["componentconfig"]["leaderElection"]["resourceName"]), (200, &"plimsoll".into()));
    scheduler.signal("TERM");
    assert_eq!(scheduler.end(), 0);
    // Every line is for machines; the foreign flags are said once; the binding has all that is asked for in a log.
    let lines: Vec<Value> = scheduler.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let with = |text: &str| lines.iter().filter(|line| line.to_string().contains(text)).collect::<Vec<_>>();
    let warned = with("have no effect here");
    assert_eq!(warned.len(), 1, "{lines:#?}");
    assert!(warned[0].to_string().contains("--cert-dir --profiling --client-ca-file") && warned[0]["level"] == "WARN");
    let bound = with("pod is bound");
    assert_eq!(bound.len(), 1);
    // No score: where only one node fits there is nothing to compare.
    for part in ["default/web", "uid", "only", "attempts", "ms"] {
        assert!(bound[0].to_string().contains(part), "{part} is not in {}", bound[0]);
    }
    assert_eq!(with("shut down").len(), 1);
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{lines:#?}");
}

#[test]
fn the_configuration_file_is_followed() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig());
    let file = files.write("config.yaml", &format!("{HEAD}profiles: [{{schedulerName: first}}]\n"));
    let (mut scheduler, admin) = Process::scheduler(&["--kubeconfig", &kubeconfig, "--config", &file]);
    let success = |value: u8| {
        let line = format!("plimsoll_config_last_reload_success {value}\n");
        until(&line, || get(admin, "/metrics").1.contains(&line));
    };
    success(1);
    // The signal spares the wait; without it the file is looked at from time to time.
    files.write("config.yaml", &format!("{HEAD}profiles: [{{schedulerNam: second}}]\n"));
    scheduler.signal("HUP");
    success(0);
    let said = scheduler.line("the former configuration is kept");
    assert!(said.contains("config.yaml:3:13: profiles[0].schedulerNam: unknown field"), "{said}");
    assert!(get(admin, "/configz").1.contains("\"schedulerName\":\"first\""));
    files.write("config.yaml", &format!("{HEAD}profiles: [{{schedulerName: second}}]\n"));
    scheduler.signal("HUP");
    success(1);
    until("the new one to be shown", || get(admin, "/configz").1.contains("\"schedulerName\":\"second\""));
    api.server.create(pod("web").scheduler_name("second")).unwrap();
    api.until_bound("web");
    until("it to be ready", || get(admin, "/readyz") == (200, "ok".to_owned()));
    // Without a file there is nothing to be read, and nothing to end for.
    scheduler.signal("TERM");
    assert_eq!(scheduler.end(), 0);
}

#[test]
fn the_secured_port_is_served_as_the_flags_say() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig());
    let address = free_address();
    let port = address.port().to_string();
    let (certificate, key) = (cert("cert.pem"), cert("key.pem"));
    let always = ["run", "--http-address", "0", "--bind-address", "127.0.0.1", "--kubeconfig", &kubeconfig];
    let tls = ["--tls-cert-file", &certificate, "--tls-private-key-file", &key, "--tls-min-version", "VersionTLS13"];
    let more = ["--secure-port", &port, "--tls-cipher-suites", "TLS_RSA_WITH_RC4_128_SHA"];
    let mut scheduler = Process::start(
        program().args(always).args(tls).args(more).args(["--authorization-always-allow-paths", "/livez"]),
    );
    scheduler.line("serving the secured port");
    assert!(scheduler.line("these are not served here").contains("TLS_RSA_WITH_RC4_128_SHA"));
    assert_eq!(get_over_tls(address, "", "/livez"), (200, "ok".to_owned()));
    // Where the API server looks at no permissions, everybody has all of them, and is asked about all the same.
    until("it to be ready", || get_over_tls(address, "", "/readyz").0 == 200);
    let (status, body) = get_over_tls(address, "", "/debug/queue");
    assert_eq!((status, &serde_json::from_str::<Value>(&body).unwrap()["pods"]), (200, &Value::Array(Vec::new())));
    // A second one finds the port taken, and says which flag helps.
    let (code, _, err) = ended(program().args(always).args(["--secure-port", &port]).output().unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("--secure-port takes another") && err.contains(&port), "{err}");
    scheduler.signal("TERM");
    assert_eq!(scheduler.end(), 0);
    for (arguments, expect) in [
        (["--tls-cert-file", "/nowhere.crt", "--tls-private-key-file", "/nowhere.key"], "reading /nowhere.crt"),
        (["--tls-cert-file", &certificate, "--tls-private-key-file", &certificate], "no PEM private key"),
        (["--tls-cert-file", &certificate, "--tls-min-version", "VersionTLS13"], "--tls-private-key-file"),
        (["--tls-min-version", "1.2", "-v", "2"], "must be VersionTLS12 or VersionTLS13"),
        (["--authorization-always-allow-paths", "livez", "-v", "2"], "does not begin with /"),
    ] {
        let (code, _, err) =
            ended(program().args(always).args(["--secure-port", &port]).args(arguments).output().unwrap());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(expect), "{err}");
    }
}

#[test]
fn at_sigusr2_it_says_what_it_knows() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig());
    let (mut scheduler, _) = Process::scheduler(&["--kubeconfig", &kubeconfig]);
    api.server.create(pod("fits")).unwrap();
    api.until_bound("fits");
    api.server.create(pod("large").requests(&[("cpu", "900")])).unwrap();
    scheduler.line("pod is not scheduled");
    scheduler.signal("USR2");
    scheduler.line("comparison of the cache with the API server: 0 differences");
    let dumped: Vec<String> = scheduler.lines().into_iter().filter(|line| line.contains("dump of the")).collect();
    let has = |parts: &[&str]| dumped.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["dump of the queue: ", "unschedulable=1", "left_out=0"]), "{dumped:#?}");
    assert!(has(&["dump of the queue", "default/large", "unschedulable", "NodeResourcesFit"]), "{dumped:#?}");
    assert!(has(&["dump of the cache: nodes=1"]), "{dumped:#?}");
    assert!(has(&["dump of the cache", "only", "default/fits"]), "{dumped:#?}");
    scheduler.signal("TERM");
    assert_eq!(scheduler.end(), 0);
}

/// What is shown, and what is logged, holds none of the secrets that the program was given.
#[test]
fn secrets_are_neither_served_nor_logged() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig =
        files.write("kubeconfig", &api.server.kubeconfig().replace("user: {}", "user: {token: secret-token}"));
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name);
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(std::fs::read(path).unwrap())
    };
    let (ca, certificate, key) = (read("ca.pem"), read("cert.pem"), read("key.pem"));
    let config = files.write(
        "config.yaml",
        &format!(
            "{HEAD}extenders:\n- urlPrefix: https://secret-user:secret-password@127.0.0.1:1/x?secret=query\n  \
             filterVerb: f\n  ignorable: true\n  enableHTTPS: true\n  \
             tlsConfig: {{caData: {ca}, certData: {certificate}, keyData: {key}}}\n"
        ),
    );
    let arguments = ["--kubeconfig", &kubeconfig, "--config", &config, "--log-level", "debug,plimsoll=trace"];
    let (mut scheduler, admin) = Process::scheduler(&arguments);
    until("it to be ready", || get(admin, "/readyz").0 == 200);
    api.server.create(pod("asks")).unwrap();
    api.until_bound("asks");
    let ((status, shown), (_, metrics)) = (get(admin, "/configz"), get(admin, "/metrics"));
    assert_eq!(status, 200);
    assert!(shown.contains("https://<redacted>@127.0.0.1:1/x?<redacted>"), "{shown}");
    scheduler.signal("USR2");
    scheduler.line("comparison of the cache");
    scheduler.signal("TERM");
    assert_eq!(scheduler.end(), 0);
    let log = scheduler.lines().join("\n");
    for secret in ["secret-token", "secret-password", "secret=query", &ca, &certificate, &key] {
        for (what, text) in [("configz", &shown), ("metrics", &metrics), ("the log", &log)] {
            assert!(!text.contains(secret), "{secret:.20} is in {what}");
        }
    }
}

#[test]
fn an_api_server_that_is_not_there_is_waited_for() {
    let (files, address) = (Files::new(), free_address());
    let kubeconfig = files.write("kubeconfig", &kubeconfig(address));
    let (mut scheduler, admin) = Process::scheduler(&["--kubeconfig", &kubeconfig]);
    let mut reason = String::new();
    until("the reason", || {
        let (status, body) = get(admin, "/readyz");
        assert_eq!(status, 500, "{body}");
        reason = body;
        reason.contains("refused")
    });
    for check in ["[-]nodes-synced: ", "[-]pods-synced: ", "onnection refused", "[+]owner ok"] {
        assert!(reason.contains(check), "{check:?} is not in {reason}");
    }
    assert_eq!(get(admin, "/livez").0, 200, "a missing API server is no reason to restart");
    let api = Api::start(address);
    api.server.create(pod("web")).unwrap();
    until("the scheduler to be ready", || get(admin, "/readyz").0 == 200);
    api.until_bound("web");
    scheduler.signal("INT");
    assert_eq!(scheduler.end(), 0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (files, api) = (Files::new(), Api::any());
    let kubeconfig = files.write("kubeconfig", &api.server.kubeconfig());
    let (mut scheduler, _) = Process::scheduler(&["--kubeconfig", &kubeconfig]);
    // A binding that does not come back keeps the first signal from being the end.
    let slow = plimsoll_apiserver::Fault::Delay(Duration::from_secs(600));
    let slow = api.server.faults().add(plimsoll_apiserver::Rule::new(slow).resource("pods/binding"));
    api.server.create(pod("web")).unwrap();
    until("the binding to be under way", || api.server.faults().hits(slow) == 1);
    scheduler.signal("TERM");
    scheduler.line("shutting down");
    assert!(scheduler.child.try_wait().unwrap().is_none(), "it waits for its binding");
    scheduler.signal("TERM");
    assert_eq!(scheduler.end(), 1);
    scheduler.line("second signal");
}

#[test]
fn the_stand_in_and_the_scheduler_work_as_two_processes() {
    let files = Files::new();
    let kubeconfig = files.path("kubeconfig").display().to_string();
    let stand_in = ["apiserver", "--listen", "127.0.0.1:0", "--nodes", "3", "--write-kubeconfig", &kubeconfig];
    let mut api = Process::start(program().args(stand_in));
    let line = api.line("serving Kubernetes 1.36 on http://127.0.0.1:");
    let address: SocketAddr = line.split("http://").nth(1).unwrap().parse().unwrap();
    let (mut scheduler, admin) = Process::scheduler(&["--kubeconfig", &kubeconfig, "--leader-elect=false"]);
    until("the scheduler to be ready", || get(admin, "/readyz").0 == 200);
    let body = pod("web").build().to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    until("the pod to run", || {
        let (_, body) = get(address, "/api/v1/namespaces/default/pods/web");
        let pod: Value = serde_json::from_str(&body).unwrap();
        pod["status"]["phase"] == "Running"
    });
    for process in [&mut scheduler, &mut api] {
        process.signal("TERM");
        assert_eq!(process.end(), 0, "{:#?}", process.lines());
    }
}

/// An `apiserver` process, the address it serves on, and its kubeconfig.
fn stand_in(arguments: &[&str]) -> (Process, SocketAddr, PathBuf) {
    let process = Process::start(program().args(["apiserver", "--listen", "127.0.0.1:0"]).args(arguments));
    let address = process.line("serving Kubernetes").rsplit("http://").next().unwrap().parse().unwrap();
    let line = process.line("kubectl --kubeconfig");
    (process, address, PathBuf::from(line.split_whitespace().nth(2).unwrap()))
}

#[test]
fn the_stand_in_begins_with_what_it_is_told() {
    let files = Files::new();
    let objects = files.write(
        "objects.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, \
         namespace: shop}\nspec: {containers: [{name: c}]}\n",
    );
    let (mut process, address, kubeconfig) =
        stand_in(&["-f", &objects, "--nodes", "4", "--zones", "2", "--node-cpu", "8"]);
    let (code, body) = get(address, "/api/v1/nodes");
    let nodes: Value = serde_json::from_str(&body).unwrap();
    let zone = |n: usize| &nodes["items"][n]["metadata"]["labels"]["topology.kubernetes.io/zone"];
    assert_eq!((code, zone(0), zone(1), zone(2)), (200, &"zone-0".into(), &"zone-1".into(), &"zone-0".into()));
    assert_eq!(nodes["items"][3]["status"]["allocatable"]["cpu"], "8");
    assert_eq!(get(address, "/api/v1/namespaces/shop/pods/p").0, 200);
    // Nobody else may read it: on other servers it would hold a key.
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&kubeconfig).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    process.signal("TERM");
    assert_eq!(process.end(), 0);
    assert!(!kubeconfig.exists(), "a temporary kubeconfig goes with the server");
}

#[test]
fn the_stand_in_serves_nothing_when_something_is_wrong_with_its_input() {
    let files = Files::new();
    let pod = |rest: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\n{rest}");
    for (text, error) in [
        (pod("spec: {priorityClassName: none}"), ":1: Pod a is refused: pods \"a\" is forbidden: no PriorityClass"),
        (format!("{}---\n{}", pod(""), pod("")), ":5: Pod a comes twice"),
        ("apiVersion: v7\nkind: Pod\nmetadata: {name: a}".to_owned(), "no kind \"Pod\" in \"v7\" is served"),
        ("a: [".to_owned(), "not readable as YAML"),
    ] {
        let file = files.write("bad.yaml", &text);
        let (code, out, err) = run(&["apiserver", "--listen", "127.0.0.1:0", "-f", &file]);
        assert_eq!((code, &*out), (2, ""), "{text}: {err}");
        assert!(err.contains(error), "{text}: {err}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = run(&["apiserver", "--listen", &address]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("listening on {address}: Address already in use")), "{err}");
}

#[test]
fn the_stand_in_misbehaves_on_order() {
    let orders =
        ["--fault", "verb=list,resource=nodes,status=503,times=1", "--fault", "drop=after,resource=pods,times=1"];
    let (mut process, address, _) = stand_in(&orders);
    assert_eq!(get(address, "/api/v1/nodes").0, 503);
    assert_eq!(get(address, "/api/v1/nodes").0, 200);
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /api/v1/pods HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "");
    assert_eq!(get(address, "/api/v1/pods").0, 200);
    process.signal("TERM");
    assert_eq!(process.end(), 0);
    for (rule, error) in [
        ("statsu=409", "unknown word \"statsu\""),
        ("verb=list", "nothing goes wrong"),
        ("status=409,share=2", "share=2 is wrong: it takes a number from 0 to 1"),
    ] {
        let (code, out, err) = run(&["apiserver", "--listen", "127.0.0.1:0", "--fault", rule]);
        assert_eq!((code, &*out), (2, ""), "{rule}: {err}");
        assert!(err.contains("--fault <RULE>") && err.contains(error), "{rule}: {err}");
    }
}

#[test]
fn the_demo_touches_no_cluster_of_the_users() {
    let (files, api) = (Files::new(), Api::any());
    let theirs = files.write("theirs", &api.server.kubeconfig());
    let demo = ["demo", "--nodes", "10", "--pods", "50"];
    let (code, out, err) = ended(program().args(demo).env("KUBECONFIG", &theirs).output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("Done."), "{out}");
    assert!(api.server.call_counts().is_empty());
}

/// Runs `bench core` on a small cluster; gives what it measured.
fn bench_core(arguments: &[&str]) -> Value {
    let small = ["bench", "core", "--pods", "200", "--cold", "5", "-o", "json"];
    let (code, out, err) = run(&[&small, arguments].concat());
    assert_eq!(code, 0, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

/// Looks at what does not depend on how fast it was.
fn assert_measured(report: &Value, workload: &str, placed: u64) {
    assert_eq!(report["workload"], workload);
    assert_eq!(report["pods"], 200, "{workload}");
    assert_eq!(report["placed"], placed, "{workload}");
    for rate in ["decisions_per_second", "cycles_per_second", "peak_rss_mib"] {
        assert!(report[rate].as_f64().unwrap() > 0.0, "{workload}: {rate}");
    }
    for times in ["warm_ns", "cold_ns"] {
        let [p50, p99, max] = ["p50", "p99", "max"].map(|at| report[times][at].as_u64().unwrap());
        assert!(0 < p50 && p50 <= p99 && p99 <= max, "{workload}: {times}");
    }
    for bytes in ["bytes_per_node", "bytes_per_pod", "bytes_per_class"] {
        assert!(report[bytes].is_u64(), "{workload}: {bytes}");
    }
    for optional in ["allocations_per_warm_decision", "memo_hit_rate"] {
        assert!(report[optional].is_null() || report[optional].is_number(), "{workload}: {optional}");
    }
}

#[test]
fn every_workload_of_bench_core_is_placed() {
    let placed =
        ["basic", "templates", "nodeaffinity", "spread", "defaultspread", "affinity", "preferred", "antiaffinity"];
    for workload in placed.into_iter().chain(["mixed", "preemption"]) {
        let report = bench_core(&["--nodes", "50", "--workload", workload]);
        assert_measured(&report, workload, 200);
        assert_eq!((&report["nodes"], &report["existing"]), (&50.into(), &500.into()), "{workload}");
    }
    assert_measured(&bench_core(&["--nodes", "50", "--workload", "unschedulable"]), "unschedulable", 0);
    let several = bench_core(&["--nodes", "50", "--workload", "mixed", "--workers", "2", "--unique-labels"]);
    assert_measured(&several, "mixed", 200);
}

#[test]
fn traces_are_placed_by_bench_core() {
    let files = Files::new();
    let mut nodes = "sn,cpu_milli,memory_mib,gpu,model\n".to_owned();
    let mut pods = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n".to_owned();
    for number in 0..20 {
        nodes += &format!("n-{number},64000,262144,{},{}\n", number % 3, if number % 3 > 0 { "T4" } else { "" });
        pods += &format!(
            "p-{number},{},4096,{},500,{}\n",
            1_000 + number,
            number % 2,
            if number == 1 { "T4|P100" } else { "" }
        );
    }
    let trace = format!("trace:{},{}", files.write("nodes.csv", &nodes), files.write("pods.csv", &pods));
    let report = bench_core(&["--workload", &trace]);
    assert_measured(&report, &trace, 200);
    assert_eq!((&report["nodes"], &report["existing"]), (&20.into(), &10.into()));
}

#[test]
fn bench_core_refuses_what_it_cannot_measure() {
    let files = Files::new();
    let nodes = files.write("nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\na,1000,1000,0,\n");
    let negative = files.write("negative.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,0,0\nb,-1,1,0,0\n");
    let missing = files.write("missing.csv", "name,cpu_milli,memory_mib\na,1,1\n");
    let trace = |pods: &str| format!("trace:{nodes},{pods}");
    let rows = [
        (vec!["--nodes", "0"], "--nodes 0: there has to be a node".to_owned()),
        (vec!["--pods", "0"], "--pods 0".to_owned()),
        (vec!["--workers", "0"], "--workers 0".to_owned()),
        (vec!["--nodes", "10", "--existing", "1100"], "--existing 1100: 10 nodes hold 1100 pods".to_owned()),
        (vec!["--workload", "fast"], "known are basic,".to_owned()),
        (vec!["--matrix", "--nodes", "7"], "--nodes 7: the table has 1000, 5000, 15000, 50000".to_owned()),
        (vec!["--workload", "NEGATIVE"], format!("{negative}:3: cpu_milli: -1 is less than nothing")),
        (vec!["--workload", "MISSING"], format!("{missing}:1: the column num_gpu is missing")),
    ];
    for (mut arguments, expect) in rows {
        let traces = [("NEGATIVE", trace(&negative)), ("MISSING", trace(&missing))];
        for argument in &mut arguments {
            *argument = traces.iter().find(|(name, _)| name == argument).map_or(*argument, |(_, trace)| trace);
        }
        let (code, out, err) = run(&[&["bench", "core"], &*arguments].concat());
        assert_eq!((code, &*out), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(&expect), "{arguments:?}: {err}");
    }
    let large = files.write("large.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,2000,1,0,0\n");
    let (code, out, err) = run(&["bench", "core", "--workload", &trace(&large), "-o", "json"]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("\"placed\": 0") && err.contains("only 0 of 1 pods were placed"), "{out}{err}");
}

/// A stand-in with one node, a kubeconfig of it, and the arguments of a smoke test there.
fn smoke(files: &Files, api: &Api, more: &[&str]) -> Vec<String> {
    let kubeconfig = files.write("smoke.kubeconfig", &kubeconfig(api.server.address().unwrap()));
    let given = ["smoke-test", "--image", "registry.example.com/plimsoll:v1", "--kubeconfig", &kubeconfig];
    given.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
}

/// What is left of smoke tests' pods.
fn left(api: &Api) -> usize {
    api.server.list("pods", None).unwrap().len()
}

#[test]
fn a_smoke_test_tells_where_its_pod_went_and_leaves_nothing() {
    let (api, files) = (Api::any(), Files::new());
    let kubeconfig = files.write("kubeconfig", &kubeconfig(api.server.address().unwrap()));
    let config = files.write("config.yaml", &format!("{HEAD}leaderElection: {{leaderElect: false}}\n"));
    let (_scheduler, admin) = Process::scheduler(&["--kubeconfig", &kubeconfig, "--config", &config]);
    let metrics = format!("http://{admin}/metrics");
    let (code, out, err) = ended(
        program().args(smoke(&files, &api, &["--namespace", "default", "--metrics-url", &metrics])).output().unwrap(),
    );
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("pod default/plimsoll-smoke-test-"), "{out}");
    assert!(out.contains(" was placed on only by plimsoll after "), "{out}");
    assert!(out.contains(&format!("{metrics} has ")), "{out}");
    until("the pod to go", || left(&api) == 0);
}

#[test]
fn a_smoke_test_that_nobody_answers_says_so() {
    let (api, files) = (Api::any(), Files::new());
    let arguments = smoke(&files, &api, &["--scheduler-name", "nobody", "--timeout", "1s"]);
    let (code, out, err) = ended(program().args(arguments).output().unwrap());
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("has no node after 1s, and nobody has said anything of it"), "{err}");
    assert!(err.contains("no scheduler that runs serves the name nobody"), "{err}");
    until("the pod to go", || left(&api) == 0);
}

#[test]
fn a_smoke_test_repeats_what_the_scheduler_says() {
    let (api, files) = (Api::any(), Files::new());
    let mut test = Process::start(program().args(smoke(&files, &api, &["--timeout", "1h"])));
    until("the pod", || left(&api) == 1);
    let pod = api.server.list("pods", None).unwrap().remove(0);
    assert_eq!(pod.pointer("/spec/containers/0/args"), Some(&serde_json::json!(["--version"])));
    let kubeconfig = files.write("kubeconfig", &kubeconfig(api.server.address().unwrap()));
    let config = files.write("config.yaml", &format!("{HEAD}leaderElection: {{leaderElect: false}}\n"));
    api.server.edit("nodes", "", "only", |node| node["spec"]["unschedulable"] = true.into()).unwrap();
    let (_scheduler, _) = Process::scheduler(&["--kubeconfig", &kubeconfig, "--config", &config]);
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap();
    test.line(&format!("pod default/{name} waits: Unschedulable: 0/1 nodes are available"));
    test.signal("TERM");
    assert_eq!(test.end(), 1);
    test.line("has no node yet, and this was told to end: Unschedulable: 0/1 nodes are available: 1 node(s) were unschedulable");
    until("the pod to go", || left(&api) == 0);
}

#[test]
fn a_smoke_test_that_cannot_begin_is_wrong_usage() {
    let (api, files) = (Api::any(), Files::new());
    let arguments = smoke(&files, &api, &["--metrics-url", "https://127.0.0.1:1/metrics"]);
    let (code, _, err) = ended(program().args(arguments).output().unwrap());
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--metrics-url https://127.0.0.1:1/metrics: only http addresses are read"), "{err}");
    let (code, _, err) = run(&["smoke-test", "--image", "i"]);
    assert!(code == 2 && err.contains("KUBERNETES_SERVICE_HOST is not set"), "{code}: {err}");
    let arguments = smoke(&files, &api, &["--namespace", "nowhere"]);
    let (code, _, err) = ended(program().args(arguments).output().unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("could not be created: the API server answered 404"), "{err}");
    assert_eq!(left(&api), 0);
}

/// As in an image that holds nothing but the program.
#[test]
fn where_no_authority_is_trusted_extenders_without_tls_are_asked_all_the_same() {
    let (api, files) = (Api::any(), Files::new());
    let kubeconfig = files.write("kubeconfig", &kubeconfig(api.server.address().unwrap()));
    let config = |url: &str| {
        let text = format!(
            "{HEAD}leaderElection: {{leaderElect: false}}\nextenders: [{{urlPrefix: \"{url}\", filterVerb: f}}]\n"
        );
        files.write("config.yaml", &text)
    };
    let start = |url: &str| {
        let mut command = program();
        command.args(["run", "--http-address", "127.0.0.1:0", "--secure-port", "0"]).env("SSL_CERT_FILE", "/dev/null");
        // No folder of certificates, either.
        command.env("SSL_CERT_DIR", files.path(""));
        Process::start(command.args(["--kubeconfig", &kubeconfig, "--config", &config(url)]))
    };
    let mut plain = start("http://127.0.0.1:9/");
    api.server.create(pod("asks")).unwrap();
    plain.line("Post \"http://127.0.0.1:9/f\"");
    plain.signal("TERM");
    assert_eq!(plain.end(), 0);
    let mut encrypted = start("https://127.0.0.1:9/");
    assert_eq!(encrypted.end(), 1);
    encrypted.line("extenders[0]: tlsConfig: no CA, and reading this machine's trusted certificates");
}
