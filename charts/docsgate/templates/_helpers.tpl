{{- define "docsgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "docsgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "docsgate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "docsgate.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "docsgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "docsgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "docsgate.labels" -}}
{{ include "docsgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "docsgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "docsgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "docsgate.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The Caddyfile. */}}
{{- define "docsgate.caddyfile" -}}
{{- if .Values.caddyfile -}}
{{ .Values.caddyfile }}
{{- else -}}
{{- if not (or .Values.feeds.store .Values.feeds.docsgpt.enabled) }}{{ fail "feeds: enable store or docsgpt; without a feed there are no keys" }}{{ end -}}
{{- if and .Values.console.enabled (not .Values.feeds.store) }}{{ fail "console.enabled needs feeds.store" }}{{ end -}}
{
	docsgate {
		{{- if .Values.feeds.store }}
		feed store
		{{- end }}
		{{- if .Values.feeds.docsgpt.enabled }}
		feed docsgpt {env.DOCSGPT_POSTGRES_URI}{{ if .Values.feeds.docsgpt.insecurePlaintext }} {
			insecure_plaintext
		}{{ end }}
		{{- end }}
		{{- if .Values.docsgpt.credential.secretName }}
		upstream_token {env.DOCSGPT_TOKEN}
		{{- end }}
		{{- with .Values.docsgpt.version }}
		docsgpt_version {{ . }}
		{{- end }}
		shutdown_grace {{ .Values.shutdownGrace }}s
	}
	{{- with .Values.trustedProxies }}
	servers :8080 {
		trusted_proxies static {{ join " " . }}
		trusted_proxies_strict
	}
	{{- end }}

	# Requests can have keys anywhere, so each log needs this format. This is the error log; the site's access log is below.
	log default {
		format docsgate
	}
}

:8080 {
	log {
		format docsgate
	}
	docsgate {{ .Values.docsgpt.url }} {
		endpoints {{ join " " .Values.endpoints }}
		{{- with .Values.directive }}
{{ trim . | indent 8 | replace "        " "\t\t" }}
		{{- end }}
	}
}

# Probes and metrics. The admin endpoint itself is reached only within the pod.
:9180 {
	handle /metrics {
		metrics
	}
	@probes path /docsgate/live /docsgate/ready
	handle @probes {
		reverse_proxy localhost:2019 {
			header_up Host localhost:2019
		}
	}
	handle {
		respond 404
	}
}
{{- if .Values.console.enabled }}

http://:8099 {
	bind 127.0.0.1
	docsgate_console
}
{{- end }}
{{- end -}}
{{- end -}}
