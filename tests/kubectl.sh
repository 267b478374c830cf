#!/usr/bin/env bash
# kubectl against the stand-in API server and the scheduler, as two processes of the program. Left out where kubectl is
# not installed. The user's own kubeconfig is never looked at.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v kubectl >/dev/null; then
    echo "kubectl: left out: kubectl is not installed"
    exit 0
fi

cargo build --locked --quiet
program=${CARGO_TARGET_DIR:-target}/debug/plimsoll
work=$(mktemp -d)
started=()

end() {
    for process in "${started[@]}"; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap end EXIT

passed=0

# check WHAT COMMAND...: the command succeeds. Each check builds on those before it, so the first that fails is the last.
check() {
    local what=$1
    shift
    if "$@" >"$work/out" 2>&1; then
        passed=$((passed + 1))
        return
    fi
    echo "FAILED: $what"
    tail -30 "$work/out" | sed 's/^/    /'
    echo "--- the scheduler's log:"
    tail -10 "$work/scheduler.log"
    echo "kubectl: $passed passed, 1 failed"
    exit 1
}

# eventually COMMAND...: the command succeeds within a minute.
eventually() {
    for _ in $(seq 300); do
        if "$@"; then return 0; fi
        sleep 0.2
    done
    return 1
}

# shows PATTERN ARGUMENTS...: within a minute kubectl prints a line that matches.
shows() {
    local pattern=$1
    shift
    if eventually prints "$pattern" "$@"; then return 0; fi
    echo "no line matches: $pattern"
    k "$@"
    return 1
}

prints() {
    local pattern=$1
    shift
    # Not one pipeline: kubectl may say it and fail.
    local out
    out=$(k "$@" 2>&1) || true
    grep -Eq -- "$pattern" <<<"$out"
}

# counts NUMBER PATTERN ARGUMENTS...: within a minute that many lines match.
counts() {
    local number=$1 pattern=$2
    shift 2
    if eventually prints_times "$number" "$pattern" "$@"; then return 0; fi
    echo "not $number lines match: $pattern"
    k "$@"
    return 1
}

prints_times() {
    local number=$1 pattern=$2
    shift 2
    local out
    out=$(k "$@" 2>&1) || true
    [ "$(grep -cE -- "$pattern" <<<"$out")" = "$number" ]
}

# Its cache of discovery would otherwise be the user's.
k() {
    env -u KUBECONFIG HOME="$work" kubectl --kubeconfig "$work/kubeconfig" --cache-dir "$work/cache" "$@"
}

said() {
    grep -q -- "$1" "$2"
}

"$program" apiserver --listen 127.0.0.1:0 --cron-speedup 60 --job-seconds 1 --write-kubeconfig "$work/kubeconfig" \
    >"$work/apiserver.log" 2>&1 &
started+=($!)
if ! eventually said "serving Kubernetes" "$work/apiserver.log"; then
    cat "$work/apiserver.log"
    exit 1
fi
"$program" run --kubeconfig "$work/kubeconfig" --http-address 127.0.0.1:0 --secure-port 0 >"$work/scheduler.log" 2>&1 &
started+=($!)
if ! eventually said "leading" "$work/scheduler.log"; then
    cat "$work/scheduler.log"
    exit 1
fi

cat >"$work/nodes.yaml" <<'END'
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Node
    metadata: {name: node-a, labels: {kubernetes.io/hostname: node-a}}
    status: &room
      capacity: {cpu: "4", memory: 8Gi, pods: "20"}
      allocatable: {cpu: "4", memory: 8Gi, pods: "20"}
      conditions: [{type: Ready, status: "True", reason: KubeletReady}]
  - apiVersion: v1
    kind: Node
    metadata: {name: node-b, labels: {kubernetes.io/hostname: node-b}}
    status: *room
END
cat >"$work/workloads.yaml" <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      schedulerName: plimsoll
      containers:
        - {name: web, image: registry.k8s.io/pause:3.10, resources: {requests: {cpu: 500m, memory: 64Mi}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          schedulerName: plimsoll
          restartPolicy: Never
          containers:
            - {name: tick, image: registry.k8s.io/pause:3.10, resources: {requests: {cpu: 100m}}}
END
cat >"$work/large.yaml" <<'END'
apiVersion: v1
kind: Pod
metadata: {name: large}
spec:
  schedulerName: plimsoll
  containers:
    - {name: main, image: registry.k8s.io/pause:3.10, resources: {requests: {cpu: "100"}}}
END

cat >"$work/budget.yaml" <<'END'
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  minAvailable: 6
  selector: {matchLabels: {app: web}}
END
cat >"$work/single.yaml" <<'END'
apiVersion: v1
kind: Pod
metadata: {name: single, labels: {app: single}}
spec:
  schedulerName: plimsoll
  nodeSelector: {disk: ssd}
  containers:
    - {name: main, image: registry.k8s.io/pause:3.10, resources: {requests: {cpu: 100m}}}
END

echo '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","name":"y"}}' >"$work/twice.json"

# drain_waits NODE: a budget holds the drain up; it ends when the budget is changed.
drain_waits() {
    k drain "$1" --ignore-daemonsets --timeout=60s >"$work/drain" 2>&1 &
    local drain=$!
    eventually said "Cannot evict pod as it would violate the pod's disruption budget" "$work/drain" || return 1
    k patch poddisruptionbudget web --type=merge -p '{"spec":{"minAvailable":1}}' || return 1
    wait "$drain" && said "node/$1 drained" "$work/drain"
}

# watches PATTERN COMMAND...: a watch of pods prints a line that matches after the command.
watches() {
    local pattern=$1
    shift
    k get pods -w >"$work/watch" 2>&1 &
    local watch=$!
    started+=("$watch")
    eventually said "NAME" "$work/watch" && "$@" && eventually grep -Eq -- "$pattern" "$work/watch"
}

# set_and_replace: reads an object, changes it and writes all of it back, as `kubectl edit` does.
set_and_replace() {
    k get deployment web -o yaml | sed 's/cpu: 500m/cpu: 400m/' >"$work/edited.yaml"
    k replace -f "$work/edited.yaml" && prints "^400m$" get deployment web -o 'jsonpath={..requests.cpu}{"\n"}'
}

check "apply nodes" k apply -f "$work/nodes.yaml"
check "nodes are listed" counts 2 "^node-[ab] +Ready" get nodes
check "with more columns on order" shows "^NAME .*INTERNAL-IP.*" get nodes -o wide
check "the kinds are listed" shows "^deployments +deploy +apps/v1 +true +Deployment" api-resources
check "every namespace is there" counts 4 " Active " get namespaces
check "the server says that it is ready" shows "^ok$|readyz check passed" get --raw "/readyz?verbose"
check "and how" shows "\[\+\]ping ok" get --raw "/readyz?verbose"
check "and what it is" shows "Server Version: v1\.[0-9]+\." version
check "apply a Deployment and a CronJob" k apply -f "$work/workloads.yaml"
check "apply again changes nothing" shows "deployment.apps/web unchanged" apply -f "$work/workloads.yaml"
check "so it differs in nothing" k diff -f "$work/workloads.yaml"
check "apply on the server" shows "deployment.apps/web serverside-applied" apply --server-side --force-conflicts -f "$work/workloads.yaml"
check "the Deployment's pods run on the nodes" counts 3 "^web-.* Running .* node-[ab] " get pods -o wide
check "in all namespaces" counts 3 "^default +web-.* Running .* node-[ab] " get pods -A -o wide
check "the Deployment is rolled out" k rollout status deployment/web --timeout=60s
check "its pods are waited for" counts 3 "condition met" wait --for=condition=Ready pod -l app=web --timeout=60s
check "everything is shown together" shows "^deployment.apps/web +3/3 +3 +3" get all
check "the CronJob's pods run and complete" shows "^tick-.* Completed" get pods
check "a pod's description tells who placed it" \
    shows "Normal +Scheduled .* plimsoll +Successfully assigned default/web-[^ ]* to node-[ab]" describe pods -l app=web
check "a node's description tells what is used" shows "cpu +[0-9]+m? \([0-9]+%\)" describe node node-a
pod=$(k get pods -l app=web -o 'jsonpath={.items[0].metadata.name}')
check "the events of one pod are found by a field" shows "Scheduled +pod/$pod" get events --field-selector "involvedObject.name=$pod"
check "create a pod that needs a label" k create -f "$work/single.yaml"
check "creating it again is refused" shows "AlreadyExists" create -f "$work/single.yaml"
check "it waits" shows "^single +0/1 +Pending" get pods
check "label the node, and it runs, as a watch tells" watches "^single +1/1 +Running" k label node node-b disk=ssd
check "the label is there" shows "^node-b .* ssd$" get nodes -L disk
check "it is on that node" shows "^node-b$" get pod single -o 'jsonpath={.spec.nodeName}{"\n"}'
check "patch it by merge" k patch pod single --type=merge -p '{"metadata":{"labels":{"a":"1"}}}'
check "patch it strategically" k patch pod single -p '{"spec":{"containers":[{"name":"main","image":"other"}]}}'
check "patch it by operations" k patch pod single --type=json -p '[{"op":"replace","path":"/metadata/labels/a","value":"2"}]'
check "all of that is in it" shows "^2 other$" get pod single -o 'jsonpath={.metadata.labels.a} {.spec.containers[0].image}{"\n"}'
check "a patch whose test fails is refused" \
    shows "the server rejected our request" patch pod single --type=json -p '[{"op":"test","path":"/metadata/name","value":"x"}]'
check "a wrong field is refused" shows "field label not supported: spec.color" get pods --field-selector spec.color=red
check "a field given twice is refused" \
    shows "duplicate field \"metadata.name\"" create --raw "/api/v1/namespaces/default/pods?fieldValidation=Strict" -f "$work/twice.json"
check "taint" k taint node node-b dedicated=x:NoExecute
check "what does not tolerate it goes" k wait --for=delete pod/single --timeout=60s
check "untaint" shows "node/node-b untainted" taint node node-b dedicated-
check "apply a pod that fits nowhere" k apply -f "$work/large.yaml"
check "it is pending" shows "^large +0/1 +Pending" get pods
check "its description tells why" \
    shows "Warning +FailedScheduling .* plimsoll +0/2 nodes are available: 2 Insufficient cpu\." describe pod large
check "its events tell why" shows "FailedScheduling" events --for pod/large
check "the lease has a holder" shows "^plimsoll +[^ ]+_" get leases -A --no-headers -o custom-columns=N:.metadata.name,H:.spec.holderIdentity
check "scale" k scale deployment/web --replicas=5
check "five pods run" counts 5 "^web-.* Running" get pods
check "edit and replace" set_and_replace
check "restart" k rollout restart deployment/web
check "the restart is rolled out" k rollout status deployment/web --timeout=60s
check "cordon" k cordon node-a
check "it is shown" shows "^node-a +Ready,SchedulingDisabled" get nodes
check "scale on" k scale deployment/web --replicas=6
check "six pods run" counts 6 "^web-.* Running" get pods
check "uncordon" k uncordon node-a
check "create a budget" k create -f "$work/budget.yaml"
check "it allows none to go" shows "^web +6 +N/A +0 " get poddisruptionbudgets
check "a drain waits for it" drain_waits node-b
check "no pod is left there" counts 0 " node-b " get pods -l app=web -o wide
check "they run elsewhere" counts 6 "^web-.* Running .* node-a " get pods -o wide
check "permissions are asked for" shows "^yes$" auth can-i list pods
check "and who asks" shows "^Username +system:anonymous" auth whoami
check "create a namespace" shows "namespace/team created" create namespace team
check "create a Deployment by its name" shows "deployment.apps/plain created" create deployment plain --image=x --replicas=2 -n team
check "it makes pods" counts 2 "^plain-.* Pending" get pods -n team
check "create a Job by its name" shows "job.batch/once created" create job once --image=x -n team
check "create a service account by its name" shows "serviceaccount/robot created" create serviceaccount robot -n team
check "a token of it" shows "^[0-9a-f.-]+$" create token robot -n team
check "create a ConfigMap by its name" shows "configmap/map created" create configmap map --from-literal=a=b -n team
check "what is in it" shows "^map +1 " get configmaps -n team
check "delete the namespace, and all of it" k delete namespace team --timeout=60s
check "nothing of it is left" shows "No resources found" get deployments,jobs,pods -n team
check "delete a pod" k delete pod large --wait=true --timeout=60s
check "it is gone" shows "\"large\" not found" get pod large
check "delete the workloads" k delete -f "$work/workloads.yaml" --timeout=60s
check "their pods are gone" shows "No resources found" get pods

# The same over HTTPS, with a client certificate. kubectl looks at the dates of all of them.
"$program" apiserver --listen 127.0.0.1:0 --tls --nodes 1 --write-kubeconfig "$work/kubeconfig" >"$work/https.log" 2>&1 &
started+=($!)
check "HTTPS is served" eventually said "serving Kubernetes" "$work/https.log"
check "its certificates are good" shows "^node-.* Ready " get nodes

echo "kubectl: $passed passed, 0 failed"
