{{/* Lays the map `over` over the map `base`, key by key; lists are replaced whole, and null takes a key away. */}}
{{- define "plimsoll.overlay" -}}
{{- $base := .base -}}
{{- range $key, $value := .over -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $base $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $base $key)) -}}
{{- include "plimsoll.overlay" (dict "base" (get $base $key) "over" $value) -}}
{{- else -}}
{{- $_ := set $base $key (deepCopy $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Puts both documents as maps into the map `into`: the preset, and over it what the user says. As text and read again, large
     numbers would lose their form. */}}
{{- define "plimsoll.settings" -}}
{{- $values := .root.Values -}}
{{- $preset := dict -}}
{{- with $values.preset -}}
{{- $preset = $.root.Files.Get (printf "presets/%s.yaml" .) | fromYaml -}}
{{- end -}}
{{- $config := dict "leaderElection" (dict "leaderElect" true) -}}
{{- include "plimsoll.overlay" (dict "base" $config "over" (default dict $preset.config)) -}}
{{- include "plimsoll.overlay" (dict "base" $config "over" (default dict $values.config)) -}}
{{- $profiles := list -}}
{{- range default (list (dict "schedulerName" "plimsoll")) $config.profiles -}}
{{- /* What a profile says itself holds, also an empty list; the rest is the preset's. */ -}}
{{- $profile := deepCopy . -}}
{{- range $key, $value := default dict $preset.profile -}}
{{- if not (hasKey $profile $key) -}}{{- $_ := set $profile $key $value -}}{{- end -}}
{{- end -}}
{{- $profiles = append $profiles $profile -}}
{{- end -}}
{{- $_ := set $config "profiles" $profiles -}}
{{- $plimsoll := dict -}}
{{- include "plimsoll.overlay" (dict "base" $plimsoll "over" (default dict $preset.plimsollConfig)) -}}
{{- include "plimsoll.overlay" (dict "base" $plimsoll "over" (default dict $values.plimsollConfig)) -}}
{{- $_ := set .into "config" $config -}}
{{- $_ := set .into "plimsollConfig" $plimsoll -}}
{{- end -}}

{{/* The first document, with the lease's name and namespace filled in. */}}
{{- define "plimsoll.schedulerConfig" -}}
{{- $settings := dict -}}
{{- include "plimsoll.settings" (dict "root" . "into" $settings) -}}
{{- $config := $settings.config -}}
{{- $_ := set $config "apiVersion" (default "kubescheduler.config.k8s.io/v1" $config.apiVersion) -}}
{{- $_ := set $config "kind" "KubeSchedulerConfiguration" -}}
{{- $election := default dict $config.leaderElection -}}
{{- $_ := set $election "resourceName" (default (include "plimsoll.fullname" .) $election.resourceName) -}}
{{- $_ := set $election "resourceNamespace" (default .Release.Namespace $election.resourceNamespace) -}}
{{- $_ := set $config "leaderElection" $election -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The second document. */}}
{{- define "plimsoll.plimsollConfig" -}}
{{- $settings := dict -}}
{{- include "plimsoll.settings" (dict "root" . "into" $settings) -}}
{{- $config := $settings.plimsollConfig -}}
{{- $_ := set $config "apiVersion" (default "config.plimsoll/v1alpha1" $config.apiVersion) -}}
{{- $_ := set $config "kind" "PlimsollConfiguration" -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "plimsoll.configFile" -}}
{{ include "plimsoll.schedulerConfig" . }}
---
{{ include "plimsoll.plimsollConfig" . }}
{{- end -}}

{{/* "true" or "": whether nothing is written at all. */}}
{{- define "plimsoll.shadow" -}}
{{- if eq (toString (include "plimsoll.plimsollConfig" . | fromYaml).mode) "Shadow" -}}true{{- end -}}
{{- end -}}

{{/* "true" or "": kube-scheduler's default is on, so only an explicit false switches it off. In Shadow there is nothing to lead. */}}
{{- define "plimsoll.leaderElect" -}}
{{- $election := (include "plimsoll.schedulerConfig" . | fromYaml).leaderElection -}}
{{- if not (or (include "plimsoll.shadow" .) (eq (toString $election.leaderElect) "false")) -}}true{{- end -}}
{{- end -}}

{{/* In Shadow each replica would watch and count the same. */}}
{{- define "plimsoll.replicas" -}}
{{- if include "plimsoll.shadow" . -}}{{ min 1 (int .Values.replicaCount) }}{{- else -}}{{ int .Values.replicaCount }}{{- end -}}
{{- end -}}

{{/* The schedulerNames served, as a JSON list. One profile may go without a name: it is then called plimsoll. */}}
{{- define "plimsoll.schedulerNames" -}}
{{- $names := list -}}
{{- range (include "plimsoll.schedulerConfig" . | fromYaml).profiles -}}
{{- $names = append $names (default "plimsoll" .schedulerName) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

