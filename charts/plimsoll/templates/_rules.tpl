{{/* The metrics of this release alone: others have another job, namespace or name of pods. */}}
{{- define "plimsoll.metricsSelector" -}}
{{- $ours := printf "job=%q,namespace=%q,pod=~%q" (include "plimsoll.name" .) .Release.Namespace (printf "%s-[^-]+-[^-]+" (include "plimsoll.fullname" .)) -}}
{{- default $ours .Values.prometheusRule.selector -}}
{{- end }}

{{/*
The groups of files/rules, as JSON. In them @selector@ stands for the labels of this release's metrics, @recorded@ for those of what
its rules record, @release@ for its namespace and name, @replicas@ for how many replicas it has, and every threshold for its value.
*/}}
{{- define "plimsoll.rules" -}}
{{- $values := .Values.prometheusRule -}}
{{- $release := printf "%s/%s" .Release.Namespace (include "plimsoll.fullname" .) -}}
{{- $words := dict "selector" (include "plimsoll.metricsSelector" .) "recorded" (printf "release=%q" $release) "release" $release "replicas" (include "plimsoll.replicas" .) -}}
{{- $words = merge $words $values.thresholds -}}
{{- $groups := list -}}
{{- $names := list -}}
{{- range $path, $_ := .Files.Glob "files/rules/*.yaml" -}}
  {{- $text := $.Files.Get $path -}}
  {{- range $word, $value := $words -}}
    {{- $text = replace (printf "@%s@" $word) (toString $value) $text -}}
  {{- end -}}
  {{- $group := fromYaml $text -}}
  {{- if not $group.rules -}}
    {{- fail (printf "\n\nprometheusRule: %s cannot be read with these values: %s\n" $path $group.Error) -}}
  {{- end -}}
  {{- $rules := list -}}
  {{- range $rule := $group.rules -}}
    {{- $names = append $names (default $rule.record $rule.alert) -}}
    {{- if not (has (default $rule.record $rule.alert) (default list $values.disabled)) -}}
      {{- $labels := dict "release" $release -}}
      {{- if $rule.alert -}}
        {{- $labels = merge $labels (default dict $rule.labels) (default dict $values.alertLabels) -}}
        {{- $_ := set $rule.annotations "runbook_url" (printf "%s/%s.md" (trimSuffix "/" $values.runbookUrl) $rule.alert) -}}
      {{- else -}}
        {{- $labels = merge $labels (default dict $rule.labels) -}}
      {{- end -}}
      {{- $rules = append $rules (set $rule "labels" $labels) -}}
    {{- end -}}
  {{- end -}}
  {{- if $rules -}}{{- $groups = append $groups (dict "name" $group.name "rules" $rules) -}}{{- end -}}
{{- end -}}
{{- range $values.disabled -}}
  {{- if not (has . $names) -}}
    {{- fail (printf "\n\nprometheusRule.disabled: there is no rule %s. There are: %s\n" . (join ", " (uniq $names))) -}}
  {{- end -}}
{{- end -}}
{{- with $values.extraRules -}}{{- $groups = append $groups (dict "name" "plimsoll.extra" "rules" .) -}}{{- end -}}
{{- toJson (dict "groups" $groups) -}}
{{- end }}
