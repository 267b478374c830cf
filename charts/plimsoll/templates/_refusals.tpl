{{/* What would go wrong only after the installation is refused here, naming the value. */}}
{{- define "plimsoll.refusals" -}}
{{- $names := include "plimsoll.schedulerNames" . | fromJsonArray -}}
{{- $election := (include "plimsoll.schedulerConfig" . | fromYaml).leaderElection -}}
{{- $plimsoll := include "plimsoll.plimsollConfig" . | fromYaml -}}
{{- $shadow := include "plimsoll.shadow" . -}}
{{- if not (or $shadow $plimsoll.replaceDefaultScheduler) -}}
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
{{- include "plimsoll.monitoringRefusals" . -}}
{{- include "plimsoll.admissionRefusals" (dict "root" . "names" $names "shadow" $shadow) -}}
{{- with .Values.tests.schedulerName -}}
{{- if not (has . $names) -}}
{{- fail (printf "\n\ntests.schedulerName is %q, a name that no profile serves: %s\n" . (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "plimsoll.monitoringRefusals" -}}
{{- $metrics := .Values.metrics -}}
{{- if and $metrics.serviceMonitor.enabled $metrics.podMonitor.enabled -}}
{{- fail "\n\nmetrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both true: every sample would be there twice. Set one of them.\n" -}}
{{- end -}}
{{- if $metrics.secure.enabled -}}
{{- if not .Values.secureServing.enabled -}}
{{- fail "\n\nmetrics.secure.enabled is true and secureServing.enabled is false: there is no secured port to read the metrics from.\n" -}}
{{- end -}}
{{- if not $metrics.secure.authorization.credentials.name -}}
{{- fail "\n\nmetrics.secure.authorization.credentials.name is not set: the Secret with the token by which the collector is known, in the namespace of the monitor.\n" -}}
{{- end -}}
{{- if not $metrics.secure.tlsConfig -}}
{{- fail "\n\nmetrics.secure.tlsConfig is not set: by what the collector knows the certificate of the pods (ca and serverName, with secureServing.tlsSecretName), or insecureSkipVerify: true where each pod makes its own.\n" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "plimsoll.admissionRefusals" -}}
{{- $policy := .root.Values.admissionPolicy -}}
{{- if $policy.enabled -}}
{{- if .shadow -}}
{{- fail "\n\nadmissionPolicy.enabled is true and the mode is Shadow: pods would get the name of a scheduler that places nothing.\n" -}}
{{- end -}}
{{- with $policy.schedulerName -}}
{{- if not (has . $.names) -}}
{{- fail (printf "\n\nadmissionPolicy.schedulerName is %q, a name that no profile serves: %s\n" . (join ", " $.names)) -}}
{{- end -}}
{{- end -}}
{{- if not $policy.namespaceSelector -}}
{{- fail "\n\nadmissionPolicy.namespaceSelector is empty: pods of all namespaces, those of the system among them, would be given to this scheduler. Name a label.\n" -}}
{{- end -}}
{{- if not (include "plimsoll.admissionVersion" .root) -}}
{{- fail (printf "\n\nadmissionPolicy.enabled: this cluster (Kubernetes %s) serves no MutatingAdmissionPolicy. It is there from 1.36 on, and before behind a feature gate and admissionregistration.k8s.io/v1beta1 (1.34) or v1alpha1 (1.32) in the API server's runtime-config. With `helm template`, --api-versions admissionregistration.k8s.io/v1/MutatingAdmissionPolicy says that it is there.\n" .root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
{{- end -}}
