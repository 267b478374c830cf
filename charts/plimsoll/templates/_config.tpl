{{/* The first document: the user's map, with the lease's name and namespace filled in. */}}
{{- define "plimsoll.schedulerConfig" -}}
{{- $config := deepCopy .Values.config -}}
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
{{- $config := deepCopy .Values.plimsollConfig -}}
{{- $_ := set $config "apiVersion" (default "config.plimsoll/v1alpha1" $config.apiVersion) -}}
{{- $_ := set $config "kind" "PlimsollConfiguration" -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "plimsoll.configFile" -}}
{{ include "plimsoll.schedulerConfig" . }}
---
{{ include "plimsoll.plimsollConfig" . }}
{{- end -}}

{{/* "true" or "": kube-scheduler's default is on, so only an explicit false switches it off. */}}
{{- define "plimsoll.leaderElect" -}}
{{- $election := default dict .Values.config.leaderElection -}}
{{- if ne (toString $election.leaderElect) "false" -}}true{{- end -}}
{{- end -}}

{{/* The schedulerNames served, as a JSON list. One profile may go without a name: it is then called plimsoll. */}}
{{- define "plimsoll.schedulerNames" -}}
{{- $names := list -}}
{{- range .Values.config.profiles -}}
{{- $names = append $names (default "plimsoll" .schedulerName) -}}
{{- end -}}
{{- toJson (default (list "plimsoll") $names) -}}
{{- end -}}

{{/* What would go wrong only after the installation is refused here, naming the value. */}}
{{- define "plimsoll.refusals" -}}
{{- $names := include "plimsoll.schedulerNames" . | fromJsonArray -}}
{{- $election := (include "plimsoll.schedulerConfig" . | fromYaml).leaderElection -}}
{{- $shadow := eq (toString .Values.plimsollConfig.mode) "Shadow" -}}
{{- if not (or $shadow .Values.plimsollConfig.replaceDefaultScheduler) -}}
{{- if has "default-scheduler" $names -}}
{{- fail "\n\nconfig.profiles: a profile is named default-scheduler, the name that the cluster's own scheduler serves: two schedulers would race for the same pods. Choose another schedulerName, or, if this release replaces kube-scheduler, set plimsollConfig.replaceDefaultScheduler=true.\n" -}}
{{- end -}}
{{- if and (eq $election.resourceName "kube-scheduler") (eq $election.resourceNamespace "kube-system") -}}
{{- fail "\n\nconfig.leaderElection: the lease kube-system/kube-scheduler belongs to the cluster's own scheduler. Leave resourceName and resourceNamespace out, or, if this release replaces kube-scheduler, set plimsollConfig.replaceDefaultScheduler=true.\n" -}}
{{- end -}}
{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- fail (printf "\n\nconfig.profiles: every schedulerName must be there once; given: %s\n" (join ", " $names)) -}}
{{- end -}}
{{- if and (gt (int .Values.replicaCount) 1) (not (include "plimsoll.leaderElect" .)) (not $shadow) -}}
{{- fail (printf "\n\nreplicaCount is %d and config.leaderElection.leaderElect is false: all replicas would schedule at once. Set replicaCount=1 or leaderElect=true.\n" (int .Values.replicaCount)) -}}
{{- end -}}
{{- end -}}
