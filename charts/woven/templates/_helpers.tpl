{{- define "woven.labels" -}}
app.kubernetes.io/part-of: woven
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* podLabels have no version in them: one that changed would restart pods that did not. */}}
{{- define "woven.podLabels" -}}
app.kubernetes.io/part-of: woven
{{- end }}

{{- define "woven.image" -}}
image: {{ .Values.image.registry }}/woven:{{ .Values.image.tag | default .Chart.AppVersion }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "woven.ovnImage" -}}
image: {{ .Values.image.registry }}/ovn:{{ .Values.image.ovnTag }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "woven.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* controlPlane prefers the nodes where the cluster's own parts run, and spreads the pods of one app. */}}
{{- define "woven.controlPlane" -}}
nodeAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      preference:
        matchExpressions: [{key: kube-ovn/role, operator: In, values: [master]}]
    - weight: 50
      preference:
        matchExpressions: [{key: node-role.kubernetes.io/control-plane, operator: Exists}]
podAntiAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector: {matchLabels: {app: {{ . }}}}
{{- end }}

{{/* alive asks a daemon for its version over its control socket, which its main loop answers. It takes a dict of the
appctl to use and its target. A switch that is
restarted for being slow is worse than a slow switch, so that patience is long. */}}
{{- define "woven.alive" -}}
startupProbe:
  exec: {command: [{{ .appctl }}, -t, {{ .target }}, version]}
  periodSeconds: 1
  timeoutSeconds: 10
  failureThreshold: 300
livenessProbe:
  exec: {command: [{{ .appctl }}, -t, {{ .target }}, version]}
  periodSeconds: 30
  timeoutSeconds: 20
  failureThreshold: 5
{{- end }}

{{/* exit is how OVS's daemons leave with grace. As process 1 they would not survive their own SIGTERM handler,
which raises the signal again and cannot die of it. */}}
{{- define "woven.exit" -}}
lifecycle:
  preStop:
    exec: {command: [{{ .appctl }}, -t, {{ .target }}, exit]}
{{- end }}

{{/* http probes one of our own programs, which listen on the node's loopback unless metrics.exposed. */}}
{{- define "woven.http" -}}
livenessProbe:
  httpGet: {host: 127.0.0.1, path: /healthz, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {host: 127.0.0.1, path: /readyz, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{- define "woven.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
