{{/* What ServiceMonitor and PodMonitor have alike. `monitor` is the values of the one that is made. */}}
{{- define "plimsoll.monitorMetadata" -}}
name: {{ include "plimsoll.fullname" .root | quote }}
namespace: {{ default .root.Release.Namespace .monitor.namespace | quote }}
labels:
  {{- merge (include "plimsoll.labels" .root | fromYaml) (default dict .monitor.additionalLabels) | toYaml | nindent 2 }}
{{- with .monitor.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "plimsoll.monitorSpec" -}}
{{- with .monitor.jobLabel }}
jobLabel: {{ . | quote }}
{{- end }}
{{- with .monitor.podTargetLabels }}
podTargetLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.sampleLimit }}
sampleLimit: {{ int . }}
{{- end }}
namespaceSelector:
  matchNames:
    - {{ .root.Release.Namespace | quote }}
selector:
  matchLabels:
    {{- include "plimsoll.selectorLabels" .root | nindent 4 }}
{{- end -}}

{{/* The one endpoint. Never with a file of the collector's: the token is in a Secret. */}}
{{- define "plimsoll.monitorEndpoint" -}}
{{- $secure := .root.Values.metrics.secure -}}
port: {{ $secure.enabled | ternary "secure" "metrics" }}
path: /metrics
scheme: {{ $secure.enabled | ternary "https" "http" }}
{{- if $secure.enabled }}
authorization:
  type: Bearer
  credentials:
    name: {{ $secure.authorization.credentials.name | quote }}
    key: {{ $secure.authorization.credentials.key | quote }}
tlsConfig:
  {{- toYaml $secure.tlsConfig | nindent 2 }}
{{- end }}
interval: {{ .monitor.interval }}
{{- with .monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if .monitor.honorLabels }}
honorLabels: true
{{- end }}
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.endpointAdditionalProperties }}
{{ toYaml . }}
{{- end }}
{{- end -}}
