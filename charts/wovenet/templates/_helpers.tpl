{{- define "wovenet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "wovenet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "wovenet.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "wovenet.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "wovenet.operator" -}}
{{- printf "%s-operator" (include "wovenet.fullname" .) -}}
{{- end }}

{{- define "wovenet.broker" -}}
{{- printf "%s-broker" (include "wovenet.fullname" .) -}}
{{- end }}

{{- define "wovenet.check" -}}
{{- printf "%s-check" (include "wovenet.fullname" .) -}}
{{- end }}

{{- define "wovenet.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "wovenet.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required with serviceAccount.create=false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- /* Labels that never change over versions: selectors are immutable. Takes (dict "root" $ "component" "operator"). */ -}}
{{- define "wovenet.selector" -}}
app.kubernetes.io/name: {{ include "wovenet.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "wovenet.labels" -}}
{{ include "wovenet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: wovenet
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* An image by digest, which wins, or by tag. Takes (dict "root" $ "image" .Values.operator.image). */ -}}
{{- define "wovenet.image" -}}
{{- $repository := .image.repository -}}
{{- if .image.registry -}}
{{- $repository = printf "%s/%s" .image.registry .image.repository -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end }}

{{- /* Every pod fits the restricted pod security standard. Takes the user id. */ -}}
{{- define "wovenet.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "wovenet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
