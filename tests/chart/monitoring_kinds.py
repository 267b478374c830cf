"""What the Prometheus Operator takes in its kinds, strictly: a field that it does not have is an error.

Fields that read files of the collector (`bearerTokenFile`, `caFile`, ...) are left out on purpose: collectors refuse them.
"""

import jsonschema

GROUP = "monitoring.coreos.com/v1"
STRING, BOOLEAN, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
STRINGS = {"type": "array", "items": STRING}
LABELS = {"type": "object", "additionalProperties": STRING}
DURATION = {"type": "string", "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"}
LABEL_NAME = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}
ACTIONS = ["replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase", "keepequal", "dropequal"]


def strict(required=(), **properties):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def array(items):
    return {"type": "array", "items": items}


KEY = strict(["name", "key"], name=STRING, key=STRING, optional=BOOLEAN)
FROM = strict(secret=KEY, configMap=KEY)
TLS = strict(ca=FROM, cert=FROM, keySecret=KEY, serverName=STRING, insecureSkipVerify=BOOLEAN, minVersion=STRING, maxVersion=STRING)
RELABELING = strict(action={"enum": ACTIONS + [action.title() for action in ACTIONS]}, sourceLabels=array(LABEL_NAME), separator=STRING,
                    targetLabel=STRING, regex=STRING, modulus=NUMBER, replacement=STRING)
SELECTOR = strict(matchLabels=LABELS, matchExpressions=array(strict(["key", "operator"], key=STRING, operator=STRING, values=STRINGS)))
ENDPOINT = strict(
    port=STRING, targetPort={"type": ["string", "integer"]}, path=STRING, scheme={"enum": ["http", "https"]}, interval=DURATION,
    params={"type": "object", "additionalProperties": STRINGS},
    scrapeTimeout=DURATION, tlsConfig=TLS, authorization=strict(type=STRING, credentials=KEY), honorLabels=BOOLEAN,
    honorTimestamps=BOOLEAN, trackTimestampsStaleness=BOOLEAN, relabelings=array(RELABELING), metricRelabelings=array(RELABELING),
    followRedirects=BOOLEAN, enableHttp2=BOOLEAN, filterRunning=BOOLEAN, proxyUrl=STRING, noProxy=STRING,
)
MONITOR = dict(
    jobLabel=STRING, podTargetLabels=STRINGS, selector=SELECTOR, namespaceSelector=strict(any=BOOLEAN, matchNames=STRINGS),
    sampleLimit=NUMBER, targetLimit=NUMBER, labelLimit=NUMBER, keepDroppedTargets=NUMBER, scrapeProtocols=STRINGS, scrapeClass=STRING,
)
RULE = strict(["expr"], alert=STRING, record=STRING, expr={"type": ["string", "integer"]}, annotations=LABELS, labels=LABELS,
              **{"for": DURATION, "keep_firing_for": DURATION})
RULES = strict(["name"], name=STRING, interval=DURATION, limit=NUMBER, labels=LABELS, rules=array(RULE), query_offset=DURATION)
SPECS = {
    "ServiceMonitor": strict(["endpoints", "selector"], **MONITOR, targetLabels=STRINGS, endpoints=array(ENDPOINT)),
    "PodMonitor": strict(["podMetricsEndpoints", "selector"], **MONITOR, podMetricsEndpoints=array(ENDPOINT)),
    "PrometheusRule": strict(groups=array(RULES)),
}
METADATA = strict(["name", "namespace"], name=STRING, namespace=STRING, labels=LABELS, annotations=LABELS)


def validate(doc):
    """Raises jsonschema.ValidationError for a document that the operator would not take as it is."""
    spec = SPECS[doc["kind"]]
    jsonschema.validate(doc, strict(["apiVersion", "kind", "metadata", "spec"], apiVersion={"const": GROUP},
                                    kind={"const": doc["kind"]}, metadata=METADATA, spec=spec))
