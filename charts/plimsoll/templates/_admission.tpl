{{- define "plimsoll.admissionVersion" -}}
{{- $found := "" -}}
{{- range list "v1" "v1beta1" "v1alpha1" -}}
{{- $version := printf "admissionregistration.k8s.io/%s" . -}}
{{- if and (not $found) ($.Capabilities.APIVersions.Has (printf "%s/MutatingAdmissionPolicy" $version)) -}}
{{- $found = $version -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{/* Not the name of roles: these take no colon. A dot is in neither part. */}}
{{- define "plimsoll.admissionName" -}}
{{- printf "%s.%s" (include "plimsoll.fullname" .) .Release.Namespace -}}
{{- end -}}
