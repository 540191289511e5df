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

{{/* started holds a daemon's readiness back until the daemon answers on its control socket. It takes a dict of the appctl to
use and its target.

There is no liveness probe, and this one waits for a day. OVS's and OVN's daemons are process 1 of their containers: when one
ends, the kubelet starts the container again. A probe could only find one that lives and does not answer, and it cannot tell
one that hangs from one that computes a big change, or from a node that takes more than 20 seconds to start a command:
probes have killed switches and databases on all nodes at once for being busy, which made them busier
(docs/adr/0012). One that hangs is not ready, and it is for a person to end it. */}}
{{- define "woven.started" -}}
startupProbe:
  exec: {command: [{{ .appctl }}, -t, {{ .target }}, version]}
  periodSeconds: 1
  timeoutSeconds: 10
  failureThreshold: 86400
{{- end }}

{{/* exit is how OVS's daemons leave with grace. As process 1 they would not survive their own SIGTERM handler,
which raises the signal again and cannot die of it. */}}
{{- define "woven.exit" -}}
lifecycle:
  preStop:
    exec: {command: [{{ .appctl }}, -t, {{ .target }}, exit]}
{{- end }}

{{/* http probes one of our own programs, which listen on the node's loopback unless metrics.exposed. The kubelet asks without
starting a command, and the server that answers shares no lock with the program's work: what gives no answer for five
minutes hangs. */}}
{{- define "woven.http" -}}
livenessProbe:
  httpGet: {host: 127.0.0.1, path: /healthz, port: {{ . }}}
  periodSeconds: 30
  timeoutSeconds: 30
  failureThreshold: 10
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
