//! Logs to standard error, and spans by OTLP if `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector.

use std::collections::HashMap;
use std::io::IsTerminal;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use hindcast_base::{Error, Result};

/// Holds the exporter. When it is dropped at the end of the process, it sends the remaining spans.
pub struct Tracing {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Tracing {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider {
            // At the end of the process nothing can be done about an error.
            let _ = provider.shutdown();
        }
    }
}

/// Starts logging and, if a collector is configured, the export of spans as `service`. `HINDCAST_LOG` filters both (such as
/// `info` or `hindcast=debug`); `HINDCAST_LOG_FORMAT=json` writes one JSON object per line. The export needs a Tokio runtime.
///
/// # Errors
/// [`Error::Invalid`] if the collector's address can't be used.
pub fn start_tracing(service: &'static str, default_filter: &str) -> Result<Tracing> {
    let filter = || match std::env::var("HINDCAST_LOG") {
        Ok(filter) => EnvFilter::new(filter),
        Err(_) => EnvFilter::new(default_filter),
    };
    let is_json = std::env::var("HINDCAST_LOG_FORMAT").is_ok_and(|format| format == "json");
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = if is_json { lines.json().boxed() } else { lines.boxed() };
    let provider = exporter(service)?;
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer(service)).with_filter(filter())
    });
    tracing_subscriber::registry().with(lines.with_filter(filter())).with(spans).init();
    Ok(Tracing { provider })
}

/// The job that a task belongs to, and its trace: sent with the task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Id of the coordinator's job; empty for a scan in this process.
    pub job: String,
    /// W3C Trace Context.
    trace: HashMap<String, String>,
}

impl Origin {
    /// The origin for work of `job`, in the trace of the current span.
    pub fn here(job: &str) -> Self {
        let mut trace = HashMap::new();
        TraceContextPropagator::new().inject_context(&Span::current().context(), &mut trace);
        Self { job: job.to_owned(), trace }
    }

    /// Makes `span`, which has not been entered yet, a part of this trace.
    pub fn adopt(&self, span: &Span) {
        // It fails only if no layer exports spans: then there is no trace to continue.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&self.trace));
    }
}

fn exporter(service: &'static str) -> Result<Option<SdkTracerProvider>> {
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .build()
        .map_err(|error| Error::Invalid(format!("OTEL_EXPORTER_OTLP_ENDPOINT can't be used: {error}")))?;
    let resource = Resource::builder().with_service_name(service).build();
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}
