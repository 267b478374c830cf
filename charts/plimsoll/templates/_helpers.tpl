{{- define "plimsoll.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name that every other name comes from. At most 63 characters: it is also a label's value. */}}
{{- define "plimsoll.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "plimsoll.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* For objects without a namespace: releases of one name in two namespaces must not share them. */}}
{{- define "plimsoll.clusterName" -}}
{{- printf "%s:%s" (include "plimsoll.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "plimsoll.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "plimsoll.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A Deployment's selector cannot be changed: nothing that a later version or another value could alter belongs here. */}}
{{- define "plimsoll.selectorLabels" -}}
app.kubernetes.io/name: {{ include "plimsoll.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "plimsoll.ownLabels" -}}
{{ include "plimsoll.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: scheduler
app.kubernetes.io/part-of: plimsoll
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}

{{- define "plimsoll.labels" -}}
{{- merge (include "plimsoll.ownLabels" . | fromYaml) .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "plimsoll.podLabels" -}}
{{- merge (include "plimsoll.ownLabels" . | fromYaml) .Values.podLabels .Values.commonLabels | toYaml -}}
{{- end -}}

{{/* repository:tag@digest keeps the version readable while the digest decides. */}}
{{- define "plimsoll.image" -}}
{{- if not .Values.image.repository -}}
{{- fail (printf "\n\nimage.repository is not set, and the chart has no default for it. Add the line\n\n  --set image.repository=REGISTRY/plimsoll\n\nwith the repository that holds your image of version %s (or of the version in image.tag).\n" .Chart.AppVersion) -}}
{{- end -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- with .Values.image.digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{/* "true" or "": whether there is something that `helm test` could test. */}}
{{- define "plimsoll.tests" -}}
{{- if and .Values.tests.enabled (not (include "plimsoll.shadow" .)) -}}true{{- end -}}
{{- end -}}

{{/* Not those of the scheduler's pods: a Service and a budget select by these. */}}
{{- define "plimsoll.testSelectorLabels" -}}
app.kubernetes.io/name: {{ printf "%s-test" (include "plimsoll.name" . | trunc 58 | trimSuffix "-") | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: test
{{- end -}}
